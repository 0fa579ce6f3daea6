// Which metric families of which model server mean what. A row per engine; names exact, newest first.

/** How a family is read. Gauges of several series (ranks behind one port) are summed, KV use takes the largest. */
export type Family =
  | { readonly role: "waiting" | "running" | "kvUsage"; readonly name: string }
  | {
      readonly role: "cache";
      readonly name: string;
      /** Labels that hold the numbers. */
      readonly blockSize: string;
      readonly blocks: string;
    }
  | {
      readonly role: "adapters";
      readonly name: string;
      /** Labels: two lists separated by commas and a number. The sample's value is a time: the newest series counts. */
      readonly active: string;
      readonly waiting: string;
      readonly max: string;
    };

export type Engine = { readonly name: string; readonly families: readonly Family[] };

export const VLLM: Engine = {
  name: "vllm",
  families: [
    { role: "waiting", name: "vllm:num_requests_waiting" },
    { role: "running", name: "vllm:num_requests_running" },
    { role: "kvUsage", name: "vllm:kv_cache_usage_perc" },
    { role: "kvUsage", name: "vllm:gpu_cache_usage_perc" },
    { role: "cache", name: "vllm:cache_config_info", blockSize: "block_size", blocks: "num_gpu_blocks" },
    {
      role: "adapters",
      name: "vllm:lora_requests_info",
      active: "running_lora_adapters",
      waiting: "waiting_lora_adapters",
      max: "max_lora",
    },
  ],
};
