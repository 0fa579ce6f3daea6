// The Envoy bootstrap as code: the public listener with the filter, the control listener with the
// same module in its ingest role, and clusters and routes that the agent keeps current in files.

import { join } from "node:path";
import { INSPECTION_BYTES, SNAPSHOT_BYTES_MAX } from "../wire/limits.ts";
import { ROUTE_CONFIG, VM_ID } from "../wire/names.ts";
import type { Address } from "./address.ts";
import { localReplies } from "./local-replies.ts";
import { HISTOGRAM_BUCKETS, STATS_TAGS } from "./stats.ts";
import { stripInternalHeaders } from "./strip-headers.ts";

/** The filter's own settings, as it reads them from its plugin configuration. */
export interface FilterConfig {
  /** Before the first snapshot: 503 (FailClose) or unsteered (FailOpen). Later each pool's own counts. */
  readonly failureMode?: "FailClose" | "FailOpen";
  /** "namespace/name"; without it the only pool there is. */
  readonly defaultPool?: string;
  /** Whether responses name the endpoint that served them. */
  readonly servedHeader?: boolean;
  readonly inspectionBytes?: number;
  /** What the prefix cache index of each worker may take. */
  readonly prefixIndexMiB?: number;
  /** Answers requests that ask for it, by header, with an explanation of their pick. */
  readonly explain?: boolean;
  /** Client headers that are believed: "all" (the default), "none", or names with commas between them. */
  readonly trustedHeaders?: string;
  /** Believes the subset header: only where a proxy in front removes it from what clients send. */
  readonly trustSubsetHeader?: boolean;
  /** Whether filters before this one may say in metadata which endpoints to pick from; a look costs 1 µs. */
  readonly subsetHint?: "metadata" | "off";
  /** With several pools: the header in which a request names one, as "namespace/name". */
  readonly poolHeader?: string;
  /** Names model and pool in headers and chooses the route anew also when there is one pool only. */
  readonly modelHeader?: boolean;
  /** Tells the access log pool, endpoint, score and reason of each pick; on where an access log is written. */
  readonly accessLogFields?: boolean;
  /** Asks servers for the usage of streams whose callers do not say, and takes it out of the answers again. */
  readonly injectUsage?: boolean;
  /** Makes the random breaking of ties repeatable. */
  readonly seed?: number;
}

export interface BootstrapOptions {
  readonly listen: Address;
  readonly admin: Address;
  /** The control listener's socket. */
  readonly socketPath: string;
  /** Folder of cds.yaml, rds.yaml and eds/, written by the agent. */
  readonly xdsDir: string;
  /** The compiled filter. */
  readonly filterPath: string;
  readonly filter?: FilterConfig;
  /** What a connection may hold while the filter inspects; at least inspectionBytes and a margin. */
  readonly bufferBytes?: number;
  /** File for Envoy's access log, "/dev/stdout" included. None without it. */
  readonly accessLogPath?: string;
}

/** A megabyte holds the inspected part of a body and what the socket delivers beyond it. */
export const BUFFER_BYTES = 1_048_576;
/** What one read of the socket may add to a body that is just below the inspection limit, and headers. */
export const BUFFER_MARGIN_BYTES = 131_072;
/** Twice the largest snapshot: Envoy answers 413 by itself when a held body fills the buffer. */
const CONTROL_BUFFER_BYTES = 2 * SNAPSHOT_BYTES_MAX;
/** A model may think for minutes before its first byte; a stream silent for an hour is dead. */
const STREAM_IDLE_TIMEOUT = "3600s";
const CONTROL_TIMEOUT = "10s";
/** Streams on one HTTP/2 connection: a gateway in front may send all it has over one. */
const CONCURRENT_STREAMS = 10_000;
/** Envoy warns when nothing bounds this; files and memory run out far above it. */
const CONNECTIONS_MAX = 100_000;

/** The bootstrap as a plain object, ready to be printed as YAML or JSON. */
export function bootstrap(options: BootstrapOptions): object {
  return {
    node: { id: "pointsman", cluster: "pointsman" },
    admin: { address: socketAddress(options.admin) },
    static_resources: { listeners: [mainListener(options), controlListener(options)] },
    dynamic_resources: { cds_config: watchedFile(options.xdsDir, "cds.yaml") },
    stats_config: { stats_tags: STATS_TAGS, histogram_bucket_settings: HISTOGRAM_BUCKETS },
    overload_manager: {
      resource_monitors: [
        {
          name: "envoy.resource_monitors.global_downstream_max_connections",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            max_active_downstream_connections: CONNECTIONS_MAX,
          },
        },
      ],
    },
  };
}

/** The settings of the listener's filter: an access log, where there is one, shows its picks. */
function mainFilter({ filter, accessLogPath }: BootstrapOptions): FilterConfig {
  return accessLogPath === undefined ? { ...filter } : { accessLogFields: true, ...filter };
}

/** The plugin configuration of the filter role, with every default written out. */
function filterConfig(filter: FilterConfig = {}): object {
  return {
    role: "filter",
    failureMode: filter.failureMode ?? "FailClose",
    servedHeader: filter.servedHeader ?? true,
    inspectionBytes: filter.inspectionBytes ?? INSPECTION_BYTES,
    ...(filter.defaultPool === undefined ? {} : { defaultPool: filter.defaultPool }),
    ...(filter.seed === undefined ? {} : { seed: filter.seed }),
    ...(filter.prefixIndexMiB === undefined ? {} : { prefixIndexMiB: filter.prefixIndexMiB }),
    ...(filter.explain === undefined ? {} : { explain: filter.explain }),
    ...(filter.trustedHeaders === undefined ? {} : { trustedHeaders: filter.trustedHeaders }),
    ...(filter.trustSubsetHeader === undefined ? {} : { trustSubsetHeader: filter.trustSubsetHeader }),
    ...(filter.subsetHint === undefined ? {} : { subsetHint: filter.subsetHint }),
    ...(filter.poolHeader === undefined ? {} : { poolHeader: filter.poolHeader }),
    ...(filter.modelHeader === undefined ? {} : { modelHeader: filter.modelHeader }),
    ...(filter.accessLogFields === undefined ? {} : { accessLogFields: filter.accessLogFields }),
    ...(filter.injectUsage === undefined ? {} : { injectUsage: filter.injectUsage }),
  };
}

function mainListener(options: BootstrapOptions): object {
  return {
    name: "main",
    address: socketAddress(options.listen),
    per_connection_buffer_limit_bytes: options.bufferBytes ?? BUFFER_BYTES,
    filter_chains: [{ filters: [connectionManager(mainConnections(options))] }],
  };
}

function mainConnections(options: BootstrapOptions): object {
  return {
    stat_prefix: "main",
    codec_type: "AUTO",
    // Clients are strangers: Envoy drops the x-envoy-* headers by which they could set retries and timeouts.
    use_remote_address: true,
    early_header_mutation_extensions: stripInternalHeaders(options.filter?.trustSubsetHeader === true),
    stream_idle_timeout: STREAM_IDLE_TIMEOUT,
    request_timeout: "0s",
    upgrade_configs: [{ upgrade_type: "websocket" }],
    http2_protocol_options: {
      max_concurrent_streams: CONCURRENT_STREAMS,
      initial_stream_window_size: 262_144,
      initial_connection_window_size: 1_048_576,
    },
    rds: { route_config_name: ROUTE_CONFIG, config_source: watchedFile(options.xdsDir, "rds.yaml") },
    local_reply_config: localReplies(),
    ...(options.accessLogPath === undefined ? {} : { access_log: [accessLog(options.accessLogPath)] }),
    http_filters: [
      wasmFilter(options.filterPath, "filter", "filter", filterConfig(mainFilter(options))),
      routerFilter(),
    ],
  };
}

function controlListener(options: BootstrapOptions): object {
  return {
    name: "control",
    // Only the owner may connect: the socket is the whole authentication.
    address: { pipe: { path: options.socketPath, mode: 0o600 } },
    per_connection_buffer_limit_bytes: CONTROL_BUFFER_BYTES,
    filter_chains: [
      {
        filters: [
          connectionManager({
            stat_prefix: "control",
            codec_type: "HTTP1",
            request_timeout: CONTROL_TIMEOUT,
            route_config: {
              name: "control",
              virtual_hosts: [
                {
                  name: "control",
                  domains: ["*"],
                  // Ingest answers by itself; what reaches the router is nothing it knows.
                  routes: [{ match: { prefix: "/" }, direct_response: { status: 404 } }],
                },
              ],
            },
            http_filters: [
              wasmFilter(options.filterPath, "ingest", "ingest", { role: "ingest" }),
              // The workers' own VM: it answers what ingest hands on, a request whose pick is to be explained.
              wasmFilter(options.filterPath, "explain", "filter", filterConfig({ ...options.filter, explain: true })),
              routerFilter(),
            ],
          }),
        ],
      },
    ],
  };
}

/**
 * The module in one of its roles. A vm_config.configuration of its own gives a role VMs of its own
 * (no shared globals, no shared traps); the common vm_id makes both see the same shared data. The name
 * tells the statistics of plugins in one role apart.
 */
function wasmFilter(filterPath: string, name: string, role: "filter" | "ingest", config: object): object {
  return {
    name: "pointsman",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: {
        name: `pointsman-${name}`,
        root_id: role,
        // Without it a held header stops the body too, and the request hangs.
        allow_on_headers_stop_iteration: true,
        failure_policy: "FAIL_RELOAD",
        // Not below 1 ms: Envoy divides by it.
        reload_config: { backoff: { base_interval: "0.050s", max_interval: "0.500s" } },
        vm_config: {
          vm_id: VM_ID,
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: filterPath } },
          ...(role === "ingest" ? { configuration: stringValue("ingest") } : {}),
        },
        configuration: stringValue(JSON.stringify(config)),
      },
    },
  };
}

function stringValue(value: string): object {
  return { "@type": "type.googleapis.com/google.protobuf.StringValue", value };
}

function routerFilter(): object {
  return {
    name: "envoy.filters.http.router",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
  };
}

function connectionManager(config: object): object {
  const type = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: { "@type": `type.googleapis.com/${type}`, ...config },
  };
}

/** What Envoy writes by itself, in its order, and what the filter tells of the pick. */
const ACCESS_LOG_LINE = `${[
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS%',
  "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESPONSE_CODE_DETAILS%",
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"',
  ...["pool", "endpoint", "score", "reason"].map((field) => `${field}=%FILTER_STATE(wasm.${field}:PLAIN)%`),
].join(" ")}\n`;

function accessLog(path: string): object {
  const type = "type.googleapis.com/envoy.extensions.access_loggers";
  const log_format = { text_format_source: { inline_string: ACCESS_LOG_LINE } };
  // Not by its path: /dev/stdout cannot be opened when it is a socket, as under Node.
  if (path === "/dev/stdout") {
    return {
      name: "envoy.access_loggers.stdout",
      typed_config: { "@type": `${type}.stream.v3.StdoutAccessLog`, log_format },
    };
  }
  const file = { "@type": `${type}.file.v3.FileAccessLog`, path, log_format };
  return { name: "envoy.access_loggers.file", typed_config: file };
}

/** A file that takes effect when it is renamed into place. */
function watchedFile(dir: string, name: string): object {
  return {
    resource_api_version: "V3",
    path_config_source: { path: join(dir, name), watched_directory: { path: dir } },
  };
}

function socketAddress(address: Address): object {
  return { socket_address: { address: address.host, port_value: address.port } };
}
