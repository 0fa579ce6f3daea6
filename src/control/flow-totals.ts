// What became of the requests of each band, added up over all workers that ever were, and what waits at present.

import * as r from "../wire/report.ts";
import { LastHeard } from "./last-heard.ts";
import type { Report, WorkerBand, WorkerFlow } from "./report.ts";

const WORKERS_KEPT = 64;

export type BandTotal = {
  /** FNV-1a of the pool's name. */
  readonly pool: bigint;
  readonly priority: number;
  /** At present, on all workers. */
  waiting: number;
  bytes: number;
  /** By the numbers of the wire. */
  readonly outcomes: number[];
  waitedMs: number;
  readonly waited: number[];
  /** Waited on workers that are gone: nobody can tell what became of them. */
  lost: number;
};

export class FlowTotals {
  /** Bands of each worker by its generation; what waited in those of a worker that `isGone` counts as lost. */
  readonly #last = new LastHeard<{ readonly bands: readonly WorkerBand[]; isGone: boolean }>(WORKERS_KEPT);
  readonly #bands = new Map<string, BandTotal>();
  #flows: readonly WorkerFlow[] = [];

  add({ workers }: Report): void {
    for (const band of this.#bands.values()) Object.assign(band, { waiting: 0, bytes: 0 });
    this.#flows = workers.flatMap(({ flows }) => flows.filter(({ waiting }) => waiting > 0));
    for (const worker of workers) {
      const last = this.#last.of(worker.generation);
      if (last?.isGone) for (const band of last.bands) this.#totalOf(band).lost -= band.waiting;
      for (const band of worker.bands)
        this.#addBand(
          band,
          last?.bands.find((other) => isSame(band, other)),
        );
      this.#last.put(worker.generation, { bands: worker.bands, isGone: false });
    }
    this.#countLost(new Set(workers.map(({ generation }) => generation)));
    this.#last.trim();
  }

  bands(): readonly BandTotal[] {
    return [...this.#bands.values()];
  }

  /** Flows in which something waits, of all workers. */
  flows(): readonly WorkerFlow[] {
    return this.#flows;
  }

  #addBand(band: WorkerBand, last: WorkerBand | undefined): void {
    const total = this.#totalOf(band);
    total.waiting += band.waiting;
    total.bytes += band.bytes;
    total.waitedMs += Math.max(0, band.waitedMs - (last?.waitedMs ?? 0));
    addGrowth(total.outcomes, band.outcomes, last?.outcomes);
    addGrowth(total.waited, band.waited, last?.waited);
  }

  /** What waited on a worker when it was last heard of, and it is no longer; taken back when it is heard of again. */
  #countLost(alive: ReadonlySet<bigint>): void {
    for (const [generation, last] of this.#last.all()) {
      if (alive.has(generation) || last.isGone) continue;
      last.isGone = true;
      for (const band of last.bands) this.#totalOf(band).lost += band.waiting;
    }
  }

  #totalOf({ pool, priority }: WorkerBand): BandTotal {
    const key = `${pool}/${priority}`;
    const known = this.#bands.get(key);
    if (known !== undefined) return known;
    const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);
    const outcomes = zeros(r.ADMISSION_OUTCOMES);
    const total = {
      pool,
      priority,
      waiting: 0,
      bytes: 0,
      outcomes,
      waitedMs: 0,
      waited: zeros(r.WAITED_COUNTS),
      lost: 0,
    };
    this.#bands.set(key, total);
    return total;
  }
}

function isSame(a: WorkerBand, b: WorkerBand): boolean {
  return a.pool === b.pool && a.priority === b.priority;
}

/** A count that fell began anew: another band has had the row in between. */
function addGrowth(totals: number[], counts: readonly number[], last: readonly number[] | undefined): void {
  counts.forEach((count, n) => {
    const before = last?.[n] ?? 0;
    totals[n]! += count >= before ? count - before : count;
  });
}
