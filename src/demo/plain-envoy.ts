// The other side of comparisons: an Envoy without the filter, which balances by itself.

import { mkdirSync } from "node:fs";
import type { Address } from "../envoy/address.ts";
import { locateEnvoy } from "../envoy/locate.ts";
import { startEnvoy } from "../envoy/process.ts";

/** As Envoy's lb_policy names them. */
export type Policy = "ROUND_ROBIN" | "LEAST_REQUEST";

export interface PlainEnvoyOptions {
  readonly servers: readonly Address[];
  readonly policy: Policy;
  /** For its files. */
  readonly dir: string;
  readonly workers: number;
}

export interface PlainEnvoy {
  readonly listen: Address;
  /** Resolves, with the reason, when Envoy has ended. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

const UNBOUNDED = 1_000_000;
const PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Idle connections are left before the servers close them, at 5 s, as on the other side. */
const HTTP = {
  explicit_http_config: { http_protocol_options: {} },
  common_http_protocol_options: { idle_timeout: "4s" },
};

/** Starts it on free ports of 127.0.0.1. Rejects with a sentence for the user. */
export async function startPlainEnvoy({ servers, policy, dir, workers }: PlainEnvoyOptions): Promise<PlainEnvoy> {
  const located = locateEnvoy(undefined);
  if ("problem" in located) throw new Error(located.problem);
  mkdirSync(dir, { recursive: true });
  const config = configuration(servers, policy);
  const options = { envoyPath: located.path, config, runDir: dir, concurrency: workers, logLevel: "warning" };
  const { child, listen } = await startEnvoy(options).catch((error: Error) => {
    throw new Error(`the Envoy without the filter: ${error.message}`);
  });
  return { listen, ended: child.ended, stop: () => child.stop() };
}

/** Everything that would stop a long stream or refuse a queue is off, as on the other side. */
function configuration(servers: readonly Address[], policy: Policy): object {
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
          lb_policy: policy,
          circuit_breakers: { thresholds: [threshold] },
          typed_extension_protocol_options: {
            [PROTOCOL_OPTIONS]: { "@type": `type.googleapis.com/${PROTOCOL_OPTIONS}`, ...HTTP },
          },
          load_assignment: { cluster_name: "servers", endpoints: [{ lb_endpoints: endpoints }] },
        },
      ],
    },
  };
}

function socketAddress(address: Address): object {
  return { socket_address: { address: address.host, port_value: address.port } };
}
