// The other side of the comparison: an Envoy without the filter that gives each server its turn.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Address, parseAddress } from "../envoy/address.ts";
import { type Child, startChild } from "../envoy/child.ts";
import { locateEnvoy } from "../envoy/locate.ts";
import { adminGet } from "../envoy/process.ts";

export interface RoundRobin {
  readonly listen: Address;
  /** Resolves, with the reason, when Envoy has ended. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 20_000;
const POLL_MS = 10;
const UNBOUNDED = 1_000_000;

/** Starts it on free ports of 127.0.0.1, with its files in `dir`. Rejects with a sentence for the user. */
export async function startRoundRobin(servers: readonly Address[], dir: string, workers: number): Promise<RoundRobin> {
  const located = locateEnvoy(undefined);
  if ("problem" in located) throw new Error(located.problem);
  mkdirSync(dir, { recursive: true });
  const configPath = join(dir, "envoy.json");
  const adminPath = join(dir, "admin-address");
  writeFileSync(configPath, JSON.stringify(configuration(servers)));
  // biome-ignore format: one option and its value per line
  const args = [
    "--config-path", configPath,
    "--admin-address-path", adminPath,
    "--log-level", "warning",
    "--concurrency", String(workers),
    "--disable-hot-restart",
  ];
  const child = startChild({ command: located.path, args });
  try {
    return { listen: await listening(child, adminPath), ended: child.ended, stop: () => child.stop() };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** Everything that would stop a long stream or refuse a queue is off, as on the other side. */
function configuration(servers: readonly Address[]): object {
  const router = { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" };
  const connections = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "main",
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, route: { cluster: "servers", timeout: "0s" } }],
        },
      ],
    },
    http_filters: [{ name: "envoy.filters.http.router", typed_config: router }],
  };
  const endpoints = servers.map((server) => ({ endpoint: { address: socketAddress(server) } }));
  const threshold = { max_connections: UNBOUNDED, max_pending_requests: UNBOUNDED, max_requests: UNBOUNDED };
  return {
    admin: { address: socketAddress({ host: "127.0.0.1", port: 0 }) },
    static_resources: {
      listeners: [
        {
          name: "main",
          address: socketAddress({ host: "127.0.0.1", port: 0 }),
          filter_chains: [
            { filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: connections }] },
          ],
        },
      ],
      clusters: [
        {
          name: "servers",
          type: "STATIC",
          lb_policy: "ROUND_ROBIN",
          circuit_breakers: { thresholds: [threshold] },
          load_assignment: { cluster_name: "servers", endpoints: [{ lb_endpoints: endpoints }] },
        },
      ],
    },
  };
}

function socketAddress(address: Address): object {
  return { socket_address: { address: address.host, port_value: address.port } };
}

/** Where Envoy listens, once it does. */
async function listening(child: Child, adminPath: string): Promise<Address> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const admin = parseAddress(textOf(adminPath));
    const ready = admin !== undefined && (await adminGet(admin, "/ready")) === "LIVE\n";
    const listeners = ready ? await adminGet(admin, "/listeners") : undefined;
    const address = parseAddress(/^main::(\S+)$/m.exec(listeners ?? "")?.[1] ?? "");
    if (address !== undefined) return address;
    if (child.hasEnded()) {
      throw new Error(`the round-robin Envoy did not start (${await child.ended}): ${child.tail().at(-1)}`);
    }
    await sleep(POLL_MS);
  }
  throw new Error(`the round-robin Envoy was not ready within ${START_TIMEOUT_MS / 1000} s`);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
