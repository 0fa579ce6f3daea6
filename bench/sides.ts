// The two Envoys that are compared. Both come from one configuration, the shipped one; "alone" is
// that configuration without the filter and the control listener, balancing round robin.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "../src/control/kinds/object.ts";
import { cluster, clusterName, members, RETRY_BUFFER_BYTES, routes } from "../src/control/xds.ts";
import { parseAddress } from "../src/envoy/address.ts";
import { bootstrap } from "../src/envoy/bootstrap.ts";
import { type Child, startChild } from "../src/envoy/child.ts";
import { adminGet } from "../src/envoy/process.ts";

export type SideName = "alone" | "filter";

export type SideOptions = {
  readonly name: SideName;
  readonly envoyPath: string;
  readonly filterPath: string;
  /** An existing folder for this side's files. */
  readonly dir: string;
  readonly endpoints: readonly Endpoint[];
  readonly workers: number;
};

export type Endpoint = { readonly host: string; readonly port: number };

export type Side = {
  readonly name: SideName;
  readonly pid: number;
  readonly port: number;
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
const READY_LIMIT_MS = 20_000;

/** The parts of a bootstrap that the two sides differ in. */
type Bootstrap = { static_resources: { listeners: Listener[] } };
type Cluster = {
  typed_extension_protocol_options: Record<string, { common_http_protocol_options: { idle_timeout: string } }>;
};
type Listener = {
  name: string;
  filter_chains: { filters: { typed_config: { http_filters: { name: string }[] } }[] }[];
};

/** `count` addresses of the one backend at `port`: 127.1.0.1, 127.1.0.2, … */
export function endpointsAt(port: number, count: number): readonly Endpoint[] {
  return Array.from({ length: count }, (_, i) => ({ host: `127.1.${i >> 7}.${(i & 127) + 1}`, port }));
}

function withoutFilter(config: object): object {
  const copy = structuredClone(config) as Bootstrap;
  copy.static_resources.listeners = copy.static_resources.listeners.filter(({ name }) => name === "main");
  for (const { filters } of copy.static_resources.listeners.flatMap(({ filter_chains }) => filter_chains)) {
    for (const { typed_config } of filters) {
      typed_config.http_filters = typed_config.http_filters.filter(({ name }) => name !== "pointsman");
    }
  }
  return copy;
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

function writeConfiguration(options: SideOptions, socketPath: string): string {
  const xdsDir = join(options.dir, "xds");
  const membersDir = join(xdsDir, "eds");
  mkdirSync(membersDir, { recursive: true });
  const write = (path: string, resource: object) => writeFileSync(path, JSON.stringify({ resources: [resource] }));
  const addresses = options.endpoints.map(({ host, port }, i) => {
    return { address: `${host}:${port}`, ip: host, port, pod: `server-${i}` };
  });
  write(join(membersDir, `${POOL.namespace}.${POOL.name}.yaml`), members(POOL, addresses));
  write(join(xdsDir, "cds.yaml"), clusterOf(options, membersDir));
  write(join(xdsDir, "rds.yaml"), routes(clusterName(POOL), RETRY_BUFFER_BYTES));
  const any = { host: "127.0.0.1", port: 0 };
  const shipped = bootstrap({ listen: any, admin: any, socketPath, xdsDir, filterPath: options.filterPath });
  const path = join(options.dir, "bootstrap.json");
  writeFileSync(path, JSON.stringify(options.name === "alone" ? withoutFilter(shipped) : shipped));
  return path;
}

/** Starts an Envoy and waits until it listens. */
export async function startSide(options: SideOptions): Promise<Side> {
  const socketPath = join(options.dir, "control.sock");
  const addressPath = join(options.dir, "admin-address");
  // biome-ignore format: one option and its value per line
  const args = [
    "--config-path", writeConfiguration(options, socketPath),
    "--concurrency", String(options.workers),
    "--admin-address-path", addressPath,
    "--log-level", "warning",
    "--disable-hot-restart",
  ];
  const child = startChild({ command: options.envoyPath, args });
  try {
    const port = await listeningPort(child, addressPath);
    return { name: options.name, pid: child.pid, port, socketPath, stop: () => child.stop() };
  } catch (error) {
    await child.stop();
    throw new Error(`Envoy (${options.name}) ${(error as Error).message}\n${child.tail().join("\n")}`);
  }
}

/** The port of the public listener, once Envoy is live. */
async function listeningPort(child: Child, addressPath: string): Promise<number> {
  for (const deadline = Date.now() + READY_LIMIT_MS; Date.now() < deadline; await sleep(50)) {
    if (child.hasEnded()) throw new Error(`ended while starting: ${await child.ended}`);
    const admin = existsSync(addressPath) ? parseAddress(readFileSync(addressPath, "utf8").trim()) : undefined;
    if (admin === undefined || (await adminGet(admin, "/ready")) !== "LIVE\n") continue;
    const port = /^main::127\.0\.0\.1:(\d+)$/m.exec((await adminGet(admin, "/listeners")) ?? "");
    if (port !== null) return Number(port[1]);
  }
  throw new Error(`was not ready after ${READY_LIMIT_MS} ms`);
}
