// `pointsman agent`: the sidecar alone.

import { ConfigError } from "../../control/config.ts";
import { jsonLog } from "../../control/log.ts";
import { startAgent } from "../../control/main.ts";
import { DIRECTORY, DURATION, LISTEN_ADDRESS, PATH, PLACE, POOL, SIZE, UsageError } from "../flags.ts";
import { kubeFlags, kubeOptions } from "../kube-flags.ts";
import { agentLogLevel, LOG_LEVEL } from "../log-level.ts";
import type { Runnable } from "../main.ts";
import { scrapeAccess, scrapeFlags } from "../scrape-flags.ts";
import { toldToStop } from "../signals.ts";

const flags = {
  objects: { kind: DIRECTORY, help: "folder of Kubernetes YAML documents, watched; this or --kube is required" },
  ...kubeFlags,
  socket: { kind: PATH, required: true, help: "control socket of the Envoy to feed" },
  config: {
    kind: PATH,
    help: "an EndpointPickerConfig document, watched; flags count before what it says (default: the default profile)",
  },
  topology: { kind: PLACE, help: "where this gateway is, for topology affinity: host=…,rack=…,zone=…,region=…" },
  agent: {
    kind: LISTEN_ADDRESS,
    help: "serves /healthz, /readyz, /metrics and /snapshot here (default 127.0.0.1:9910, with --kube :9910)",
  },
  "scrape-interval": { kind: DURATION, help: "of endpoints with work from us; idle ones back off (default 50ms)" },
  ...scrapeFlags,
  xds: { kind: PATH, help: "keeps clusters, members and routes for a bare Envoy in this folder" },
  "default-pool": { kind: POOL, help: "the pool that the routes lead to (default: the only one)" },
  "retry-buffer": { kind: SIZE, help: "largest body that can be sent again to the next endpoint (default 32MiB)" },
  "log-level": { kind: LOG_LEVEL, help: "trace, debug, info, warning, error, critical or off (default info)" },
} as const;

export const command: Runnable<typeof flags> = {
  name: "agent",
  summary: "the sidecar alone: watches objects, scrapes endpoints, feeds the filter",
  flags,
  run: async (given) => {
    const metrics = scrapeAccess("agent", given);
    const kube = kubeOptions(given);
    const stopping = toldToStop();
    const level = agentLogLevel(given["log-level"] ?? "info");
    const agent = await startAgent({
      objectsDir: given.objects,
      kube,
      socketPath: given.socket,
      listen: given.agent ?? { host: kube === undefined ? "127.0.0.1" : "::", port: 9910 },
      scrapeIntervalMs: given["scrape-interval"] ?? 50,
      metrics,
      configFile: given.config,
      place: given.topology,
      log: level === undefined ? () => {} : jsonLog(level, (line) => process.stderr.write(line)),
      ...(given.xds === undefined ? {} : { xdsDir: given.xds }),
      ...(given["default-pool"] === undefined ? {} : { defaultPool: given["default-pool"] }),
      ...(given["retry-buffer"] === undefined ? {} : { retryBufferBytes: given["retry-buffer"] }),
    }).catch((error: unknown) => {
      throw error instanceof ConfigError ? new UsageError(`pointsman agent: --config ${error.message}`) : error;
    });
    // `pointsman up` waits for this message.
    process.send?.({ agent: agent.address });
    await stopping;
    await agent.stop();
    if (process.connected) process.disconnect();
    return 0;
  },
};
