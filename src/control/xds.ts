// Clusters, members and the route of bare Envoy, as files that Envoy watches. JSON, which is YAML. Each file is
// replaced by rename, and only when its content changes. Under Envoy Gateway its own control plane does this.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { crc32 } from "node:zlib";
import { CLUSTER_PREFIX, HEADER_DESTINATION, HEADER_POOL, ROUTE_CONFIG, ROUTE_NAME } from "../wire/names.ts";
import { DESTINATIONS_DEFAULT } from "../wire/policy.ts";
import { type Endpoint, poolName } from "./endpoints.ts";
import type { Pool } from "./kinds/object.ts";

/** The largest body that is kept for a retry on another endpoint: a chat of some million tokens. */
export const RETRY_BUFFER_BYTES = 33_554_432;
/** No model server is as slow to accept. */
const CONNECT_TIMEOUT = "2s";
/** vLLM closes a connection that is idle for 5 s, without saying so before. */
const UPSTREAM_IDLE_TIMEOUT = "4s";
const CONNECTION_BUFFER_BYTES = 1_048_576;
/** Thousands of streams at once are normal; what limits them is the model servers' queues. */
const CIRCUIT_BREAKER_MAX = 1_000_000;
/** A cluster that no file defines: its requests are answered 503. */
const NO_CLUSTER = `${CLUSTER_PREFIX}none`;

export type XdsOptions = {
  readonly dir: string;
  /** `namespace/name` of the pool that the route leads to; with only one pool, that one. */
  readonly defaultPool: string | undefined;
  readonly retryBufferBytes: number;
  /** How long the filter may hold a request at present; undefined when it holds none, or without end. */
  readonly longestWaitMs?: () => number | undefined;
};

/** What of a pool its cluster is made from. */
export type ClusterPool = Pick<Pool, "namespace" | "name" | "appProtocol">;

/** A pool and its members, as far as Envoy's files tell them. */
export type Members = {
  readonly pool: ClusterPool;
  readonly endpoints: readonly Pick<Endpoint, "ip" | "port">[];
};

export function clusterName(pool: Pick<Pool, "namespace" | "name">): string {
  return `${CLUSTER_PREFIX}${poolName(pool)}`;
}

/** A file name, with the suffixes it gets here, has at most 255 bytes. */
const STEM_BYTES_MAX = 240;

/**
 * A namespace has no dot, so no two pools share a file. A long name is cut and told apart by its hash, after a
 * character that no name has.
 */
function membersFile(pool: ClusterPool): string {
  const stem = `${pool.namespace}.${pool.name}`;
  if (Buffer.byteLength(stem) <= STEM_BYTES_MAX) return `${stem}.yaml`;
  const hash = createHash("sha256").update(stem).digest("hex");
  return `${stem.slice(0, STEM_BYTES_MAX - hash.length - 1)}_${hash}.yaml`;
}

const TYPES = "type.googleapis.com/envoy";
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

function loadBalancing(): object {
  const leastRequest = {
    name: "envoy.load_balancing_policies.least_request",
    typed_config: { "@type": `${TYPES}.extensions.load_balancing_policies.least_request.v3.LeastRequest` },
  };
  const overrideHost = {
    name: "envoy.load_balancing_policies.override_host",
    typed_config: {
      "@type": `${TYPES}.extensions.load_balancing_policies.override_host.v3.OverrideHost`,
      override_host_sources: [{ header: HEADER_DESTINATION }],
      fallback_policy: { policies: [{ typed_extension_config: leastRequest }] },
    },
  };
  return { policies: [{ typed_extension_config: overrideHost }] };
}

function protocolOptions(pool: ClusterPool): object {
  const explicit = pool.appProtocol === "h2c" ? { http2_protocol_options: {} } : { http_protocol_options: {} };
  return {
    [HTTP_OPTIONS]: {
      "@type": `${TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions`,
      common_http_protocol_options: { idle_timeout: UPSTREAM_IDLE_TIMEOUT },
      explicit_http_config: explicit,
    },
  };
}

/** `membersDir` holds the file with the pool's members. */
export function cluster(pool: ClusterPool, membersDir: string): object {
  const most = CIRCUIT_BREAKER_MAX;
  return {
    "@type": `${TYPES}.config.cluster.v3.Cluster`,
    name: clusterName(pool),
    type: "EDS",
    eds_cluster_config: {
      eds_config: {
        resource_api_version: "V3",
        path_config_source: { path: join(membersDir, membersFile(pool)), watched_directory: { path: membersDir } },
      },
    },
    connect_timeout: CONNECT_TIMEOUT,
    per_connection_buffer_limit_bytes: CONNECTION_BUFFER_BYTES,
    load_balancing_policy: loadBalancing(),
    circuit_breakers: {
      thresholds: [{ max_connections: most, max_pending_requests: most, max_requests: most, max_retries: most }],
    },
    typed_extension_protocol_options: protocolOptions(pool),
  };
}

export function members(pool: ClusterPool, endpoints: Members["endpoints"]): object {
  const hosts = endpoints.map(({ ip, port }) => ({
    endpoint: { address: { socket_address: { address: ip, port_value: port } } },
  }));
  return {
    "@type": `${TYPES}.config.endpoint.v3.ClusterLoadAssignment`,
    cluster_name: clusterName(pool),
    endpoints: hosts.length === 0 ? [] : [{ lb_endpoints: hosts }],
  };
}

/** What of routes is the same for all. */
export type RouteSettings = {
  readonly retryBufferBytes: number;
  /** While the filter holds a request so long at most; undefined: no request is held, or without end. */
  readonly longestWaitMs?: number | undefined;
};

/**
 * One route for each pool that the filter may choose and name in a header, then one for all other requests. They
 * have one name, which chooses nothing: the filter's choice would else be bound by a header that a client sent.
 */
export function routes(choices: readonly ClusterPool[], target: string, settings: RouteSettings): object {
  const chosen = choices.flatMap((pool) =>
    routesTo(clusterName(pool), [{ name: HEADER_POOL, string_match: { exact: poolName(pool) } }], settings),
  );
  return {
    "@type": `${TYPES}.config.route.v3.RouteConfiguration`,
    name: ROUTE_CONFIG,
    virtual_hosts: [{ name: "all", domains: ["*"], routes: [...chosen, ...routesTo(target, [], settings)] }],
  };
}

/** Beyond the longest wait: a request that is held so long was lost with the worker's VM, which trapped. */
const LOST_AFTER_WAIT_MS = 5_000;

/**
 * Requests with these headers to one cluster. While requests may be held, those that have not been given a
 * destination end when nothing happens for too long; once they have one, the model server may take its time.
 */
function routesTo(target: string, headers: readonly object[], settings: RouteSettings): object[] {
  const { longestWaitMs } = settings;
  const usual = route({ prefix: "/", ...(headers.length === 0 ? {} : { headers }) }, target, settings);
  if (longestWaitMs === undefined) return [usual];
  const steered = { prefix: "/", headers: [...headers, { name: HEADER_DESTINATION, present_match: true }] };
  const idle = { idle_timeout: `${(longestWaitMs + LOST_AFTER_WAIT_MS) / 1_000}s` };
  return [route(steered, target, settings), { ...usual, route: { ...usual.route, ...idle } }];
}

/** A try that fails goes on to the next endpoint of the filter's list. */
function route(match: object, target: string, { retryBufferBytes }: RouteSettings) {
  return {
    name: ROUTE_NAME,
    match,
    request_body_buffer_limit: retryBufferBytes,
    route: {
      cluster: target,
      timeout: "0s",
      retry_policy: {
        retry_on: "connect-failure,refused-stream,reset,retriable-status-codes",
        retriable_status_codes: [503],
        // Of the default profile's list; the filter says so when a list is of another length.
        num_retries: DESTINATIONS_DEFAULT - 1,
        retry_back_off: { base_interval: "0.005s", max_interval: "0.05s" },
      },
    },
  };
}

function response(resources: readonly object[]): string {
  const version = crc32(JSON.stringify(resources)).toString(16);
  return `${JSON.stringify({ version_info: version, resources }, undefined, 1)}\n`;
}

/** The resources of a file that `response` made. */
function resourcesOf(content: string | undefined): readonly unknown[] {
  return content === undefined ? [] : (JSON.parse(content) as { readonly resources: readonly unknown[] }).resources;
}

/** What `cluster` made, read back. */
function clusterPoolOf(resource: unknown): ClusterPool {
  const { name: full, typed_extension_protocol_options: options } = resource as {
    readonly name: string;
    readonly typed_extension_protocol_options: Readonly<Record<string, { readonly explicit_http_config: object }>>;
  };
  const [namespace, name] = full.slice(CLUSTER_PREFIX.length).split("/");
  if (!full.startsWith(CLUSTER_PREFIX) || !namespace || !name) throw new Error(`${full}: no cluster of a pool`);
  const isH2c = "http2_protocol_options" in options[HTTP_OPTIONS]!.explicit_http_config;
  return { namespace, name, appProtocol: isH2c ? "h2c" : "http" };
}

/** What `members` made, read back. */
function endpointsOf(resource: unknown): Members["endpoints"] {
  type Host = {
    readonly endpoint: { readonly address: { readonly socket_address: { address: string; port_value: number } } };
  };
  const { endpoints } = resource as { readonly endpoints: readonly { readonly lb_endpoints: readonly Host[] }[] };
  return endpoints.flatMap(({ lb_endpoints }) =>
    lb_endpoints.map(({ endpoint }) => {
      const { address: ip, port_value: port } = endpoint.address.socket_address;
      if (typeof ip !== "string" || typeof port !== "number") throw new Error("no address of a member");
      return { ip, port };
    }),
  );
}

export class XdsFiles {
  readonly #options: XdsOptions;
  readonly #dir: string;
  readonly #membersDir: string;
  /** What each file holds, by path. Starts with what an earlier agent left. */
  readonly #written = new Map<string, string>();

  /** Makes the directories. Throws when that is not possible or they cannot be read. */
  constructor(options: XdsOptions) {
    this.#options = options;
    this.#dir = resolve(options.dir);
    this.#membersDir = join(this.#dir, "eds");
    mkdirSync(this.#membersDir, { recursive: true });
    for (const dir of [this.#dir, this.#membersDir])
      for (const file of readdirSync(dir).filter((name) => name.endsWith(".yaml")))
        this.#written.set(join(dir, file), readFileSync(join(dir, file), "utf8"));
  }

  /** Pools and members in the files now: before the first write, what an earlier agent left. */
  found(): readonly Members[] {
    try {
      return resourcesOf(this.#written.get(join(this.#dir, "cds.yaml"))).map((resource) => {
        const pool = clusterPoolOf(resource);
        const file = this.#written.get(join(this.#membersDir, membersFile(pool)));
        return { pool, endpoints: resourcesOf(file).flatMap(endpointsOf) };
      });
    } catch {
      // No agent has written these files, so the filter has no endpoints of theirs.
      return [];
    }
  }

  /** Envoy does not start without its files: where there are none, writes some without a pool. Throws as `write`. */
  prepare(): void {
    if (!this.#written.has(join(this.#dir, "cds.yaml"))) this.write([], []);
  }

  /**
   * Writes `pools` and their members; the routes lead to pools of `routed`. Members come before the clusters that
   * need them, and clusters before the route. Throws when a file cannot be written.
   */
  write(pools: readonly Members[], routed: readonly Members[]): void {
    const keep = new Set<string>();
    for (const { pool, endpoints } of pools) {
      const path = join(this.#membersDir, membersFile(pool));
      keep.add(path);
      this.#replace(path, response([members(pool, endpoints)]));
    }
    const clusters = pools.map(({ pool }) => cluster(pool, this.#membersDir));
    this.#replace(join(this.#dir, "cds.yaml"), response(clusters));
    const target = this.#target(routed);
    const choices = routed.length > 1 ? routed.map(({ pool }) => pool) : [];
    const { retryBufferBytes, longestWaitMs } = this.#options;
    const configuration = routes(choices, target, { retryBufferBytes, longestWaitMs: longestWaitMs?.() });
    this.#replace(join(this.#dir, "rds.yaml"), response([configuration]));
    for (const path of this.#written.keys()) {
      if (!path.startsWith(`${this.#membersDir}/`) || keep.has(path)) continue;
      rmSync(path, { force: true });
      this.#written.delete(path);
    }
  }

  #target(pools: readonly Members[]): string {
    const { defaultPool } = this.#options;
    const chosen = defaultPool
      ? pools.find(({ pool }) => poolName(pool) === defaultPool)
      : pools.length === 1
        ? pools[0]
        : undefined;
    return chosen ? clusterName(chosen.pool) : NO_CLUSTER;
  }

  #replace(path: string, content: string): void {
    if (this.#written.get(path) === content) return;
    const temporary = `${path}.new`;
    writeFileSync(temporary, content);
    renameSync(temporary, path);
    this.#written.set(path, content);
  }
}
