// What the workers have counted, added up over all that ever were: a worker that ends takes its column with
// it, and a sum over columns would fall back.

import type { Report, WorkerColumn } from "./report.ts";

const COUNTED = [
  "requests",
  "picks",
  "blocks",
  "cachedBlocks",
  "truncated",
  "told",
  "learned",
  "unlearned",
  "messages",
  "deliveryMs",
] as const;

export type Counted = (typeof COUNTED)[number];

/** Workers that are remembered: one that was silent for a while goes on where it was. */
const WORKERS_KEPT = 1_024;

export class WorkerTotals {
  /** What each worker had counted last, by its generation: no two workers of a proxy have the same. */
  readonly #last = new Map<bigint, WorkerColumn>();
  readonly #totals = Object.fromEntries(COUNTED.map((name) => [name, 0])) as Record<Counted, number>;

  add(report: Report): void {
    for (const worker of report.workers) {
      const before = this.#last.get(worker.generation);
      // A worker that has seen fewer requests than before is one of another proxy, started since.
      const last = before !== undefined && before.requests <= worker.requests ? before : undefined;
      for (const name of COUNTED) this.#totals[name] += worker[name] - (last?.[name] ?? 0);
      this.#last.delete(worker.generation);
      this.#last.set(worker.generation, worker);
    }
    for (const generation of this.#last.keys()) {
      if (this.#last.size <= WORKERS_KEPT) break;
      this.#last.delete(generation);
    }
  }

  of(name: Counted): number {
    return this.#totals[name];
  }
}
