// What the workers have counted, added up over all that ever were: a worker that ends takes its column with
// it, and a sum over columns would fall back.

import { LastHeard } from "./last-heard.ts";
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

const WORKERS_KEPT = 1_024;

export class WorkerTotals {
  /** What each worker had counted last, by its generation: no two workers of a proxy have the same. */
  readonly #last = new LastHeard<WorkerColumn>(WORKERS_KEPT);
  readonly #totals = Object.fromEntries(COUNTED.map((name) => [name, 0])) as Record<Counted, number>;

  add(report: Report): void {
    for (const worker of report.workers) {
      const before = this.#last.of(worker.generation);
      // A worker that has seen fewer requests than before is one of another proxy, started since.
      const last = before !== undefined && before.requests <= worker.requests ? before : undefined;
      for (const name of COUNTED) this.#totals[name] += worker[name] - (last?.[name] ?? 0);
      this.#last.put(worker.generation, worker);
    }
    this.#last.trim();
  }

  of(name: Counted): number {
    return this.#totals[name];
  }
}
