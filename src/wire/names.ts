// Every header, path, key and statistic that crosses a border. Current name first, then aliases.

// Request headers that only the gateway may set: always removed from what a client sends.
// (internal)
export const HEADER_DESTINATION = "x-gateway-destination-endpoint";
export const HEADER_SUBSET = "x-gateway-destination-endpoint-subset";
export const HEADER_PREFILLER = "x-prefiller-host-port";
export const HEADER_ENCODERS = "x-encoder-hosts-ports";
export const HEADER_DATA_PARALLEL = "x-data-parallel-host-port";
export const HEADER_KV_SOURCE = "x-kv-cache-source-host-port";
/** Envoy's own switches for retries and timeouts: they are the gateway's, not the client's. */
export const HEADER_MAX_RETRIES = "x-envoy-max-retries";
export const HEADER_RETRY_ON = "x-envoy-retry-on";
export const HEADER_RETRY_GRPC_ON = "x-envoy-retry-grpc-on";
export const HEADER_RETRIABLE_CODES = "x-envoy-retriable-status-codes";
export const HEADER_RETRIABLE_HEADERS = "x-envoy-retriable-header-names";
export const HEADER_TIMEOUT_MS = "x-envoy-upstream-rq-timeout-ms";
export const HEADER_TRY_TIMEOUT_MS = "x-envoy-upstream-rq-per-try-timeout-ms";
export const HEADER_HEDGE = "x-envoy-hedge-on-per-try-timeout";

// Request headers that the gateway sets for its own routes: what a client sends in them is removed.
// (internal)
/** The model of the request's body, as the Body-Based Router names it. */
export const HEADER_MODEL_NAME = "x-gateway-model-name";
export const HEADER_BASE_MODEL_NAME = "x-gateway-base-model-name";
/** "namespace/name" of the pool that was chosen, for routes to match on. */
export const HEADER_POOL = "x-pointsman-pool";

// Request headers that clients may set; those that are for the gateway alone are removed before the server.
// Current name first, then the alias.
export const HEADER_OBJECTIVE = "x-llm-d-inference-objective";
export const HEADER_OBJECTIVE_OLD = "x-gateway-inference-objective";
export const HEADER_FAIRNESS = "x-llm-d-inference-fairness-id";
export const HEADER_FAIRNESS_OLD = "x-gateway-inference-fairness-id";
export const HEADER_REWRITE = "x-llm-d-model-name-rewrite";
export const HEADER_REWRITE_OLD = "x-gateway-model-name-rewrite";
/** Milliseconds. */
export const HEADER_SLO_TTFT = "x-llm-d-slo-ttft-ms";
export const HEADER_SLO_TTFT_OLD = "x-slo-ttft-ms";
export const HEADER_SLO_TPOT = "x-llm-d-slo-tpot-ms";
export const HEADER_SLO_TPOT_OLD = "x-slo-tpot-ms";
/** How long the request may wait: seconds, or a duration such as 1500ms. */
export const HEADER_TTL = "x-llm-d-inference-ttl";
/** "if-available": 412 unless the endpoint picked is known to hold some of the prompt. */
export const HEADER_PREFER = "prefer";
/** "1" or "true": the answer shows how the request would be picked, where the configuration allows it. */
export const HEADER_EXPLAIN = "x-pointsman-explain";
// … what a video in the prompt is like: seconds, "WIDTHxHEIGHT"
export const HEADER_VIDEO_SECONDS = "x-llm-d-video-duration-seconds";
export const HEADER_VIDEO_RESOLUTION = "x-llm-d-video-resolution";
/** Frames in a second; every video counts two, as vLLM samples them. */
export const HEADER_VIDEO_FPS = "x-llm-d-video-fps";

// Response headers
export const HEADER_SERVED = "x-gateway-destination-endpoint-served";
export const HEADER_DROPPED_REASON = "x-llm-d-request-dropped-reason";

/**
 * The internal request headers but HEADER_SUBSET, which a proxy in front may be trusted with, and HEADER_SERVED. The
 * filter removes them, and the shipped Envoy before it, on routes that bypass the filter too.
 */
export const HEADERS_INTERNAL: StaticArray<string> = [
  HEADER_DESTINATION,
  HEADER_SERVED,
  HEADER_PREFILLER,
  HEADER_ENCODERS,
  HEADER_DATA_PARALLEL,
  HEADER_KV_SOURCE,
  HEADER_MODEL_NAME,
  HEADER_BASE_MODEL_NAME,
  HEADER_POOL,
  HEADER_MAX_RETRIES,
  HEADER_RETRY_ON,
  HEADER_RETRY_GRPC_ON,
  HEADER_RETRIABLE_CODES,
  HEADER_RETRIABLE_HEADERS,
  HEADER_TIMEOUT_MS,
  HEADER_TRY_TIMEOUT_MS,
  HEADER_HEDGE,
];

// Reasons in HEADER_DROPPED_REASON
export const REASON_NO_ENDPOINTS = "rejected-no-endpoints";
export const REASON_SATURATED = "rejected-saturated";
export const REASON_TTL_EXPIRED = "rejected-ttl-expired";
export const REASON_SHUTTING_DOWN = "rejected-shutting-down";
export const REASON_EVICTED = "evicted";

/** What a request without a fairness id is counted under. */
export const FAIRNESS_DEFAULT = "default-flow";

// The control channel: HTTP/1.1 on the Unix socket, see docs/protocol.md
export const PATH_TOPOLOGY = "/v1/topology";
export const PATH_METRICS = "/v1/metrics";
export const PATH_REPORT = "/v1/report";
/** PUT: nothing shall wait any more, the proxy is about to end. DELETE: it is not. */
export const PATH_DRAIN = "/v1/drain";
/** Followed by a worker's slot: what it counted by labels, see series.ts. */
export const PATH_SERIES = "/v1/series/";
/** Followed by the path of a request: how that request would be picked for. */
export const PATH_EXPLAIN = "/v1/explain";

// Keys of the data that all VMs of one vm_id share
export const KEY_TOPOLOGY = "topology";
export const KEY_METRICS = "metrics";
/** 16 bytes: topology epoch u64, metrics sequence u64. */
export const KEY_VERSION = "version";
/** One byte while the proxy is about to end, else empty. */
export const KEY_DRAIN = "drain";
// What the workers of one layout share. Another layout gets other names: while a rollout drains the
// filter before it, neither may read the other's bytes or think its slots free.
/** WORKERS_MAX times { generation u64, takenNs u64 }. Who holds which slot; see share/lease. */
export const KEY_LEASES = "leases/3";
/** Followed by the slot's number: what that worker knows, see report.ts. */
export const KEY_COLUMN = "column/3/";
/** Followed by the slot's number: what that worker counted by labels, see series.ts. */
export const KEY_SERIES = "series/1/";
/** Queues: followed by the slot's number, what the others tell that worker, see broadcast.ts. */
export const KEY_QUEUE = "queue/3/";

// Envoy: names that the bootstrap, the agent and the filter agree on
export const VM_ID = "pointsman";
export const CLUSTER_PREFIX = "pointsman/";
export const ROUTE_CONFIG = "pointsman";
/** Name of every route that the agent writes: it leads where the filter says, and chooses no pool. */
export const ROUTE_NAME = "inference";
/** Namespace of the metadata by which a route chooses the pool: its key "pool", as "namespace/name". */
export const METADATA_NAMESPACE = "pointsman";
export const METADATA_POOL = "pool";
/** Namespace of the metadata in which a filter or gateway says which endpoints may be picked. */
export const METADATA_SUBSET = "envoy.lb.subset_hint";
/** Response code details of the filter's own replies: Envoy rewrites local replies that lack it. */
export const REPLY_DETAILS = "pointsman";

// Statistics, as Prometheus prints them. Labels are made by stats_config.stats_tags.
export const STAT_REQUESTS = "pointsman_requests_total";
export const STAT_PICKS = "pointsman_picks_total";
export const STAT_IN_FLIGHT = "pointsman_inflight_requests";
export const STAT_PICK_NS = "pointsman_pick_ns";
export const STAT_SNAPSHOT_AGE_MS = "pointsman_snapshot_age_ms";
export const STAT_SNAPSHOT_EPOCH = "pointsman_snapshot_epoch";
