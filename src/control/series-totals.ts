// What all workers counted by labels, added up over all that ever were: a worker that ends takes its rows with
// it, and a sum over live workers would fall back.

import { SERIES_MAX } from "../wire/limits.ts";
import { ERROR_NO_ANSWER } from "../wire/series.ts";
import { LastHeard } from "./last-heard.ts";
import {
  type Decision,
  HISTOGRAMS,
  type HistogramName,
  type Labels,
  type SeriesBlock,
  type SeriesRow,
} from "./series.ts";

const WORKERS_KEPT = 64;
const OTHER: Labels = { model: "other", target: "other", fairnessId: "other", priority: "other" };
const NAMES = Object.keys(HISTOGRAMS) as readonly HistogramName[];

type MutableHistogram = { sum: number; readonly counts: number[] };

type TotalDecision = Omit<Decision, "count"> & { count: number };

export type TotalRow = {
  readonly labels: Labels;
  running: number;
  requests: number;
  readonly errors: number[];
  readonly attempts: number[];
  readonly histograms: Readonly<Record<HistogramName, MutableHistogram>>;
};

export class SeriesTotals {
  /** What each worker had counted last, by when it began. */
  readonly #last = new LastHeard<SeriesBlock>(WORKERS_KEPT);
  readonly #totals = new Map<string, TotalRow>([[keyOf(OTHER), empty(OTHER)]]);
  readonly #other: TotalDecision = { rule: OTHER.model, model: OTHER.model, target: OTHER.model, count: 0 };
  readonly #decisions = new Map([[JSON.stringify([OTHER.model, OTHER.model, OTHER.model]), this.#other]]);

  /** What all workers that are alive have counted at present. */
  add(blocks: readonly SeriesBlock[]): void {
    for (const total of this.#totals.values()) total.running = 0;
    for (const block of blocks) {
      const last = this.#last.of(block.startedNs);
      for (const [n, row] of block.rows.entries()) addDifference(this.#totalOf(row.labels), row, last?.rows[n]);
      for (const [n, decision] of block.decisions.entries())
        this.#decisionOf(decision).count += decision.count - (last?.decisions[n]?.count ?? 0);
      this.#last.put(block.startedNs, block);
    }
    this.#last.trim();
  }

  rows(): readonly TotalRow[] {
    return [...this.#totals.values()].filter((row) => row.requests > 0);
  }

  /** What rules decided about models, the counts added up. */
  decisions(): readonly Decision[] {
    return [...this.#decisions.values()].filter(({ count }) => count > 0);
  }

  /** The decision with those names; what has no room counts as "other". */
  #decisionOf({ rule, model, target }: Decision): TotalDecision {
    const key = JSON.stringify([rule, model, target]);
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    if (this.#decisions.size >= SERIES_MAX) return this.#other;
    const total = { rule, model, target, count: 0 };
    this.#decisions.set(key, total);
    return total;
  }

  /** The row of those labels; what has no room counts as "other". */
  #totalOf(labels: Labels): TotalRow {
    const key = keyOf(labels);
    const known = this.#totals.get(key);
    if (known !== undefined) return known;
    if (this.#totals.size >= SERIES_MAX) return this.#totalOf(OTHER);
    const total = empty(labels);
    this.#totals.set(key, total);
    return total;
  }
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.values(labels));
}

function empty(labels: Labels): TotalRow {
  const histograms = NAMES.map((name) => [name, { sum: 0, counts: zeros(HISTOGRAMS[name].bounds.length + 1) }]);
  const errors = zeros(ERROR_NO_ANSWER + 1);
  return { labels, running: 0, requests: 0, errors, attempts: zeros(2), histograms: Object.fromEntries(histograms) };
}

function zeros(length: number): number[] {
  return new Array<number>(length).fill(0);
}

function addDifference(total: TotalRow, row: SeriesRow, last: SeriesRow | undefined): void {
  total.running += row.running;
  total.requests += row.requests - (last?.requests ?? 0);
  addCounts(total.errors, row.errors, last?.errors);
  addCounts(total.attempts, row.attempts, last?.attempts);
  for (const name of NAMES) {
    const [to, now, before] = [total.histograms[name], row.histograms[name], last?.histograms[name]];
    to.sum += now.sum - (before?.sum ?? 0);
    addCounts(to.counts, now.counts, before?.counts);
  }
}

/** Counts are u32 and may turn over. */
function addCounts(to: number[], now: readonly number[], before: readonly number[] | undefined): void {
  for (const [n, count] of now.entries()) to[n] = (to[n] ?? 0) + ((count - (before?.[n] ?? 0)) >>> 0);
}
