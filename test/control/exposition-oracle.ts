// A metrics page read the slow, obvious way: every line taken apart, nothing skipped. Which families an engine has is
// written here a second time, as `name` or `name{label=value}`.

import type { EngineName } from "../../src/control/scrape/engines.ts";
import type { Reading } from "../../src/control/scrape/exposition.ts";

type Spec = {
  readonly waiting?: string;
  readonly running?: string;
  readonly kvUsage?: readonly string[];
  /** Gauges. */
  readonly blockSize?: string;
  readonly blocks?: string;
  /** A family and its labels for block size and number of blocks. */
  readonly cache?: readonly [family: string, blockSize: string, blocks: string];
  readonly adapters?: string;
  /** Names of the models: a family and its label. */
  readonly models?: readonly [family: string, label: string];
};

const SPECS: Readonly<Record<EngineName, Spec>> = {
  vllm: {
    waiting: "vllm:num_requests_waiting",
    running: "vllm:num_requests_running",
    kvUsage: ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
    cache: ["vllm:cache_config_info", "block_size", "num_gpu_blocks"],
    adapters: "vllm:lora_requests_info",
    models: ["vllm:num_requests_waiting", "model_name"],
  },
  sglang: {
    waiting: "sglang:num_queue_reqs",
    running: "sglang:num_running_reqs",
    kvUsage: ["sglang:token_usage"],
    cache: ["sglang:cache_config_info", "page_size", "num_pages"],
  },
  "trtllm-serve": {
    waiting: "trtllm_num_requests_waiting",
    running: "trtllm_num_requests_running",
    kvUsage: ["trtllm_kv_cache_utilization"],
    blockSize: "trtllm_kv_cache_tokens_per_block",
    blocks: "trtllm_kv_cache_max_blocks",
  },
  "triton-tensorrt-llm": {
    waiting: "nv_trt_llm_request_metrics{request_type=waiting}",
    running: "nv_trt_llm_request_metrics{request_type=scheduled}",
    kvUsage: ["nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}"],
    blockSize: "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=tokens_per}",
    blocks: "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=max}",
  },
  triton: { waiting: "nv_inference_pending_request_count" },
  "llama.cpp": { waiting: "llamacpp:requests_deferred", running: "llamacpp:requests_processing" },
};

type Series = {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string> | undefined;
  readonly value: number;
};

const LINE = /^[ \t]*([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*(\{.*)?(.*)$/;
const LABEL = /^[ \t]*([a-zA-Z0-9_]+)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(,|(?=\}))/;

/** A series of a line; undefined when the line is none. A malformed one has the value NaN. */
function seriesOf(line: string): Series | undefined {
  const [, name = "", labelText, plain = ""] = LINE.exec(line) ?? [];
  const afterName = line.trimStart().charAt(name.length);
  if (name === "" || !["{", " ", "\t"].includes(afterName)) return undefined;
  if (labelText === undefined) return { name, labels: new Map(), value: numberOf(plain) };
  const labels = new Map<string, string>();
  let rest = labelText.slice(1);
  for (let label = LABEL.exec(rest); label; label = LABEL.exec(rest)) {
    labels.set(label[1]!, unescaped(label[2]!));
    rest = rest.slice(label[0].length);
  }
  const close = /^[ \t]*\}/.exec(rest);
  if (!close) return { name, labels: undefined, value: Number.NaN };
  return { name, labels, value: numberOf(rest.slice(close[0].length)) };
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (whole, code) =>
    code === "n" ? "\n" : code === '"' || code === "\\" ? code : whole,
  );
}

function numberOf(text: string): number {
  const parts = text.trim().split(/[ \t]+/);
  const [value = "", time = "0"] = parts;
  if (parts.length > 2 || !/^-?\d+$/.test(time)) return Number.NaN;
  return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(value) ? Number.parseFloat(value) : Number.NaN;
}

function whole(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) && Number(text) <= 0xffff_ffff ? Number(text) : undefined;
}

function list(text: string | undefined): readonly string[] {
  return (text ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean);
}

/** Whether a series is what the spec names; a malformed one may be. */
function isOf(spec: string, series: Series): boolean {
  const [, name, label, value] = /^([^{]+)(?:\{(.+)=(.+)\})?$/.exec(spec)!;
  if (series.name !== name) return false;
  return label === undefined || series.labels === undefined || series.labels.get(label) === value;
}

/** What the engine's page reader must say of a page, without the wording of errors. */
export function readSlowly(engine: EngineName, page: string): Omit<Reading, "errors"> {
  const spec = SPECS[engine];
  const all = page.split("\n").flatMap((line) => seriesOf(line) ?? []);
  const of = (specs: readonly string[]) => all.filter((series) => specs.some((each) => isOf(each, series)));
  const gauge = (
    isGood: (value: number) => boolean,
    fold: (a: number, b: number) => number,
    specs: readonly string[],
  ) => {
    const values = of(specs).map((series) => series.value);
    return values.length > 0 && values.every(isGood) ? values.reduce(fold) : undefined;
  };
  const most = (a: number, b: number) => Math.max(a, b);
  const queue = (name: string | undefined) =>
    gauge(
      (value) => value >= 0 && value <= 0xffff_ffff,
      (a, b) => a + b,
      name === undefined ? [] : [name],
    );
  const size = (name: string | undefined, label: string | undefined) => {
    if (name !== undefined) return gauge((value) => whole(String(value)) !== undefined, most, [name]);
    const inLabels = of(spec.cache ? [spec.cache[0]] : [])
      .filter(usable)
      .flatMap((series) => whole(series.labels?.get(label!)) ?? []);
    return inLabels.length === 0 ? undefined : inLabels.reduce(most);
  };
  const newest = of(spec.adapters === undefined ? [] : [spec.adapters])
    .filter(usable)
    .reduce<Series | undefined>((best, series) => (best && best.value >= series.value ? best : series), undefined);
  const models = new Set(
    of(spec.models ? [spec.models[0]] : []).flatMap((series) => series.labels?.get(spec.models![1]) || []),
  );
  return {
    waiting: queue(spec.waiting),
    running: queue(spec.running),
    kvUsage: gauge((value) => value >= 0 && value <= 1, most, spec.kvUsage ?? []),
    blockSize: size(spec.blockSize, spec.cache?.[1]),
    blocks: size(spec.blocks, spec.cache?.[2]),
    maxAdapters: newest && whole(newest.labels?.get("max_lora")),
    activeAdapters: newest && list(newest.labels?.get("running_lora_adapters")),
    waitingAdapters: newest && list(newest.labels?.get("waiting_lora_adapters")),
    baseModel: models.size === 1 ? [...models][0] : undefined,
    attributes: new Map(),
  };
}

function usable(series: Series): boolean {
  return series.labels !== undefined && Number.isFinite(series.value);
}
