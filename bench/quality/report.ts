// What was found, as a Markdown table and as JSON.

import { quantile, rounded } from "../statistics.ts";
import type { ClientAnswer } from "./client.ts";
import type { SideName } from "./sides.ts";
import type { WorkloadName } from "./workloads.ts";

export type Result = {
  readonly kind: "quality";
  readonly workload: WorkloadName;
  readonly side: SideName;
  readonly firstTokenMs: { readonly mean: number; readonly p50: number; readonly p90: number; readonly p99: number };
  /** Of the tokens of prompts, from the servers' cache. */
  readonly cachedShare: number;
  readonly requests: number;
  readonly failed: number;
  readonly rounds: readonly { readonly meanMs: number; readonly cachedShare: number; readonly requests: number }[];
};

/** The rounds of one side together. */
export function resultOf(workload: WorkloadName, side: SideName, answers: readonly ClientAnswer[]): Result {
  const all = answers.flatMap(({ firstTokenMs }) => firstTokenMs);
  return {
    kind: "quality",
    workload,
    side,
    firstTokenMs: { mean: mean(all), p50: quantile(all, 0.5), p90: quantile(all, 0.9), p99: quantile(all, 0.99) },
    cachedShare: cachedShare(answers),
    requests: all.length,
    failed: sum(answers.map(({ failed }) => failed)),
    rounds: answers.map((answer) => ({
      meanMs: mean(answer.firstTokenMs),
      cachedShare: cachedShare([answer]),
      requests: answer.firstTokenMs.length,
    })),
  };
}

export function table(results: readonly Result[]): string {
  const head = ["workload", "side", "first token: mean ms", "p50", "p90", "p99", "from cache", "requests", "failed"];
  const rows = results.map(({ workload, side, firstTokenMs, cachedShare, requests, failed }) => {
    const { mean, p50, p90, p99 } = firstTokenMs;
    const times = [mean, p50, p90, p99].map((ms) => ms.toFixed(0));
    return [workload, side, ...times, `${(100 * cachedShare).toFixed(1)} %`, String(requests), String(failed)];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = line(head.map((_, column) => (column < 2 ? "---" : "---:")));
  return [line(head), rule, ...rows.map(line)].join("\n");
}

/** JSON, numbers to three decimals. */
export function jsonOf(record: object): string {
  return `${JSON.stringify(record, (_, value) => (typeof value === "number" ? rounded(value) : value), 1)}\n`;
}

function cachedShare(answers: readonly ClientAnswer[]): number {
  return sum(answers.map(({ cachedTokens }) => cachedTokens)) / sum(answers.map(({ promptTokens }) => promptTokens));
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
