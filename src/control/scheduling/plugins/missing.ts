// Plugins of the reference that are not there yet, each with what is missing. Where one is referred to, or works by
// being listed, that is an error; a listed one that nothing refers to has no effect, which is a warning.

const DISAGGREGATION = "prefill/decode disaggregation is not there yet";
const LATENCY = "predicted latency is not there yet";
const PRECISE = "the precise prefix cache is not there yet, approx-prefix-cache-producer is";
const MULTIMODAL = "the cache of multimodal embeddings is not there yet";
const MULTICLUSTER = "several clusters are not there yet";
const EVICTION = "who is evicted is not for plugins to say: priorities below 0, the lowest first, the newest of them";
const GPU = "metrics of GPUs are not there yet";
const GRPC = "gRPC is not there yet";

/** Counts where it is listed, referred to or not. */
type Missing = { readonly why: string; readonly worksListed?: boolean; readonly isStep?: boolean };

const works = (why: string): Missing => ({ why, worksListed: true });
const referred = (why: string): Missing => ({ why });
/** A filter or a scorer: without profiles it works by being listed. */
const step = (why: string): Missing => ({ why, isStep: true });

/** Policies of flow control: another one counts where they are referred to. */
export const MISSING_POLICIES: Readonly<Record<string, string>> = {
  "program-aware-fairness": "fairness by program is not there yet",
  "soft-reflective-ceiling-policy": "ceilings that open and close by turns are not there yet",
};

export const MISSING: Readonly<Record<string, Missing>> = {
  "disagg-profile-handler": works(DISAGGREGATION),
  "pd-profile-handler": works(DISAGGREGATION),
  "disagg-headers-handler": referred(DISAGGREGATION),
  "prefill-header-handler": referred(DISAGGREGATION),
  "prefix-based-pd-decider": referred(DISAGGREGATION),
  "always-disagg-pd-decider": referred(DISAGGREGATION),
  "always-disagg-multimodal-decider": referred(DISAGGREGATION),
  "latency-scorer": step(LATENCY),
  "slo-headroom-tier-filter": step(LATENCY),
  "predicted-latency-producer": referred(LATENCY),
  "latency-slo-admitter": works(LATENCY),
  "probabilistic-admitter": works("admission by chance is not there yet"),
  "precise-prefix-cache-scorer": step(PRECISE),
  "precise-prefix-cache-producer": referred(PRECISE),
  "burst-prefix-cache-producer": referred("batching of bursts is not there yet, approx-prefix-cache-producer is"),
  "p2p-source-producer": referred("fetching KV blocks from peers is not there yet"),
  "mm-embeddings-cache-scorer": step(MULTIMODAL),
  "mm-embeddings-cache-producer": referred(MULTIMODAL),
  "multicluster-approx-prefix-cache-producer": referred(MULTICLUSTER),
  "multicluster-metrics-data-source": referred(MULTICLUSTER),
  "multicluster-metrics-extractor": referred(MULTICLUSTER),
  "multicluster-session-affinity-filter": step(MULTICLUSTER),
  "multicluster-queue-scorer": step(MULTICLUSTER),
  "multicluster-kv-cache-utilization-scorer": step(MULTICLUSTER),
  "multicluster-prefix-cache-scorer": step(MULTICLUSTER),
  "multicluster-file-discovery": referred(MULTICLUSTER),
  "file-discovery": referred("endpoints come from the folder of --objects"),
  "dcgm-data-source": referred(GPU),
  "dcgm-extractor": referred(GPU),
  "models-data-source": referred("lists of models are not there yet"),
  "models-data-extractor": referred("lists of models are not there yet"),
  "vllmgrpc-parser": referred(GRPC),
  "vertexai-parser": referred(GRPC),
  ...Object.fromEntries(Object.entries(MISSING_POLICIES).map(([type, why]) => [type, referred(why)])),
  "sheddable-eviction-filter": referred(EVICTION),
  "priority-then-time-eviction-order-policy": referred(EVICTION),
  "agent-identity": referred("flows by agent are not there yet"),
  "request-attribute-reporter": referred("reports of request attributes are not there yet"),
  "disaggregatedset-rollout-screener": works("rollouts of disaggregated sets are not there yet"),
  "header-based-testing-filter": step("filters for tests are not there"),
  "destination-endpoint-served-verifier": referred("plugins for tests are not there"),
  tokenizer: referred("it is deprecated: four bytes of text count as one token, as with token-producer"),
};
