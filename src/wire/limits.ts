// Every bound, with the reason for its value. Plain numbers for asc and Node.

// Topology

/**
 * Endpoints over all pools: 5,000 pods with room for the new ones of an update. A blob of 8192 rows is 1 MiB + text,
 * read in one shared-data copy.
 */
export const ENDPOINTS_MAX: u32 = 8192;
/** Ids a worker has for endpoints: all of a topology, and 4096 that left it while requests still run on them. */
export const ENDPOINT_IDS_MAX: u32 = 12_288;
export const POOLS_MAX: u32 = 64;
/** As the InferencePool CRD allows. */
export const TARGET_PORTS_MAX: u32 = 8;
/** "[IPv6]:port" is 47 bytes at most; room for a zone. */
export const ADDRESS_BYTES_MAX: u32 = 64;
/** A namespace (63), a slash and a name (253). */
export const POOL_NAME_BYTES_MAX: u32 = 320;
/** A namespace (63), a slash, a pod's name (253) and "-rank-7". */
export const ENDPOINT_ID_BYTES_MAX: u32 = 324;
/** Largest blob that ingest takes and a filter reads: 8192 rows with the longest names of pods are 5.9 MB. */
export const SNAPSHOT_BYTES_MAX: u32 = 6_291_456;

// The program (an EndpointPickerConfig as numbers)

export const PROFILES_MAX: u32 = 16;
/** Filters and scorers over all profiles. */
export const STEPS_MAX: u32 = 128;
export const HEADER_NAMES_MAX: u32 = 16;
/** As HTTP/2 stacks commonly allow for one field. */
export const HEADER_NAME_BYTES_MAX: u32 = 256;
/** Label filters: bits of one u64 per endpoint. */
export const LABEL_FILTERS_MAX: u32 = 64;
/** What steps know of labels, and custom metrics: fields of fixed rows. */
export const COLUMNS_MAX: u32 = 8;
export const ATTRIBUTES_MAX: u32 = 8;
/** Hashes of adapter names in one metrics blob: 512 KiB. vLLM's max_loras is rarely above 16 per server. */
export const ADAPTER_HASHES_MAX: u32 = 65_536;

// What the objects say about models (models.ts), in one snapshot

export const OBJECTIVES_MAX: u32 = 4096;
/** Model names over all pools. */
export const MODELS_MAX: u32 = 4096;
/** Of one model name, and over all. */
export const TARGETS_PER_MODEL_MAX: u32 = 64;
export const TARGETS_MAX: u32 = 16_384;
/** Of all this with its texts, so that the largest tables leave the endpoints most of SNAPSHOT_BYTES_MAX. */
export const MODELS_TABLE_BYTES_MAX: u32 = 1_048_576;

// Request control

/** Bands with a priority of their own in one program. */
export const BANDS_MAX: u32 = 64;
/** Of a fairness id or a model name as a label of statistics: a longer one is cut. */
export const LABEL_BYTES_MAX: u32 = 128;
/** Combinations of labels told apart in the statistics of requests; the others count as "other". */
export const SERIES_MAX: u32 = 1000;
/** Decisions of rules about models that are told apart: rule, caller's name and target. */
export const DECISIONS_MAX: u32 = 256;

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
/** Strings of one batch of completions that are hashed for the prefix cache; of the others the size counts. */
export const PROMPTS_MAX: u32 = 1024;
/** Of cache_salt: a longer one counts by its beginning. */
export const SALT_BYTES_MAX: u32 = 256;
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
export const SCRATCH_BYTES: u32 = 7_340_032;

// Times

/** At most this often does a worker look for news and publish its own: 1 ms. */
export const SYNC_NS: u32 = 1_000_000;
/** How often an idle worker says that it is alive. */
export const HEARTBEAT_MS: u32 = 250;
/** What a worker could not tell at once, because it had just told something, it tells after this. */
export const CATCH_UP_MS: u32 = 10;
/** How often a worker on which requests wait looks whether one has a place, or its time has run out. */
export const QUEUE_TICK_MS: u32 = 20;
/** What another worker has had waiting for so long goes before: it knows of it, and does not serve it itself. */
export const HELD_MS: u32 = 50;
/** Requests sent on in one go: each is read, picked for and sent, some tens of µs together. */
export const DISPATCHES_MAX: u32 = 64;
/** A worker silent for three heartbeats is gone: its in-flight counts no longer count. */
export const WORKER_LOST_MS: u32 = 750;

// Prefix cache

/** A block of the approximate prefix cache has at least so many tokens, as in the reference. */
export const BLOCK_TOKENS_MIN: u32 = 64;
/** Block sizes told apart in one pool: each costs a hash chain per request. */
export const BLOCK_SIZES_MAX: u32 = 4;
/** Blocks of one request over all its prompts: INSPECTION_BYTES in the smallest blocks, and a tail each. */
export const BLOCKS_MAX: u32 = 4096;
/** What the index may take in each worker, in MiB, unless the plugin configuration says otherwise. */
export const INDEX_MIB_DEFAULT: u32 = 64;
export const INDEX_MIB_MAX: u32 = 1024;

// Answers

/** An explained pick: 1000 endpoints and six scorers are about 800 KB. A longer one is refused with a sentence. */
export const EXPLANATION_BYTES_MAX: u32 = 1_048_576;

// What else is remembered

/** Adapters that one endpoint lists, running or waiting: of longer lists the first count. */
export const ADAPTERS_LISTED_MAX: u32 = 256;
/** Pairs of endpoint and adapter with requests in flight, per worker and over all. */
export const ADAPTERS_IN_FLIGHT_MAX: u32 = 8192;
/** Bindings of session ids to endpoints: 2 MiB a worker. The oldest fall out. */
export const SESSIONS_MAX: u32 = 65_536;

// The list an answer may fall back on

/** Entries of x-gateway-destination-endpoint: the first is served, the others are for retries. */
export const DESTINATIONS_MAX: u32 = 8;
