// How requests are admitted: saturation, shedding and queues. A part of a program (program.ts): G_FLOW says how
// many bytes after the program's start it lies, 0 = none, and then the defaults of state/flow_settings count.
//
//   FLOW, bandCount × BAND: first the band for priorities ≥ 0 that have none of their own, then that for negative
//   ones, then those of one priority each, highest first

// Flow, 112 bytes
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ flags     u32│ detector  u32│ bandCount u32│ usage     u32│ 0    usage-limit policy; bandCount ≥ 2
// ├──────────────┴──────────────┼──────────────┴──────────────┤
// │ queueThreshold           f64│ kvThreshold              f64│ 16   utilization: per endpoint
// ├─────────────────────────────┼─────────────────────────────┤
// │ maxConcurrency           f64│ maxTokenConcurrency      f64│ 32   concurrency: per endpoint, Infinity where
// ├─────────────────────────────┼─────────────────────────────┤      the mode does not count it
// │ ceiling                  f64│ maxCeiling               f64│ 48   static: the ceiling (1); holdback: of the
// ├─────────────────────────────┼─────────────────────────────┤      lowest and of the highest priority
// │ maxRequests              f64│ maxBytes                 f64│ 64   of all bands of a pool; Infinity = none
// ├─────────────────────────────┼─────────────────────────────┤
// │ ttlMs                    f64│ emptyTtlMs               f64│ 80   of a waiting request; while the pool has
// ├──────────────┬──────────────┼─────────────────────────────┤      no endpoint. 0 = unbounded
// │ staleMs   u32│ domain    u32│ headroom                 f64│ 96   utilization; holdback; reserved
// └──────────────┴──────────────┴─────────────────────────────┘
export const FLOW_BYTES: u32 = 112;
export const L_FLAGS: u32 = 0;
export const L_DETECTOR: u32 = 4;
export const L_BAND_COUNT: u32 = 8;
export const L_USAGE: u32 = 12;
export const L_QUEUE_THRESHOLD: u32 = 16;
export const L_KV_THRESHOLD: u32 = 24;
export const L_MAX_CONCURRENCY: u32 = 32;
export const L_MAX_TOKEN_CONCURRENCY: u32 = 40;
export const L_CEILING: u32 = 48;
export const L_MAX_CEILING: u32 = 56;
export const L_MAX_REQUESTS: u32 = 64;
export const L_MAX_BYTES: u32 = 72;
export const L_TTL_MS: u32 = 80;
export const L_EMPTY_TTL_MS: u32 = 88;
/** Metrics older than this, and than STALE_INTERVALS of their endpoint's scrape interval, say nothing. */
export const L_STALE_MS: u32 = 96;
export const L_DOMAIN: u32 = 100;

// Bits of L_FLAGS
/** The feature gate: requests that must not go on yet wait. Without it only priorities below 0 are refused. */
export const QUEUES: u32 = 1;
/** Running requests of priorities below 0 are ended when higher ones wait. */
export const EVICTS: u32 = 2;

export const DETECTOR_UTILIZATION: u32 = 0;
export const DETECTOR_CONCURRENCY: u32 = 1;

export const USAGE_STATIC: u32 = 0;
/** Lower priorities stop at a lower saturation, in proportion to their rank or value. */
export const USAGE_HOLDBACK: u32 = 1;

export const DOMAIN_RANK: u32 = 0;
export const DOMAIN_VALUE: u32 = 1;

// Band, 40 bytes
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ priority  i32│ fairness  u32│ ordering  u32│ reserved     │ 0    priority: 0 in the first two
// ├──────────────┴──────────────┼──────────────┴──────────────┤
// │ maxRequests              f64│ maxBytes                 f64│ 16   waiting in it; Infinity = none
// ├─────────────────────────────┼─────────────────────────────┘
// │ ttlMs                    f64│                               32   0 = unbounded
// └─────────────────────────────┘
export const BAND_BYTES: u32 = 40;
export const W_PRIORITY: u32 = 0;
export const W_FAIRNESS: u32 = 4;
export const W_ORDERING: u32 = 8;
export const W_MAX_REQUESTS: u32 = 16;
export const W_MAX_BYTES: u32 = 24;
export const W_TTL_MS: u32 = 32;

export const FAIRNESS_ROUND_ROBIN: u32 = 0;
/** The oldest of the band, whose ever it is. */
export const FAIRNESS_GLOBAL_STRICT: u32 = 1;

export const ORDERING_FCFS: u32 = 0;
/** By when the request would expire. */
export const ORDERING_EDF: u32 = 1;
/** By when its first token is wanted: received + the header's time to first token. */
export const ORDERING_SLO: u32 = 2;

/** Defaults of the reference, but for fairness: round-robin is ours. */
export const QUEUE_THRESHOLD = 5;
export const KV_THRESHOLD = 0.8;
export const MAX_CONCURRENCY = 100;
export const MAX_TOKEN_CONCURRENCY = 1_000_000;
export const BAND_REQUESTS_MAX = 5_000;
export const BAND_BYTES_MAX = 1_000_000_000;
export const REQUEST_TTL_MS = 60_000;
