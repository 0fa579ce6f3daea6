// How long changes take to arrive. A busy machine can make any one of them slow, so the least of some rounds counts.

import { eventually } from "../../e2e/support/eventually.ts";

export interface Step {
  readonly what: string;
  /** `round` counts from 1. */
  readonly change: (round: number) => Promise<unknown>;
  /** Whether requests go by it. */
  readonly isReached: (round: number) => boolean | Promise<boolean>;
}

const ROUNDS = 3;

/** Milliseconds of each step, from before the change is made until it is reached: the least of three rounds. */
export async function leastMs(steps: readonly Step[]): Promise<ReadonlyMap<string, number>> {
  const least = new Map<string, number>();
  for (let round = 1; round <= ROUNDS; ++round) {
    for (const { what, change, isReached } of steps) {
      const beganMs = performance.now();
      await change(round);
      await eventually(() => isReached(round), Boolean).catch((error: Error) => {
        throw new Error(`${what}: ${error.message}`);
      });
      const tookMs = Math.round(performance.now() - beganMs);
      least.set(what, Math.min(tookMs, least.get(what) ?? tookMs));
    }
  }
  return least;
}
