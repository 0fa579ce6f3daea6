// Every bound, with the reason for its value. Plain numbers for asc and Node.

// Topology

/** Endpoints over all pools: a blob of 4096 rows is 128 KiB + text, read in one shared-data copy. */
export const ENDPOINTS_MAX: u32 = 4096;
export const POOLS_MAX: u32 = 64;
/** As the InferencePool CRD allows. */
export const TARGET_PORTS_MAX: u32 = 8;
/** "[IPv6]:port" is 47 bytes at most; room for a zone. */
export const ADDRESS_BYTES_MAX: u32 = 64;
/** A namespace (63), a slash and a name (253). */
export const POOL_NAME_BYTES_MAX: u32 = 320;
/** Largest blob that ingest takes and a filter reads: 4096 rows with the longest pod names are 1.4 MB. */
export const SNAPSHOT_BYTES_MAX: u32 = 2_097_152;

// Request bodies

/**
 * How much of a body is read before the decision: 131,072 tokens of 4 bytes, the reference's limit
 * on matched prompt. Above it the request is picked by what was read, and the rest streams through.
 */
export const INSPECTION_BYTES: u32 = 524_288;
/** One fetch from the host: a host call costs about 1 µs, so 64 KiB hide it and still fit L2. */
export const FETCH_BYTES: u32 = 65_536;
/**
 * Nesting of objects and arrays in a body. Tool schemas reach about 20. A deeper body is refused,
 * as model servers do (Python's parser stops near 1,000).
 */
export const JSON_DEPTH_MAX: u32 = 512;
/** Text of a top-level member name that is told apart: the longest known name and one. */
export const JSON_KEY_BYTES_MAX: u32 = 32;
/** As the InferenceModel CRD allows. A longer model name passes but is known by no object. */
export const MODEL_BYTES_MAX: u32 = 256;

// Workers

/** Streams live at once on one worker; beyond it requests pass without a pick, counted. */
export const STREAMS_MAX: u32 = 32_768;
/** Worker threads that share what they know: Envoy's --concurrency on the largest machines. */
export const WORKERS_MAX: u32 = 64;
/** Plugin configurations alive at once in one VM, old ones draining included. */
export const ROOTS_MAX: u32 = 32;
/** Scratch for what the host returns during one callback: a fetch, or the largest blob, and headers. */
export const SCRATCH_BYTES: u32 = 4_194_304;

// Times

/** At most this often does a worker look for news and publish its own: 1 ms. */
export const SYNC_NS: u32 = 1_000_000;
/** How often an idle worker says that it is alive. */
export const HEARTBEAT_MS: u32 = 250;
/** What a worker could not tell at once, because it had just told something, it tells after this. */
export const CATCH_UP_MS: u32 = 10;
/** A worker silent for three heartbeats is gone: its in-flight counts no longer count. */
export const WORKER_LOST_MS: u32 = 750;

// The list an answer may fall back on

/** Entries of x-gateway-destination-endpoint: the first is served, the others are for retries. */
export const DESTINATIONS_MAX: u32 = 3;
