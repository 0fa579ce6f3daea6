// The /metrics page, with the names and labels of vLLM 0.32.

import type { EngineOptions, EngineState } from "./engine.ts";

/** Sets of active adapters with the Unix time, in seconds, at which each was last seen: vLLM forgets none. */
export type LoraHistory = ReadonlyMap<string, number>;

export function exposition(model: string, options: EngineOptions, state: EngineState, loras: LoraHistory): string {
  const labels = `engine="0",model_name="${escapeLabel(model)}"`;
  const { deferred } = state;
  const cache =
    `block_size="${options.blockSize}",cache_dtype="auto",enable_prefix_caching="True",engine="0",` +
    `gpu_memory_utilization="0.92",num_cpu_blocks="None",num_gpu_blocks="${options.blocks}",` +
    `num_gpu_blocks_override="${options.blocks}",sliding_window="None"`;
  return [
    family("num_requests_running", "gauge", "Requests in execution batches.", [[labels, state.running]]),
    family("num_requests_waiting", "gauge", "Requests waiting to be processed.", [[labels, state.waiting]]),
    family("num_requests_waiting_by_reason", "gauge", "Waiting requests by reason.", [
      [`${labels},reason="capacity"`, state.waiting - deferred],
      [`${labels},reason="deferred"`, deferred],
    ]),
    family("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent.", [[labels, state.kvUsage]]),
    family("prefix_cache_queries_total", "counter", "Queried tokens.", [[labels, state.prefixQueryTokens]]),
    family("prefix_cache_hits_total", "counter", "Cached tokens.", [[labels, state.prefixHitTokens]]),
    family("prompt_tokens_total", "counter", "Prefill tokens processed.", [[labels, state.promptTokens]]),
    family("generation_tokens_total", "counter", "Generation tokens processed.", [[labels, state.answerTokens]]),
    loraFamily(options, loras),
    family("cache_config_info", "gauge", "Information of the LLMEngine CacheConfig", [[cache, 1]]),
  ].join("");
}

/** Running and waiting adapters are always the same set, as measured on the real server. */
function loraFamily(options: EngineOptions, loras: LoraHistory): string {
  if (loras.size === 0) return "";
  const rows: [string, number][] = [];
  for (const [set, seenS] of loras) {
    const names = escapeLabel(set);
    const labels = `max_lora="${options.maxLoras}",running_lora_adapters="${names}",waiting_lora_adapters="${names}"`;
    rows.push([labels, seenS]);
  }
  return family("lora_requests_info", "gauge", "Running stats on lora requests.", rows);
}

function family(name: string, type: string, help: string, rows: readonly (readonly [string, number])[]): string {
  let text = `# HELP vllm:${name} ${help}\n# TYPE vllm:${name} ${type}\n`;
  for (const [labels, value] of rows) text += `vllm:${name}{${labels}} ${decimal(value)}\n`;
  return text;
}

/** As the Python client prints floats: always with a point, large ones with an exponent. */
function decimal(value: number): string {
  if (value >= 1e9) {
    const [mantissa = "", exponent = ""] = value.toExponential().split("e+");
    return `${mantissa.includes(".") ? mantissa : `${mantissa}.0`}e+${exponent.padStart(2, "0")}`;
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
