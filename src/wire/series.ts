// The statistics of requests by their labels, as a worker writes them under KEY_SERIES and ingest answers them
// to GET PATH_SERIES: a header, a row for each combination of labels, then a row for each decision of a rule about
// a model. A worker's rows keep their order and only count up, running apart. Little-endian.

// Header, 40 bytes
// ┌──────────────┬──────────────┬─────────────────────────────┐
// │ magic     u32│ version   u32│ generation               u64│ 0    who holds the slot
// ├──────────────┴──────────────┼──────────────┬──────────────┤
// │ startedNs                u64│ rowCount  u32│ rowBytes  u32│ 16   when its VM began to count
// ├──────────────┬──────────────┼──────────────┴──────────────┘
// │ decision     │ decision     │                               32
// │ Count     u32│ Bytes     u32│
// └──────────────┴──────────────┘
export const SERIES_MAGIC: u32 = 0x45534d50; // "PMSE"
export const SERIES_VERSION: u32 = 2;
export const SERIES_HEADER_BYTES: u32 = 40;
export const H_MAGIC: u32 = 0;
export const H_VERSION: u32 = 4;
export const H_GENERATION: u32 = 8;
export const H_STARTED_NS: u32 = 16;
export const H_ROW_COUNT: u32 = 24;
export const H_ROW_BYTES: u32 = 28;
export const H_DECISION_COUNT: u32 = 32;
export const H_DECISION_BYTES: u32 = 36;

// Row. The first stands for all combinations that are not told apart.
// ┌──────────────┬──────────────┬─────────────────────────────┐
// │ priority  i32│ running   u32│ requests                 u64│ 0
// ├──────────────┼──────────────┼──────────────┬──────────────┤
// │ callerLength │ targetLength │ fairness     │ reserved     │ 16   bytes of the texts below
// │ u32          │ u32          │ Length    u32│              │
// ├──────────────┴──────────────┴──────────────┴──────────────┤
// │ errors: u32 for each of ERROR_CODES                       │ 32
// ├───────────────────────────────────────────────────────────┤
// │ attempts to pick an endpoint: u32 that came to one,       │ 88
// │ u32 that did not                                          │
// ├───────────────────────────────────────────────────────────┤
// │ histograms: sum u64, then u32 for each bound and one more │ 96   S_… below, without padding
// ├───────────────────────────────────────────────────────────┤
// │ texts: the caller's model, the target, the fairness id,   │
// │ SERIES_LABEL_BYTES each                                   │
// └───────────────────────────────────────────────────────────┘
export const S_PRIORITY: u32 = 0;
export const S_RUNNING: u32 = 4;
export const S_REQUESTS: u32 = 8;
export const S_CALLER_LENGTH: u32 = 16;
export const S_TARGET_LENGTH: u32 = 20;
export const S_FAIRNESS_LENGTH: u32 = 24;
export const S_ERRORS: u32 = 32;

/** HTTP statuses told apart; then another below 500, another, and no answer at all. */
export const ERROR_CODES: StaticArray<u32> = [400, 401, 404, 408, 412, 413, 422, 429, 500, 502, 503];
export const ERROR_CODE_COUNT: u32 = 11;
export const ERROR_OTHER_4XX: u32 = 11;
export const ERROR_OTHER_5XX: u32 = 12;
export const ERROR_NO_ANSWER: u32 = 13;

// Upper bounds of the histograms' buckets
/** Microseconds. */
export const LATENCY_BOUNDS: StaticArray<u32> = [
  5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 1_500_000, 2_500_000, 5_000_000, 7_500_000,
  10_000_000, 15_000_000, 30_000_000, 60_000_000, 120_000_000, 300_000_000, 600_000_000, 1_200_000_000, 1_800_000_000,
  3_600_000_000,
];
const LATENCY_COUNTS: u32 = 23;
/** Microseconds. */
export const TTFT_BOUNDS: StaticArray<u32> = [
  5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 150_000, 250_000, 400_000, 600_000, 1_000_000, 1_500_000,
  2_500_000, 5_000_000, 10_000_000, 20_000_000, 30_000_000, 60_000_000, 120_000_000,
];
const TTFT_COUNTS: u32 = 21;
/** Microseconds. */
export const TPOT_BOUNDS: StaticArray<u32> = [
  500, 1_000, 2_500, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 75_000, 100_000, 150_000, 250_000,
  500_000, 1_000_000, 2_000_000,
];
const TPOT_COUNTS: u32 = 19;
/** Microseconds. */
export const ITL_BOUNDS: StaticArray<u32> = [
  1_000, 2_500, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 75_000, 100_000, 150_000, 250_000,
  500_000, 1_000_000, 2_000_000,
];
const ITL_COUNTS: u32 = 18;
export const TOKEN_BOUNDS: StaticArray<u32> = [
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288,
  1_048_576,
];
const TOKEN_COUNTS: u32 = 22;
export const BYTE_BOUNDS: StaticArray<u32> = [
  64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864, 268_435_456,
  1_073_741_824,
];
const BYTE_COUNTS: u32 = 14;

export const S_ATTEMPTS: u32 = S_ERRORS + 4 * 14;
export const S_DURATION: u32 = S_ATTEMPTS + 4 * 2;
export const S_TTFT: u32 = S_DURATION + 8 + 4 * LATENCY_COUNTS;
/** The same, of answers that are event streams. */
export const S_TTFT_STREAMING: u32 = S_TTFT + 8 + 4 * TTFT_COUNTS;
/** Duration over output tokens. */
export const S_NTPOT: u32 = S_TTFT_STREAMING + 8 + 4 * TTFT_COUNTS;
/** Of event streams: time from the first piece to the last over the tokens after the first. */
export const S_TPOT: u32 = S_NTPOT + 8 + 4 * TPOT_COUNTS;
/** Of event streams: from one piece to the next. */
export const S_ITL: u32 = S_TPOT + 8 + 4 * TPOT_COUNTS;
export const S_INPUT: u32 = S_ITL + 8 + 4 * ITL_COUNTS;
export const S_OUTPUT: u32 = S_INPUT + 8 + 4 * TOKEN_COUNTS;
export const S_CACHED: u32 = S_OUTPUT + 8 + 4 * TOKEN_COUNTS;
export const S_REQUEST_BYTES: u32 = S_CACHED + 8 + 4 * TOKEN_COUNTS;
export const S_RESPONSE_BYTES: u32 = S_REQUEST_BYTES + 8 + 4 * BYTE_COUNTS;
/** LABEL_BYTES_MAX of limits.ts. */
export const SERIES_LABEL_BYTES: u32 = 128;
export const S_CALLER: u32 = S_RESPONSE_BYTES + 8 + 4 * BYTE_COUNTS;
export const S_TARGET: u32 = S_CALLER + SERIES_LABEL_BYTES;
export const S_FAIRNESS: u32 = S_TARGET + SERIES_LABEL_BYTES;
/** 1,428: at SERIES_MAX rows 1.4 MB a worker. */
export const SERIES_ROW_BYTES: u32 = S_FAIRNESS + SERIES_LABEL_BYTES;

// Decision, 408 bytes. The first stands for all that are not told apart.
// ┌─────────────────────────────┬──────────────┬──────────────┐
// │ count                    u64│ ruleLength   │ callerLength │ 0    bytes of the texts below
// │                             │ u32          │ u32          │
// ├──────────────┬──────────────┼──────────────┴──────────────┘
// │ targetLength │ reserved     │                               16
// │ u32          │              │
// ├──────────────┴──────────────┴─────────────────────────────┐
// │ texts: the rule's name, the caller's model, the target,   │ 24
// │ SERIES_LABEL_BYTES each                                   │
// └───────────────────────────────────────────────────────────┘
export const D_COUNT: u32 = 0;
export const D_RULE_LENGTH: u32 = 8;
export const D_CALLER_LENGTH: u32 = 12;
export const D_TARGET_LENGTH: u32 = 16;
export const D_RULE: u32 = 24;
export const D_CALLER: u32 = D_RULE + SERIES_LABEL_BYTES;
export const D_TARGET: u32 = D_CALLER + SERIES_LABEL_BYTES;
export const DECISION_ROW_BYTES: u32 = D_TARGET + SERIES_LABEL_BYTES;
