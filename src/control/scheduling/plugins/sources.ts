// Data sources: how metrics pages are asked for.

import type { DocumentAccess } from "../scheduling.ts";
import type { PluginType } from "./plugin.ts";

const metrics: PluginType = {
  parameters: [
    "scheme",
    "path",
    "port",
    "insecureSkipVerify",
    "caCertPath",
    "clientCertPath",
    "clientKeyPath",
    "interval",
  ],
  read: (parameters) => {
    const scheme = parameters.get("scheme")?.choice(["http", "https"]) ?? "http";
    const pathValue = parameters.get("path");
    const path = pathValue?.text() || "/metrics";
    if (!/^\/[\x21\x24-\x7e]*$/.test(path)) pathValue?.expected("a path that begins with a slash, such as /metrics");
    const caFile = parameters.text("caCertPath");
    // As in the reference, any certificate will do unless the document says otherwise.
    const verifies = parameters.get("insecureSkipVerify");
    const insecureSkipVerify = verifies?.boolean() ?? caFile === undefined;
    if (caFile !== undefined && insecureSkipVerify) verifies?.error("expected false, or no caCertPath");
    parameters.get("port")?.error("a port for metrics alone is not there yet: they are read from the target port");
    for (const name of ["clientCertPath", "clientKeyPath"])
      parameters.get(name)?.error("client certificates for metrics are not there yet");
    const interval = parameters.get("interval");
    if (interval?.text() && interval.duration() !== undefined)
      interval.warn("has no effect: --scrape-interval says how often metrics are read");
    const access: DocumentAccess = {
      scheme,
      path,
      ...(scheme === "https" ? { insecureSkipVerify } : {}),
      ...(scheme === "https" && caFile !== undefined ? { caFile } : {}),
    };
    return { role: "data", access };
  },
};

/** Known without being told. */
const idle: PluginType = { parameters: [], read: () => ({ role: "data" }) };

export const SOURCES: Readonly<Record<string, PluginType>> = {
  "metrics-data-source": metrics,
  "endpoint-notification-source": idle,
  "k8s-notification-source": { ...idle, parameters: ["group", "version", "kind"] },
};
