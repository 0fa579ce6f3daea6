// What the workers' prefix indexes knew, and told each other, while a cell was measured.

import { fetchReport } from "../src/cli/control-socket.ts";
import type { WorkerColumn } from "../src/control/report.ts";

export type Knowledge = {
  /** Of the blocks of all prompts, those that the endpoint picked was believed to hold: 0…1. */
  readonly cachedShare: number;
  /** (hash, endpoint) pairs at the end, of all workers. */
  readonly indexPairs: number;
  /** Hashes per request that workers told others, and that they heard from others. */
  readonly toldPerPick: number;
  readonly learnedPerPick: number;
  /** Hashes that did not arrive. */
  readonly unlearned: number;
  /** Of messages on the way: the mean, null without any; and the longest since Envoy started. */
  readonly deliveryMs: number | null;
  readonly slowestMs: number;
};

/** The report at the beginning and at the end of a stretch of requests to one Envoy. */
export type Stretch = { readonly before: readonly WorkerColumn[]; readonly after: readonly WorkerColumn[] };

export async function readWorkers(socketPath: string): Promise<readonly WorkerColumn[]> {
  return (await fetchReport(socketPath)).workers;
}

export function knowledgeOf(stretches: readonly Stretch[]): Knowledge {
  const grown = (value: (worker: WorkerColumn) => number) =>
    sum(stretches.map(({ before, after }) => sum(after.map(value)) - sum(before.map(value))));
  const picks = grown((worker) => worker.picks);
  const messages = grown((worker) => worker.messages);
  const last = stretches.at(-1)?.after ?? [];
  return {
    cachedShare: grown((worker) => worker.cachedBlocks) / grown((worker) => worker.blocks),
    indexPairs: sum(last.map(({ indexPairs }) => indexPairs)),
    toldPerPick: grown((worker) => worker.told) / picks,
    learnedPerPick: grown((worker) => worker.learned) / picks,
    unlearned: grown((worker) => worker.unlearned),
    deliveryMs: messages === 0 ? null : grown((worker) => worker.deliveryMs) / messages,
    slowestMs: Math.max(0, ...stretches.flatMap(({ after }) => after.map(({ slowestMs }) => slowestMs))),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
