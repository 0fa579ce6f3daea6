// How endpoints are picked: an EndpointPickerConfig, turned by the agent into numbers. It lies in a
// topology blob; a pool row says where. Little-endian, every row a multiple of 8 bytes:
//
//   PROGRAM, profileCount × PROFILE, stepCount × STEP, headerCount × HEADER NAME, and, where it says so, FLOW
//
// Texts (names of plugins, profiles and headers) lie in the blob's heap. docs/scheduling.md says what
// each step does.

// Program, 96 bytes
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ profileCount │ stepCount    │ headerCount  │ flags     u32│ 0
// │ u32          │ u32          │ u32          │              │
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ handler   u32│ handlerHeader│ defaultProf. │ primaryPort  │ 16   header's number; profile's number or
// │              │ u32          │ u32          │ u32          │      NONE; data-parallel only
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ parsers   u32│ staleMs   u32│ sessionHeader│ flow      u32│ 32   bit per API; header's number or NONE;
// │              │              │ u32          │ 0 = default  │      flow.ts, from the program's start
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ blockSize u32│ capacity  u32│ maxTokens u32│ maxBlocks u32│ 48   prefix cache: tokens, blocks per
// │              │              │              │              │      endpoint, of a prompt to match
// ├──────────────┴──────────────┼──────────────┴──────────────┤
// │ outputRatio              f64│ maxOutputTokens          f64│ 64   in-flight tokens; Infinity = no bound
// ├─────────────────────────────┼─────────────────────────────┤
// │ sessionTtlMs             f64│ coldSize  u32│ reserved     │ 80   of session bindings; of no-hit-lru
// └─────────────────────────────┴─────────────────────────────┘
export const PROGRAM_BYTES: u32 = 96;
export const G_PROFILE_COUNT: u32 = 0;
export const G_STEP_COUNT: u32 = 4;
export const G_HEADER_COUNT: u32 = 8;
export const G_FLAGS: u32 = 12;
export const G_HANDLER: u32 = 16;
export const G_HANDLER_HEADER: u32 = 20;
export const G_DEFAULT_PROFILE: u32 = 24;
export const G_PRIMARY_PORT: u32 = 28;
export const G_PARSERS: u32 = 32;
export const G_STALE_MS: u32 = 36;
/** The header of session tokens, when a step binds by encoded endpoint: it is set on responses. */
export const G_SESSION_HEADER: u32 = 40;
/** Where how requests are admitted is said (flow.ts), in bytes from the program's start; 0 = by default. */
export const G_FLOW: u32 = 44;
export const G_BLOCK_SIZE: u32 = 48;
export const G_CAPACITY: u32 = 52;
/** 0: maxBlocks bounds alone. */
export const G_MAX_TOKENS: u32 = 56;
/** 0: unbounded. Only when maxTokens is 0. */
export const G_MAX_BLOCKS: u32 = 60;
export const G_OUTPUT_RATIO: u32 = 64;
export const G_MAX_OUTPUT_TOKENS: u32 = 72;
export const G_SESSION_TTL_MS: u32 = 80;
export const G_COLD_SIZE: u32 = 88;

/** In the place of a number of a profile or header: there is none. */
export const NONE: u32 = 0xffffffff;

// Bits of G_FLAGS: what the steps need to know, so that nothing else is computed
export const NEEDS_PREFIX: u32 = 1;
/** Tokens in flight per endpoint. */
export const NEEDS_TOKENS: u32 = 2;
/** Requests in flight per endpoint and adapter. */
export const NEEDS_ADAPTERS: u32 = 4;
/** Bindings of session ids to endpoints. */
export const NEEDS_SESSIONS: u32 = 8;
/** Which endpoints were given cold requests, in order. */
export const NEEDS_COLD: u32 = 16;
/** Block size and capacity as each endpoint reports them; else blockSize and capacity of the program. */
export const AUTO_TUNE: u32 = 32;
/** Tokens in flight include an estimate of the output. */
export const ADD_OUTPUT_TOKENS: u32 = 64;
/** Requests wear the prompt's size (context-length-aware). */
export const NEEDS_LENGTH: u32 = 128;

// Profile handlers
export const HANDLER_SINGLE: u32 = 0;
export const HANDLER_HEADER: u32 = 1;
export const HANDLER_DATA_PARALLEL: u32 = 2;

// Profile, 32 bytes. Its steps are firstStep … firstStep + stepCount - 1: filters, then scorers.
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ nameOffset   │ nameLength   │ firstStep u32│ stepCount u32│ 0
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ picker    u32│ endpoints u32│ pickerName   │ pickerName   │ 16   how many are chosen; offset and length
// │              │              │ offset       │ length       │      of the picker's name
// └──────────────┴──────────────┴──────────────┴──────────────┘
export const PROFILE_BYTES: u32 = 32;
export const F_NAME_OFFSET: u32 = 0;
export const F_NAME_LENGTH: u32 = 4;
export const F_FIRST_STEP: u32 = 8;
export const F_STEP_COUNT: u32 = 12;
export const F_PICKER: u32 = 16;
/** 1 … DESTINATIONS_MAX. */
export const F_ENDPOINTS: u32 = 20;
export const F_PICKER_NAME_OFFSET: u32 = 24;
export const F_PICKER_NAME_LENGTH: u32 = 28;

export const PICKER_MAX_SCORE: u32 = 0;
export const PICKER_RANDOM: u32 = 1;
export const PICKER_WEIGHTED_RANDOM: u32 = 2;

// Step, 64 bytes: one filter or scorer of a profile. Which fields count is said at each id.
// ┌──────┬───────┬──────────────┬─────────────────────────────┐
// │ id   │ flags │ number    u32│ weight                   f64│ 0    number: of a bit, column or attribute
// │ u16  │ u16   │              │                             │
// ├──────┴───────┴──────────────┼─────────────────────────────┤
// │ p0                       f64│ p1                       f64│ 16
// ├─────────────────────────────┼─────────────────────────────┤
// │ p2                       f64│ p3                       f64│ 32
// ├──────────────┬──────────────┼──────────────┬──────────────┤
// │ firstHeader  │ headerCount  │ nameOffset   │ nameLength   │ 48   numbers of header names; plugin's name
// │ u32          │ u32          │ u32          │ u32          │
// └──────────────┴──────────────┴──────────────┴──────────────┘
export const STEP_BYTES: u32 = 64;
export const S_ID: u32 = 0;
export const S_FLAGS: u32 = 2;
export const S_NUMBER: u32 = 4;
export const S_WEIGHT: u32 = 8;
export const S_P0: u32 = 16;
export const S_P1: u32 = 24;
export const S_P2: u32 = 32;
export const S_P3: u32 = 40;
export const S_FIRST_HEADER: u32 = 48;
export const S_HEADER_COUNT: u32 = 52;
export const S_NAME_OFFSET: u32 = 56;
export const S_NAME_LENGTH: u32 = 60;

// Ids of filters
/** number: bit of E_PASSES. Role filters, label-selector-filter, by-label. */
export const FILTER_LABELS: u32 = 1;
/** p0 … p3: highest active requests, running requests, waiting queue, KV use; Infinity = no condition. */
export const FILTER_UTILIZATION: u32 = 2;
/** number: attribute; p0: threshold; p1: an OPERATOR. */
export const FILTER_ATTRIBUTE: u32 = 3;
/** p0: affinityThreshold; p1: explorationProbability; p2: maxTTFTPenaltyMs; p3: peakPrefillThroughput. */
export const FILTER_PREFIX_AFFINITY: u32 = 4;
/** Headers: the session's, in order. Flag SESSION_ID. */
export const FILTER_SESSION: u32 = 5;
/** number: column of topology levels; p0: lowest level that passes. */
export const FILTER_TOPOLOGY: u32 = 6;
/** number: column of context ranges. */
export const FILTER_CONTEXT_LENGTH: u32 = 7;
/** p0: queue limit; p1: KV limit (thresholds times 1 + headroom). */
export const FILTER_UTILIZATION_DETECTOR: u32 = 8;
/** p0: request limit; p1: token limit (Infinity where the mode does not count it). */
export const FILTER_CONCURRENCY_DETECTOR: u32 = 9;
/** One more than the largest id of a filter. */
export const FILTERS: u32 = 10;

// Ids of scorers
export const SCORER_QUEUE: u32 = 64;
export const SCORER_RUNNING: u32 = 65;
export const SCORER_KV_USAGE: u32 = 66;
/** p0: matchLengthWeight; p1: matchLengthScaleTokens. */
export const SCORER_PREFIX: u32 = 67;
export const SCORER_LORA: u32 = 68;
/** p0: threshold. */
export const SCORER_LOAD: u32 = 69;
/** p0: idleThreshold; p1: maxBusyScore. */
export const SCORER_ACTIVE_REQUEST: u32 = 70;
/** p0: queueThresholdTokens. */
export const SCORER_TOKEN_LOAD: u32 = 71;
/** As FILTER_SESSION. */
export const SCORER_SESSION: u32 = 72;
/** As FILTER_CONTEXT_LENGTH. */
export const SCORER_CONTEXT_LENGTH: u32 = 73;
export const SCORER_NO_HIT_LRU: u32 = 74;
/** number: attribute; p0, p1: fixed range. Flags LOWER_IS_BETTER, FIXED_RANGE. */
export const SCORER_ATTRIBUTE: u32 = 75;
/** number: column of label values; firstHeader: the header. */
export const SCORER_HEADER_LABEL: u32 = 76;
/** number: column of topology levels. */
export const SCORER_TOPOLOGY: u32 = 77;
/** Ours: requests of this proxy in flight. p0: the floor of the divisor. */
export const SCORER_IN_FLIGHT: u32 = 78;
/** One more than the largest id of a scorer. */
export const SCORERS: u32 = 79;
/** Ids from here on are scorers. */
export const SCORER_FIRST: u32 = 64;

// Bits of S_FLAGS
/** Filters: when nobody is left, all pass. */
export const FALLBACK_ON_EMPTY: u32 = 1;
/** Attribute filter: an endpoint without the value passes. */
export const PASS_MISSING: u32 = 2;
export const LOWER_IS_BETTER: u32 = 4;
export const FIXED_RANGE: u32 = 8;
/** Session steps: bound by session id; else the header carries the encoded endpoint. */
export const SESSION_ID: u32 = 16;

// Operators of FILTER_ATTRIBUTE
export const OPERATOR_LESS: u32 = 0;
export const OPERATOR_LESS_OR_EQUAL: u32 = 1;
export const OPERATOR_GREATER: u32 = 2;
export const OPERATOR_GREATER_OR_EQUAL: u32 = 3;
export const OPERATOR_EQUAL: u32 = 4;
export const OPERATOR_NOT_EQUAL: u32 = 5;

// What endpoint columns hold
// label value    FNV-1a of the value; 0: the endpoint has no such label
// context range  least tokens u32 | most tokens u32 << 32; in the place of the least:
/** … the endpoint has no such label. */
export const RANGE_NONE: u32 = 0xffffffff;
/** … its label is not "min-max". */
export const RANGE_BROKEN: u32 = 0xfffffffe;
// topology       what the endpoint shares with the gateway, the nearest:
export const LEVEL_HOST: u32 = 0;
export const LEVEL_RACK: u32 = 1;
export const LEVEL_ZONE: u32 = 2;
export const LEVEL_REGION: u32 = 3;
export const LEVEL_NONE: u32 = 4;
/** … where the gateway is was not said: the step has no say. */
export const LEVEL_UNKNOWN: u32 = 5;

// Header name, 8 bytes: offset u32, length u32. Lower case.
export const HEADER_NAME_BYTES: u32 = 8;

// APIs, by the path's suffix. Bits of G_PARSERS are 1 << API; a path of none of them passes unread.
export const API_NONE: u32 = 0;
/** …/chat/completions and …/chat/completions/render. */
export const API_CHAT: u32 = 1;
/** …/completions and …/completions/render. */
export const API_COMPLETIONS: u32 = 2;
/** …/embeddings. */
export const API_EMBEDDINGS: u32 = 3;
/** …/responses. */
export const API_RESPONSES: u32 = 4;
/** …/conversations. */
export const API_CONVERSATIONS: u32 = 5;
/** …/images/generations. */
export const API_IMAGES: u32 = 6;
/** …/messages (Anthropic). …/messages/count_tokens passes unread. */
export const API_MESSAGES: u32 = 7;
/** …/inference/v1/generate (vLLM). */
export const API_VLLM_GENERATE: u32 = 8;
/** /generate (SGLang): only when a document names its parser. */
export const API_SGLANG_GENERATE: u32 = 9;

/** The parsers that need no naming: OpenAI's, Anthropic's and vLLM's. */
export const PARSERS_DEFAULT: u32 = 0x1fe;
