// A metrics page of vLLM read the slow, obvious way: every line taken apart, nothing skipped.

import type { Reading } from "../../src/control/scrape/exposition.ts";

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

/** What `pageReader(VLLM)` must say of a page, without the wording of errors. */
export function readSlowly(page: string): Omit<Reading, "errors"> {
  const all = page.split("\n").flatMap((line) => seriesOf(line) ?? []);
  const of = (...names: string[]) => all.filter((series) => names.includes(series.name));
  const gauge = (most: number, fold: (a: number, b: number) => number, ...names: string[]) => {
    const values = of(...names).map((series) => series.value);
    return values.length > 0 && values.every((value) => value >= 0 && value <= most) ? values.reduce(fold) : undefined;
  };
  const add = (a: number, b: number) => a + b;
  const usable = (series: Series) => series.labels !== undefined && Number.isFinite(series.value);
  const caches = of("vllm:cache_config_info").filter(usable);
  const first = (label: string) =>
    caches.map((series) => whole(series.labels?.get(label))).find((n) => n !== undefined);
  const newest = of("vllm:lora_requests_info")
    .filter(usable)
    .reduce<Series | undefined>((best, series) => (best && best.value >= series.value ? best : series), undefined);
  return {
    waiting: gauge(Number.MAX_VALUE, add, "vllm:num_requests_waiting"),
    running: gauge(Number.MAX_VALUE, add, "vllm:num_requests_running"),
    kvUsage: gauge(1, (a, b) => Math.max(a, b), "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    blockSize: first("block_size"),
    blocks: first("num_gpu_blocks"),
    maxAdapters: newest && whole(newest.labels?.get("max_lora")),
    activeAdapters: newest && list(newest.labels?.get("running_lora_adapters")),
    waitingAdapters: newest && list(newest.labels?.get("waiting_lora_adapters")),
  };
}
