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
export const REPORT_VERSION: u32 = 2;
export const REPORT_BYTES: u32 = 64;
export const R_MAGIC: u32 = 0;
export const R_VERSION: u32 = 4;
export const R_NOW_NS: u32 = 8;
export const R_TOPOLOGY_EPOCH: u32 = 16;
export const R_METRICS_SEQUENCE: u32 = 24;
export const R_WORKER_COUNT: u32 = 32;

// Column header, 128 bytes, then `entryCount` entries, then `adapterCount` adapter entries. Columns
// follow each other without padding.
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
// └──────────────┴──────────────┴─────────────────────────────┘
export const COLUMN_BYTES: u32 = 128;
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
