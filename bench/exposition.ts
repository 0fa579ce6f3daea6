// A /metrics page with the families, the label order and the size of vLLM's.

/** Histograms of vLLM 0.32, which make up most of its page. */
const HISTOGRAMS = [
  "request_prompt_tokens",
  "request_generation_tokens",
  "iteration_tokens_total",
  "request_max_num_generation_tokens",
  "request_params_max_tokens",
  "time_to_first_token_seconds",
  "inter_token_latency_seconds",
  "request_time_per_output_token_seconds",
  "e2e_request_latency_seconds",
  "request_queue_time_seconds",
  "request_inference_time_seconds",
  "request_prefill_time_seconds",
  "request_decode_time_seconds",
];
const BOUNDS = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 160.0".split(
  " ",
);
const LABELS = 'engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"';

export type Load = { readonly waiting: number; readonly running: number; readonly kvUsage: number };

function gauge(name: string, labels: string, value: number): string {
  const text = Number.isInteger(value) ? value.toFixed(1) : String(value);
  return `# HELP ${name} A value of the model server.\n# TYPE ${name} gauge\n${name}{${labels}} ${text}\n`;
}

function histogram(name: string, count: number): string {
  const lines = [`# HELP ${name} Histogram of ${name}.`, `# TYPE ${name} histogram`];
  BOUNDS.forEach((bound, i) => {
    lines.push(
      `${name}_bucket{engine="0",le="${bound}",model_name="meta-llama/Llama-3.3-70B-Instruct"} ${count + i}.0`,
    );
  });
  lines.push(`${name}_bucket{engine="0",le="+Inf",model_name="meta-llama/Llama-3.3-70B-Instruct"} ${count + 99}.0`);
  lines.push(`${name}_count{${LABELS}} ${count + 99}.0`, `${name}_sum{${LABELS}} ${count * 3.5}`, "");
  return lines.join("\n");
}

/** Text of at least `bytes` bytes. What schedulers look for stands where vLLM has it: early, and at the end. */
export function metricsPage(load: Load, bytes: number): string {
  const parts = [
    gauge("process_resident_memory_bytes", 'job="vllm"', 6_182_440_960),
    gauge("vllm:num_requests_running", LABELS, load.running),
    gauge("vllm:num_requests_waiting", LABELS, load.waiting),
    gauge("vllm:kv_cache_usage_perc", LABELS, load.kvUsage),
  ];
  const tail =
    gauge(
      "vllm:lora_requests_info",
      'max_lora="1",running_lora_adapters="",waiting_lora_adapters=""',
      1_795_155_688.25,
    ) + gauge("vllm:cache_config_info", 'block_size="16",cache_dtype="auto",engine="0",num_gpu_blocks="27000"', 1);
  let size = parts.join("").length + tail.length;
  for (let round = 0; size < bytes; round++) {
    const name = HISTOGRAMS[round % HISTOGRAMS.length];
    const suffix = round < HISTOGRAMS.length ? "" : `_${Math.floor(round / HISTOGRAMS.length)}`;
    const text = histogram(`vllm:${name}${suffix}`, 1000 + round);
    parts.push(text);
    size += text.length;
  }
  return parts.join("") + tail;
}
