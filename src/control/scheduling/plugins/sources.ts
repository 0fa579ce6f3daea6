// Data sources: how metrics pages are asked for.

import { AUTHORITIES_EXPECTED } from "../../scrape/credentials.ts";
import type { DocumentAccess } from "../scheduling.ts";
import type { Parameters, PluginType, Surroundings } from "./plugin.ts";

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
  read: (parameters, surroundings) => {
    const scheme = parameters.get("scheme")?.choice(["http", "https"]) ?? "http";
    const pathValue = parameters.get("path");
    const path = pathValue?.text() || "/metrics";
    if (!/^\/[\x21\x24-\x7e]*$/.test(path)) pathValue?.expected("a path that begins with a slash, such as /metrics");
    parameters.get("port")?.error("a port for metrics alone is not there yet: they are read from the target port");
    for (const name of ["clientCertPath", "clientKeyPath"])
      parameters.get(name)?.error("client certificates for metrics are not there yet");
    const interval = parameters.get("interval");
    if (interval?.text() && interval.duration() !== undefined)
      interval.warn("has no effect: --scrape-interval says how often metrics are read");
    // What is not asked for by https trusts nobody: the file is not read, as in the reference.
    const isSecure = scheme === "https";
    const trust = trustOf(parameters, isSecure ? surroundings.authorities : () => []);
    if (isSecure && trust.insecureSkipVerify === undefined && trust.caFile === undefined)
      parameters
        .get("scheme")
        ?.warn("certificates are verified, which the reference does not do: write insecureSkipVerify, true or false");
    const access: DocumentAccess = { scheme, path, ...(isSecure ? trust : {}) };
    return { role: "data", access };
  },
};

/** Safer than the reference: certificates are verified unless the document says that they are not. */
function trustOf(parameters: Parameters, authorities: Surroundings["authorities"]): DocumentAccess {
  const skipValue = parameters.get("insecureSkipVerify");
  const skips = skipValue?.boolean();
  const fileValue = parameters.get("caCertPath");
  const caFile = fileValue?.text() || undefined;
  const found = caFile === undefined ? undefined : authorities(caFile);
  if (caFile !== undefined && found === undefined) fileValue?.expected(AUTHORITIES_EXPECTED);
  if (caFile !== undefined && skips) skipValue?.error("expected false, or no caCertPath");
  return {
    ...(skips === undefined ? {} : { insecureSkipVerify: skips }),
    ...(caFile !== undefined && found !== undefined ? { caFile, authorities: found } : {}),
  };
}

/** Known without being told. */
const idle: PluginType = { parameters: [], read: () => ({ role: "data" }) };

export const SOURCES: Readonly<Record<string, PluginType>> = {
  "metrics-data-source": metrics,
  "endpoint-notification-source": idle,
  "k8s-notification-source": { ...idle, parameters: ["group", "version", "kind"] },
};
