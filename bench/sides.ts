// The Envoys that are compared. All come from one configuration, the shipped one. "alone" is that configuration
// without the filter and the control listener, balancing round robin; "delay" is the same with Envoy's own fault
// filter, which delays every request, in the place of ours.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Pool } from "../src/control/kinds/object.ts";
import { cluster, clusterName, members, RETRY_BUFFER_BYTES, routes } from "../src/control/xds.ts";
import type { Address } from "../src/envoy/address.ts";
import { bootstrap } from "../src/envoy/bootstrap.ts";
import { startEnvoy } from "../src/envoy/process.ts";

export type SideName = "alone" | "filter" | "delay";

export type SideOptions = {
  readonly name: SideName;
  readonly envoyPath: string;
  readonly filterPath: string;
  /** An existing folder for this side's files. */
  readonly dir: string;
  readonly endpoints: readonly Endpoint[];
  readonly workers: number;
  /** How long requests may be held; undefined: they are not. */
  readonly longestWaitMs?: number;
};

export type Endpoint = { readonly host: string; readonly port: number };

export type Side = {
  readonly name: SideName;
  readonly pid: number;
  readonly port: number;
  readonly admin: Address;
  readonly socketPath: string;
  stop(): Promise<void>;
};

export const POOL: Pool = {
  kind: "InferencePool",
  namespace: "bench",
  name: "pool",
  matchLabels: { app: "bench" },
  targetPorts: [1],
  appProtocol: "http",
  failureMode: "FailClose",
};

/** The parts of a bootstrap that the two sides differ in. */
type Bootstrap = { static_resources: { listeners: Listener[] } };
type Cluster = {
  typed_extension_protocol_options: Record<string, { common_http_protocol_options: { idle_timeout: string } }>;
};
type Listener = {
  name: string;
  filter_chains: { filters: { typed_config: { http_filters: HttpFilter[] } }[] }[];
};
type HttpFilter = { readonly name: string; readonly typed_config?: object };

const HELD_MAX = 1_000_000;

/** `count` addresses of the one backend at `port`: 127.1.0.1, 127.1.0.2, … */
export function endpointsAt(port: number, count: number): readonly Endpoint[] {
  return Array.from({ length: count }, (_, i) => ({ host: `127.1.${i >> 7}.${(i & 127) + 1}`, port }));
}

/** The configuration with `others` in the place of the filter. */
function withoutFilter(config: object, others: readonly HttpFilter[]): object {
  const copy = structuredClone(config) as Bootstrap;
  copy.static_resources.listeners = copy.static_resources.listeners.filter(({ name }) => name === "main");
  for (const { filters } of copy.static_resources.listeners.flatMap(({ filter_chains }) => filter_chains)) {
    for (const { typed_config } of filters) {
      typed_config.http_filters = typed_config.http_filters.flatMap((filter) =>
        filter.name === "pointsman" ? others : [filter],
      );
    }
  }
  return copy;
}

/** Holds every request, as many as there may be. */
function delayFilter(holdMs: number): HttpFilter {
  const type = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
  const delay = { fixed_delay: `${holdMs / 1000}s`, percentage: { numerator: 100 } };
  const typed_config = { "@type": type, delay, max_active_faults: HELD_MAX };
  return { name: "envoy.filters.http.fault", typed_config };
}

/** The agent's cluster. Upstream connections live long: whether a slice has to open them is not the question here. */
function clusterOf(options: SideOptions, membersDir: string): object {
  const shipped = cluster(POOL, membersDir) as Cluster;
  for (const protocol of Object.values(shipped.typed_extension_protocol_options)) {
    protocol.common_http_protocol_options.idle_timeout = "3600s";
  }
  return options.name === "filter" ? shipped : { ...shipped, load_balancing_policy: ROUND_ROBIN };
}

const ROUND_ROBIN = {
  policies: [
    {
      typed_extension_config: {
        name: "envoy.load_balancing_policies.round_robin",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
        },
      },
    },
  ],
};

/** The bootstrap of a side, with the files it names written. */
function configuration(options: SideOptions, socketPath: string): object {
  const xdsDir = join(options.dir, "xds");
  const membersDir = join(xdsDir, "eds");
  mkdirSync(membersDir, { recursive: true });
  const write = (path: string, resource: object) => writeFileSync(path, JSON.stringify({ resources: [resource] }));
  const addresses = options.endpoints.map(({ host, port }, i) => {
    return { address: `${host}:${port}`, ip: host, port, pod: `server-${i}` };
  });
  write(join(membersDir, `${POOL.namespace}.${POOL.name}.yaml`), members(POOL, addresses));
  write(join(xdsDir, "cds.yaml"), clusterOf(options, membersDir));
  const { longestWaitMs } = options;
  write(
    join(xdsDir, "rds.yaml"),
    routes([], clusterName(POOL), { retryBufferBytes: RETRY_BUFFER_BYTES, longestWaitMs }),
  );
  const any = { host: "127.0.0.1", port: 0 };
  const shipped = bootstrap({ listen: any, admin: any, socketPath, xdsDir, filterPath: options.filterPath });
  if (options.name === "filter") return shipped;
  return withoutFilter(shipped, options.name === "delay" ? [delayFilter(longestWaitMs ?? 0)] : []);
}

/** Starts an Envoy and waits until it listens. */
export async function startSide(options: SideOptions): Promise<Side> {
  const { name, dir: runDir, envoyPath, workers: concurrency } = options;
  const socketPath = join(runDir, "control.sock");
  const config = configuration(options, socketPath);
  const started = startEnvoy({ envoyPath, config, runDir, concurrency, logLevel: "warning" });
  const { child, listen, admin } = await started.catch((error: Error) => {
    throw new Error(`${name}: ${error.message}`);
  });
  return { name, pid: child.pid, port: listen.port, admin, socketPath, stop: () => child.stop() };
}
