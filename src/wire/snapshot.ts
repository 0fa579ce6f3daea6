// The layout of what the agent pushes and every filter reads in place. Plain numbers: compiled by
// asc, imported by Node, so a filter and an agent of one build cannot disagree about an offset.
//
// All integers little-endian. A blob is a HEADER, fixed-width rows, then a heap of UTF-8 text that
// rows point into with (offset from the heap's start, length). Two kinds of blob:
//
//   topology  pools, endpoints and the program that schedules: changes when a pod comes, goes or
//             changes readiness or labels, or when the EndpointPickerConfig changes
//   metrics   one row per endpoint of that topology, in its order: changes with every scrape
//
// A change of layout makes a new FORMAT. Filters read FORMAT and FORMAT - 1, because the ingest
// role of a proxy outlives a rollout of the filter and of the agent. New fields go at the end of a
// row; a filter widens the rows of the older format with zeros when it loads them. A field that was reserved,
// and whose 0 says what the filter did before, is no change of layout.

export const MAGIC: u32 = 0x4e4d5350; // "PSMN"
/**
 * 2: pool rows of 32 bytes without a program, endpoint rows of 32 without labels, metrics rows of 64.
 * 3: as below.
 */
export const FORMAT: u32 = 3;
export const FORMAT_OLDEST: u32 = 2;

export const KIND_TOPOLOGY: u32 = 1;
export const KIND_METRICS: u32 = 2;

// Header of every blob, 64 bytes
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ magic     u32│ format u16   │ length    u32│ crc32     u32│ 0
// │              │ kind   u16   │ whole blob   │ bytes 24…end │
// ├──────────────┴──────────────┼──────────────┴──────────────┤
// │ receivedNs               u64│ epoch                    u64│ 16
// │ 0 when sent; ingest stamps  │ of the topology             │
// ├─────────────────────────────┼──────────────┬──────────────┤
// │ sequence                 u64│ poolCount u32│ rowCount  u32│ 32
// │ of metrics in the epoch     │ 0 in metrics │ endpoints    │
// ├──────────────┬──────────────┼──────────────┼──────────────┤
// │ heapOffset   │ heapLength   │ poolsOffset  │ rowsOffset   │ 48
// │ u32          │ u32          │ u32          │ u32          │
// └──────────────┴──────────────┴──────────────┴──────────────┘
export const HEADER_BYTES: u32 = 64;
export const H_MAGIC: u32 = 0;
export const H_FORMAT: u32 = 4;
export const H_KIND: u32 = 6;
export const H_LENGTH: u32 = 8;
/** CRC-32 (IEEE 802.3, as in zlib) of the bytes from CRC_FROM to the end. */
export const H_CRC32: u32 = 12;
/** Monotonic clock of the proxy when ingest took the blob: rows age from here. */
export const H_RECEIVED_NS: u32 = 16;
export const CRC_FROM: u32 = 24;
export const H_EPOCH: u32 = 24;
export const H_SEQUENCE: u32 = 32;
export const H_POOL_COUNT: u32 = 40;
export const H_ROW_COUNT: u32 = 44;
export const H_HEAP_OFFSET: u32 = 48;
export const H_HEAP_LENGTH: u32 = 52;
export const H_POOLS_OFFSET: u32 = 56;
export const H_ROWS_OFFSET: u32 = 60;

// Pool row, 64 bytes (format 2: the first 32). A pool's endpoints are the rows firstRow … firstRow +
// rowCount - 1.
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ nameOffset   │ nameLength   │ firstRow     │ rowCount     │ 0    name is "namespace/name"
// │ u32          │ u32          │ u32          │ u32          │
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ failureMode  │ program   u32│ programBytes │ reserved     │ 16   program.ts, from the start of the
// │ u8           │ 0 = default  │ u32          │              │      blob, 8-byte aligned
// ├──────────────┼──────────────┼──────────────┴──────────────┤
// │ models    u32│ modelsBytes  │ reserved                    │ 32   models.ts, as program
// │ 0 = none     │ u32          │                             │
// ├──────────────┴──────────────┴─────────────────────────────┤
// │ reserved                                                  │ 48
// └───────────────────────────────────────────────────────────┘
export const POOL_BYTES: u32 = 64;
export const POOL_BYTES_2: u32 = 32;
export const P_NAME_OFFSET: u32 = 0;
export const P_NAME_LENGTH: u32 = 4;
export const P_FIRST_ROW: u32 = 8;
export const P_ROW_COUNT: u32 = 12;
export const P_FAILURE_MODE: u32 = 16;
export const P_PROGRAM: u32 = 20;
export const P_PROGRAM_BYTES: u32 = 24;
export const P_MODELS: u32 = 32;
export const P_MODELS_BYTES: u32 = 36;

/** A pool without an endpoint that can be picked answers 503. */
export const FAIL_CLOSE: u32 = 0;
/** … goes on unsteered: the cluster's own load balancing picks. */
export const FAIL_OPEN: u32 = 1;

// Endpoint row (topology), 128 bytes (format 2: the first 32)
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ addressOffset│ addressLength│ podOffset    │ podLength    │ 0    "10.0.0.1:8000" or "[fd00::1]:8000";
// │ u32          │ u32          │ u32          │ u32          │      name of the pod
// ├──────────────┼──────────────┼──────────────┴──────────────┤
// │ idOffset  u32│ idLength  u32│ passes                   u64│ 16   "namespace/pod-rank-0"; a bit for each
// ├──────────────┴──────────────┴─────────────────────────────┤      label filter that lets it through
// │ reserved                                                  │ 32
// │                                                           │ 48
// ├─────────────────────────────┬─────────────────────────────┤
// │ column 0                 u64│ column 1                 u64│ 64   what a step of the program wants to
// │ …                           │ column 7                 u64│      know of the labels, see program.ts
// └─────────────────────────────┴─────────────────────────────┘
export const ENDPOINT_BYTES: u32 = 128;
export const ENDPOINT_BYTES_2: u32 = 32;
export const E_ADDRESS_OFFSET: u32 = 0;
export const E_ADDRESS_LENGTH: u32 = 4;
export const E_POD_OFFSET: u32 = 8;
export const E_POD_LENGTH: u32 = 12;
/** The reference's name of an endpoint: namespace, slash, pod, "-rank-" and the index of the target port. */
export const E_ID_OFFSET: u32 = 16;
export const E_ID_LENGTH: u32 = 20;
export const E_PASSES: u32 = 24;
export const E_COLUMNS: u32 = 64;

// Metrics row, 128 bytes (format 2: the first 64, without adapters). A metrics blob's heap holds u64
// hashes (FNV-1a) of adapter names.
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ waiting   f32│ running   f32│ kvUsage   f32│ known     u32│ 0    requests, requests, 0…1, bits below
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ ageMs     u32│ intervalMs   │ scrape    u32│ reserved     │ 16   age when the blob was encoded
// │              │ u32          │ counts up    │              │
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ blockSize u32│ blocks    u32│ maxAdapters  │ adapters  u32│ 32   tokens, blocks, adapters; index of the
// │              │              │ u32          │              │      first hash in the heap
// ├──────┬───────┼──────────────┼──────────────┴──────────────┤
// │ run  │ wait  │ reserved     │ baseModel                u64│ 48   how many hashes: of running adapters,
// │ u16  │ u16   │              │ FNV-1a, 0 = unknown         │      then of waiting ones
// ├──────┴───────┴──────────────┴─────────────────────────────┤
// │ attribute 0 … 7                                        f32│ 64   custom metrics, NaN = unknown
// │                                                           │ 80
// ├───────────────────────────────────────────────────────────┤
// │ reserved                                                  │ 96
// │                                                           │ 112
// └───────────────────────────────────────────────────────────┘
export const METRICS_BYTES: u32 = 128;
export const METRICS_BYTES_2: u32 = 64;
export const M_WAITING: u32 = 0;
export const M_RUNNING: u32 = 4;
export const M_KV_USAGE: u32 = 8;
export const M_KNOWN: u32 = 12;
export const M_AGE_MS: u32 = 16;
/** How often this endpoint is scraped at present, in ms. */
export const M_INTERVAL_MS: u32 = 20;
/** Number of successful scrapes of this endpoint: a changed number is a new measurement. */
export const M_SCRAPE: u32 = 24;
export const M_BLOCK_SIZE: u32 = 32;
export const M_BLOCKS: u32 = 36;
export const M_MAX_ADAPTERS: u32 = 40;
export const M_ADAPTERS: u32 = 44;
export const M_RUNNING_ADAPTERS: u32 = 48;
export const M_WAITING_ADAPTERS: u32 = 50;
export const M_BASE_MODEL: u32 = 56;
export const M_ATTRIBUTES: u32 = 64;

// Bits of M_KNOWN: which values the endpoint has ever reported. A row without one is unknown there.
export const KNOWN_WAITING: u32 = 1;
export const KNOWN_RUNNING: u32 = 2;
export const KNOWN_KV_USAGE: u32 = 4;
export const KNOWN_BLOCK_SIZE: u32 = 8;
export const KNOWN_BLOCKS: u32 = 16;
export const KNOWN_MAX_ADAPTERS: u32 = 32;
/** It lists its adapters, be the list empty. */
export const KNOWN_ADAPTERS: u32 = 64;
/** Bit of attribute 0; that of attribute n is this << n. */
export const KNOWN_ATTRIBUTE: u32 = 256;
