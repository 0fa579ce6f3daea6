// What the workers know, as the ingest role answers it to GET PATH_REPORT: a header, then the
// column of every worker that is alive. A column is also what the workers exchange among
// themselves, so the agent reads the same bytes as the filters do. Little-endian.

// Report header, 64 bytes
// ┌──────────────┬──────────────┬─────────────────────────────┐
// │ magic     u32│ version   u32│ nowNs                    u64│ 0    monotonic clock of the proxy
// ├──────────────┴──────────────┼─────────────────────────────┤
// │ topologyEpoch            u64│ metricsSequence          u64│ 16   stored by ingest, 0 = none
// ├──────────────┬──────────────┼─────────────────────────────┤
// │ workerCount  │ reserved     │ reserved                    │ 32
// │ u32          │              │                             │
// └──────────────┴──────────────┴─────────────────────────────┘
export const REPORT_MAGIC: u32 = 0x52534d50; // "PMSR"
export const REPORT_VERSION: u32 = 3;
export const REPORT_BYTES: u32 = 64;
export const R_MAGIC: u32 = 0;
export const R_VERSION: u32 = 4;
export const R_NOW_NS: u32 = 8;
export const R_TOPOLOGY_EPOCH: u32 = 16;
export const R_METRICS_SEQUENCE: u32 = 24;
export const R_WORKER_COUNT: u32 = 32;

// Column header, 144 bytes, then `entryCount` entries, `adapterCount` adapter entries, `bandCount` bands and
// `flowCount` flows. Columns follow each other without padding.
// ┌─────────────────────────────┬─────────────────────────────┐
// │ generation               u64│ heartbeatNs              u64│ 0    who holds the slot; when it last wrote
// ├─────────────────────────────┼─────────────────────────────┤
// │ topologyEpoch            u64│ metricsSequence          u64│ 16   what this worker picks by
// ├──────────────┬──────────────┼─────────────────────────────┤
// │ entryCount   │ slot      u32│ requests                 u64│ 32   requests seen since it started
// │ u32          │              │                             │
// ├──────────────┴──────────────┼──────────────┬──────────────┤
// │ picks                    u64│ unread       │ adapterCount │ 48   blobs it could not read
// │                             │ u32          │ u32          │
// ├─────────────────────────────┼──────────────┴──────────────┤
// │ blocks                   u64│ cachedBlocks             u64│ 64   of prompts picked for; and those the
// │                             │                             │      endpoint picked was known to hold
// ├──────────────┬──────────────┼──────────────┬──────────────┤
// │ indexPairs   │ indexKiB  u32│ truncated    │ unlearned    │ 80   (hash, endpoint) in its prefix index;
// │ u32          │              │ u32          │ u32          │      its size; prompts beyond the inspection
// ├──────────────┴──────────────┼──────────────┴──────────────┤      limit; hashes lost on the way to others
// │ told                     u64│ learned                  u64│ 96   hashes sent to other workers; received
// ├──────────────┬──────────────┼─────────────────────────────┤
// │ messages     │ slowestUs    │ deliveryNs               u64│ 112  received from other workers; the longest
// │ u32          │ u32          │                             │      and all their times on the way
// ├──────────────┼──────────────┼─────────────────────────────┤
// │ bandCount    │ flowCount    │ reserved                    │ 128
// │ u32          │ u32          │                             │
// └──────────────┴──────────────┴─────────────────────────────┘
export const COLUMN_BYTES: u32 = 144;
export const C_GENERATION: u32 = 0;
export const C_HEARTBEAT_NS: u32 = 8;
export const C_TOPOLOGY_EPOCH: u32 = 16;
export const C_METRICS_SEQUENCE: u32 = 24;
export const C_ENTRY_COUNT: u32 = 32;
export const C_SLOT: u32 = 36;
export const C_REQUESTS: u32 = 40;
export const C_PICKS: u32 = 48;
export const C_UNREAD: u32 = 56;
export const C_ADAPTER_COUNT: u32 = 60;
export const C_BLOCKS: u32 = 64;
export const C_CACHED_BLOCKS: u32 = 72;
export const C_INDEX_PAIRS: u32 = 80;
export const C_INDEX_KIB: u32 = 84;
export const C_TRUNCATED: u32 = 88;
export const C_UNLEARNED: u32 = 92;
export const C_TOLD: u32 = 96;
export const C_LEARNED: u32 = 104;
export const C_MESSAGES: u32 = 112;
export const C_SLOWEST_US: u32 = 116;
export const C_DELIVERY_NS: u32 = 120;
export const C_BAND_COUNT: u32 = 128;
export const C_FLOW_COUNT: u32 = 132;

// Entry, 32 bytes: one endpoint on which this worker has requests in flight or a failure to tell.
// ┌─────────────────────────────┬──────────────┬──────────────┐
// │ addressHash              u64│ row       u32│ inFlight  u32│ 0    FNV-1a of "ip:port"; row in the epoch
// ├──────────────┬──────────────┼──────────────┴──────────────┤
// │ failures  u32│ tokens    u32│ failedNs                 u64│ 16   in a row; prompt tokens in flight; when
// └──────────────┴──────────────┴─────────────────────────────┘      the last failure happened
export const ENTRY_BYTES: u32 = 32;
export const N_ADDRESS_HASH: u32 = 0;
/** A hint: the row this worker had the endpoint at. The hash decides. */
export const N_ROW: u32 = 8;
export const N_IN_FLIGHT: u32 = 12;
export const N_FAILURES: u32 = 16;
export const N_TOKENS: u32 = 20;
export const N_FAILED_NS: u32 = 24;

// Adapter entry, 32 bytes: requests in flight for one model name on one endpoint.
// ┌─────────────────────────────┬──────────────┬──────────────┐
// │ addressHash              u64│ row       u32│ inFlight  u32│ 0
// ├─────────────────────────────┼──────────────┴──────────────┤
// │ adapterHash              u64│ reserved                    │ 16   FNV-1a of the model's name
// └─────────────────────────────┴─────────────────────────────┘
export const ADAPTER_ENTRY_BYTES: u32 = 32;
export const A_ADDRESS_HASH: u32 = 0;
export const A_ROW: u32 = 8;
export const A_IN_FLIGHT: u32 = 12;
export const A_ADAPTER_HASH: u32 = 16;

// Band, 192 bytes: the requests of one priority of one pool that wait on this worker, and what became of others.
// ┌─────────────────────────────┬──────────────┬──────────────┐
// │ pool                     u64│ priority  i32│ waiting   u32│ 0    FNV-1a of the pool's name
// ├─────────────────────────────┼──────────────┴──────────────┤
// │ bytes                    u64│ sinceNs                  u64│ 16   of what waits; since when something has
// ├─────────────────────────────┼─────────────────────────────┤
// │ turnKey                  u64│ turnSinceNs              u64│ 32   of the request whose turn it is: lower
// ├─────────────────────────────┴─────────────────────────────┤      comes first; when it came
// │ outcome 0 … 7                                          u32│ 48   how many requests ended so, since it
// │                                                           │ 64   started
// ├─────────────────────────────┬─────────────────────────────┤
// │ waitedNs                 u64│ reserved                    │ 80   of all that were sent on or ended waiting
// ├─────────────────────────────┴─────────────────────────────┤
// │ waited 0 … 15                                          u32│ 96   how many of them waited at most so long:
// │                                                           │ 112  WAITED_MS, each counted once
// │                                                           │ 128
// │                                                           │ 144
// ├───────────────────────────────────────────────────────────┤
// │ reserved                                                  │ 160
// │                                                           │ 176
// └───────────────────────────────────────────────────────────┘
export const BAND_ENTRY_BYTES: u32 = 192;
export const Q_POOL: u32 = 0;
export const Q_PRIORITY: u32 = 8;
export const Q_WAITING: u32 = 12;
export const Q_BYTES: u32 = 16;
export const Q_SINCE_NS: u32 = 24;
export const Q_TURN_KEY: u32 = 32;
export const Q_TURN_SINCE_NS: u32 = 40;
export const Q_OUTCOMES: u32 = 48;
export const Q_WAITED_NS: u32 = 80;
export const Q_WAITED: u32 = 96;

// What became of a request that was to be admitted
/** Sent on at once. */
export const ADMITTED_AT_ONCE: u32 = 0;
/** … after it waited. */
export const ADMITTED_LATER: u32 = 1;
/** 429: saturated and sheddable, or no room to wait. */
export const REFUSED_FULL: u32 = 2;
/** 429: its time ran out. */
export const EXPIRED: u32 = 3;
/** 503: … and its pool has no endpoint. */
export const EXPIRED_EMPTY: u32 = 4;
/** The client went away. */
export const CANCELLED: u32 = 5;
/** 503: the gateway is shutting down. */
export const SHUT_DOWN: u32 = 6;
/** It was running, and was ended for a more urgent one. */
export const EVICTED: u32 = 7;
export const ADMISSION_OUTCOMES: u32 = 8;

/** Upper bounds of the counts `waited`, in ms; one more count is of all that waited longer. */
export const WAITED_MS: StaticArray<u32> = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000];
export const WAITED_COUNTS: u32 = 16;

// Flow, 32 bytes: one fairness id that waits here, or was served here within FLOW_TOLD_NS.
// ┌─────────────────────────────┬──────────────┬──────────────┐
// │ pool                     u64│ priority  i32│ waiting   u32│ 0
// ├─────────────────────────────┼──────────────┴──────────────┤
// │ fairness                 u64│ servedNs                 u64│ 16   FNV-1a of the id, 0 = none; when this
// └─────────────────────────────┴─────────────────────────────┘      worker last served it, 0 = never
export const FLOW_ENTRY_BYTES: u32 = 32;
export const F_POOL: u32 = 0;
export const F_PRIORITY: u32 = 8;
export const F_WAITING: u32 = 12;
export const F_FAIRNESS: u32 = 16;
export const F_SERVED_NS: u32 = 24;
/** Flows in one column: the first count. */
export const FLOWS_TOLD_MAX: u32 = 256;
export const FLOW_TOLD_NS: u32 = 1_000_000_000;
