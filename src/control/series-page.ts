// The statistics of requests as Prometheus text, under the reference's names and its older ones.

import { ERROR_CODES } from "../wire/series.ts";
import { histogramLines } from "./histogram-text.ts";
import { HISTOGRAMS, type HistogramName } from "./series.ts";
import type { TotalRow } from "./series-totals.ts";

/** Of the legacy prefix; undefined where the name behind the prefix stayed. */
type Family = { readonly name: string; readonly old?: string; readonly help: string };
type HistogramFamily = Family & {
  readonly of: readonly (readonly [HistogramName, more: Readonly<Record<string, string>>])[];
};

const PREFIX = "llm_d_epp_";
const OLD_PREFIX = "inference_objective_";

const REQUESTS: Family = { name: "request_total", help: "Requests" };
const ERRORS: Family = { name: "request_error_total", help: "Requests that failed, by status" };
const RUNNING: Family = { name: "request_running", old: "running_requests", help: "Requests under way" };

const FAMILIES: readonly HistogramFamily[] = [
  {
    name: "request_duration_seconds",
    help: "From the request's headers to the end of the answer",
    of: [["duration", {}]],
  },
  { name: "request_size_bytes", old: "request_sizes", help: "Size of request bodies", of: [["requestBytes", {}]] },
  { name: "response_size_bytes", old: "response_sizes", help: "Size of response bodies", of: [["responseBytes", {}]] },
  { name: "request_input_tokens", old: "input_tokens", help: "Prompt tokens, from usage", of: [["inputTokens", {}]] },
  {
    name: "request_output_tokens",
    old: "output_tokens",
    help: "Output tokens, from usage",
    of: [["outputTokens", {}]],
  },
  {
    name: "request_cached_tokens",
    old: "prompt_cached_tokens",
    help: "Prompt tokens that were cached, from usage",
    of: [["cachedTokens", {}]],
  },
  {
    name: "request_ntpot_seconds",
    old: "normalized_time_per_output_token_seconds",
    help: "Duration over output tokens",
    of: [["ntpot", {}]],
  },
  {
    name: "request_ttft_seconds",
    help: "From the request's headers to the first piece of the answer's body",
    of: [
      ["ttft", { streaming: "false" }],
      ["ttftStreaming", { streaming: "true" }],
    ],
  },
  {
    name: "request_streaming_tpot_seconds",
    help: "Of event streams: time per output token after the first",
    of: [["tpot", {}]],
  },
  {
    name: "request_streaming_itl_seconds",
    help: "Of event streams: time from one piece to the next",
    of: [["itl", {}]],
  },
];

/** The page's lines, with their ends; a histogram that nothing was counted in is left out. */
export function seriesPage(rows: readonly TotalRow[]): string {
  const lines: string[] = [];
  for (const prefix of [PREFIX, OLD_PREFIX]) {
    const isOld = prefix === OLD_PREFIX;
    const head = ({ name, old, help }: Family, type: string): string => {
      const full = prefix + (isOld ? (old ?? name) : name);
      lines.push(`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`);
      return full;
    };
    counters(rows, head, lines);
    running(rows, head(RUNNING, "gauge"), isOld, lines);
    for (const family of FAMILIES) {
      const name = head(family, "histogram");
      for (const row of rows) for (const [which, more] of family.of) histogram(name, row, which, more, lines);
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

type Head = (family: Family, type: string) => string;

function counters(rows: readonly TotalRow[], head: Head, lines: string[]): void {
  const requests = head(REQUESTS, "counter");
  for (const row of rows) lines.push(`${requests}{${labelsOf(row)}} ${row.requests}`);
  const errors = head(ERRORS, "counter");
  for (const row of rows) {
    for (const [n, count] of row.errors.entries()) {
      if (count > 0) lines.push(`${errors}{${labelsOf(row)},error_code="${errorCode(n)}"} ${count}`);
    }
  }
}

/** The older name has the model for its only label. */
function running(rows: readonly TotalRow[], name: string, isOld: boolean, lines: string[]): void {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const labels = isOld ? `model_name="${escaped(row.labels.model)}"` : labelsOf(row);
    counts.set(labels, (counts.get(labels) ?? 0) + row.running);
  }
  for (const [labels, count] of counts) lines.push(`${name}{${labels}} ${count}`);
}

function errorCode(n: number): string {
  const codes = [...ERROR_CODES.map(String), "4xx", "5xx", "no_answer"];
  return codes[n] ?? String(n);
}

function histogram(
  name: string,
  row: TotalRow,
  which: HistogramName,
  more: Readonly<Record<string, string>>,
  lines: string[],
): void {
  const { sum, counts } = row.histograms[which];
  if (counts.every((count) => count === 0)) return;
  const added = Object.entries(more).map(([label, value]) => `,${label}="${value}"`);
  const labels = labelsOf(row) + added.join("");
  const { bounds, scale } = HISTOGRAMS[which];
  // Times are stored in whole microseconds: as seconds they have at most six places.
  const shown = bounds.map((bound) => Number((bound * scale).toFixed(6)));
  lines.push(...histogramLines({ name, labels, bounds: shown, counts, sum }));
}

function labelsOf({ labels: { model, target, fairnessId, priority } }: TotalRow): string {
  const texts = { model_name: model, target_model_name: target, fairness_id: fairnessId, priority };
  return Object.entries(texts)
    .map(([label, text]) => `${label}="${escaped(text)}"`)
    .join(",");
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
