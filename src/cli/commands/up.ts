// `pointsman up`: Envoy and the agent as one foreground job.

import { formatAddress } from "../../envoy/address.ts";
import { expectConfig } from "../expect-config.ts";
import { envoyShape, filterFlags } from "../filter-flags.ts";
import { ADDRESS, DIRECTORY, DURATION, PATH, PLACE, SIZE, whole } from "../flags.ts";
import { LOG_LEVEL } from "../log-level.ts";
import type { Runnable } from "../main.ts";
import { present } from "../present.ts";
import { scrapeAccess, scrapeFlags } from "../scrape-flags.ts";
import { toldToStop } from "../signals.ts";
import { startUp } from "../up.ts";

const flags = {
  objects: { kind: DIRECTORY, required: true, help: "folder of Kubernetes YAML documents, watched" },
  config: {
    kind: PATH,
    help: "an EndpointPickerConfig document, watched; flags count before what it says (default: the default profile)",
  },
  topology: { kind: PLACE, help: "where this gateway is, for topology affinity: host=…,rack=…,zone=…,region=…" },
  listen: { kind: ADDRESS, help: "where clients send requests (default 127.0.0.1:8080)" },
  admin: { kind: ADDRESS, help: "Envoy's admin interface (default 127.0.0.1:9901)" },
  agent: { kind: ADDRESS, help: "serves /healthz, /readyz, /metrics and /snapshot (default 127.0.0.1:9910)" },
  socket: { kind: PATH, help: "control socket (default: in a temporary folder)" },
  concurrency: { kind: whole(1, 64), help: "Envoy's worker threads (default: one per core)" },
  envoy: { kind: PATH, help: "the Envoy to run (default: ENVOY_BIN, else the one `make envoy` fetched)" },
  "scrape-interval": { kind: DURATION, help: "of endpoints with work from us; idle ones back off (default 50ms)" },
  ...scrapeFlags,
  ...filterFlags,
  "retry-buffer": { kind: SIZE, help: "largest body that can be sent again to the next endpoint (default 32MiB)" },
  "log-level": { kind: LOG_LEVEL, help: "trace, debug, info, warning, error, critical or off (default warning)" },
} as const;

export const command: Runnable<typeof flags> = {
  name: "up",
  summary: "Envoy and the agent as one foreground job",
  flags,
  run: async (given) => {
    expectConfig("up", given.config);
    const metrics = scrapeAccess("up", given);
    const stopping = new AbortController();
    const stopped = toldToStop().then(() => stopping.abort());
    const up = await startUp({
      signal: stopping.signal,
      objectsDir: given.objects,
      listen: given.listen ?? { host: "127.0.0.1", port: 8080 },
      admin: given.admin ?? { host: "127.0.0.1", port: 9901 },
      agent: given.agent ?? { host: "127.0.0.1", port: 9910 },
      onLine: (line) => process.stderr.write(`${line}\n`),
      ...envoyShape("up", given),
      ...present({
        socketPath: given.socket,
        concurrency: given.concurrency,
        envoyPath: given.envoy,
        configPath: given.config,
        topology: given.topology,
        scrapeIntervalMs: given["scrape-interval"],
        metrics,
        retryBufferBytes: given["retry-buffer"],
        logLevel: given["log-level"],
      }),
    }).catch((error: unknown) => {
      if (!stopping.signal.aborted) throw error;
    });
    if (up === undefined) return 0;
    console.log(`pointsman: listening on http://${formatAddress(up.listen)}`);
    const broken = await Promise.race([stopped, up.broken]);
    await up.stop();
    if (broken === undefined) return 0;
    throw new Error(broken);
  },
};
