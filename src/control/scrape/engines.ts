// Which metric families of which model server mean what. An entry per engine; names exact, newest first.
//
// Plain Triton has no number of running requests: nv_inference_exec_count, which other endpoint pickers read as one,
// counts executions since the start and only grows. What it executes is not in its pending count either.

/** A number that a sample's value is. */
export type Gauge = "waiting" | "running" | "kvUsage" | "blockSize" | "blocks";

/** The series of a family that count carry these labels with these values; all of them count when absent. */
type Series = { readonly name: string; readonly only?: readonly (readonly [label: string, value: string])[] };

/** How a family is read. */
export type Family = Series &
  (
    | {
        readonly role: Gauge;
        /** The label that holds the name of the model. */
        readonly model?: string;
      }
    | {
        readonly role: "cache";
        /** Labels that hold the numbers. */
        readonly blockSize: string;
        readonly blocks: string;
      }
    | {
        readonly role: "adapters";
        // Labels: two lists separated by commas and a number. The sample's value is a time: the newest series counts.
        readonly active: string;
        readonly waiting: string;
        readonly max: string;
      }
    | {
        /** A number that a document asks for, under this key. Of several series the largest counts. */
        readonly role: "attribute";
        readonly key: string;
      }
  );

/** Labels of an adapters family, as vLLM names them. */
export const ADAPTER_LABELS = {
  active: "running_lora_adapters",
  waiting: "waiting_lora_adapters",
  max: "max_lora",
} as const;

/** By the value of the pod's engine label. */
export const ENGINES = {
  vllm: [
    { role: "waiting", name: "vllm:num_requests_waiting", model: "model_name" },
    { role: "running", name: "vllm:num_requests_running" },
    { role: "kvUsage", name: "vllm:kv_cache_usage_perc" },
    { role: "kvUsage", name: "vllm:gpu_cache_usage_perc" },
    { role: "cache", name: "vllm:cache_config_info", blockSize: "block_size", blocks: "num_gpu_blocks" },
    { role: "adapters", name: "vllm:lora_requests_info", ...ADAPTER_LABELS },
  ],
  sglang: [
    { role: "waiting", name: "sglang:num_queue_reqs" },
    { role: "running", name: "sglang:num_running_reqs" },
    { role: "kvUsage", name: "sglang:token_usage" },
    { role: "cache", name: "sglang:cache_config_info", blockSize: "page_size", blocks: "num_pages" },
  ],
  "trtllm-serve": [
    { role: "waiting", name: "trtllm_num_requests_waiting" },
    { role: "running", name: "trtllm_num_requests_running" },
    { role: "kvUsage", name: "trtllm_kv_cache_utilization" },
    { role: "blockSize", name: "trtllm_kv_cache_tokens_per_block" },
    { role: "blocks", name: "trtllm_kv_cache_max_blocks" },
  ],
  "triton-tensorrt-llm": [
    { role: "waiting", name: "nv_trt_llm_request_metrics", only: [["request_type", "waiting"]] },
    { role: "running", name: "nv_trt_llm_request_metrics", only: [["request_type", "scheduled"]] },
    { role: "kvUsage", name: "nv_trt_llm_kv_cache_block_metrics", only: [["kv_cache_block_type", "fraction"]] },
    { role: "blockSize", name: "nv_trt_llm_kv_cache_block_metrics", only: [["kv_cache_block_type", "tokens_per"]] },
    { role: "blocks", name: "nv_trt_llm_kv_cache_block_metrics", only: [["kv_cache_block_type", "max"]] },
  ],
  triton: [{ role: "waiting", name: "nv_inference_pending_request_count" }],
  "llama.cpp": [
    { role: "waiting", name: "llamacpp:requests_deferred" },
    { role: "running", name: "llamacpp:requests_processing" },
  ],
} as const satisfies Readonly<Record<string, readonly Family[]>>;

export type EngineName = keyof typeof ENGINES;

/** How to tell a pod's engine, and what its metrics are called. */
export type Engines = {
  /** Names of pod labels; the first that is there counts. */
  readonly labels: readonly string[];
  /** Of a pod that says nothing, or something that is not known. */
  readonly fallback: string;
  /** By the value of the pod's engine label. */
  readonly families: Readonly<Record<string, readonly Family[]>>;
};

export const ENGINE_LABEL = "llm-d.ai/engine-type";

export const ENGINES_DEFAULT: Engines = {
  // Current name first, then the alias.
  labels: [ENGINE_LABEL, "inference.networking.k8s.io/engine-type"],
  fallback: "vllm",
  families: ENGINES,
};

/** What a pod with these labels runs. `unknown` is a label, as `name: value`, whose value is no engine's name. */
export function engineOf(
  podLabels: Readonly<Record<string, string>>,
  { labels, fallback, families }: Engines,
): { readonly engine: string; readonly unknown?: string } {
  const label = labels.find((name) => podLabels[name] !== undefined);
  if (label === undefined) return { engine: fallback };
  const engine = podLabels[label]!;
  return Object.hasOwn(families, engine) ? { engine } : { engine: fallback, unknown: `${label}: ${engine}` };
}
