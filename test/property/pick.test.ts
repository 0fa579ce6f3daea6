// The filter's ordered list against the oracle's: every plugin, random programs and pools, and what
// happens to a pool from one request to the next. PICK_SEED=<number> tries other lives.

import fc from "fast-check";
import { expect, test } from "vitest";
import { Bench, type Difference } from "./pick-bench.ts";
import { type PickCase, pickCase } from "./pick-cases.ts";

const LIVES = 2_000;
const PICKS = 20_000;
const SEED = Number(process.env.PICK_SEED ?? 42);

function told(life: PickCase, difference: Difference): string {
  const { filter, oracle, event } = difference;
  const lines = [
    `PICK_SEED=${SEED}`,
    `program ${JSON.stringify(life.program, undefined, 1)}`,
    ...life.endpoints.map((endpoint, index) => `endpoint ${index} ${JSON.stringify(endpoint)}`),
    ...life.events.map((one) => `event ${JSON.stringify(one)}`),
    `differ at ${JSON.stringify(event)}`,
    `filter ${JSON.stringify(filter)}`,
    `oracle ${JSON.stringify(oracle)}`,
  ];
  return lines.join("\n");
}

test(`${PICKS} picks: the filter's list is the oracle's`, () => {
  const bench = new Bench(SEED);
  fc.assert(
    fc.property(pickCase, (life) => {
      const difference = bench.run(life);
      if (difference !== undefined) throw new Error(told(life, difference));
    }),
    {
      numRuns: LIVES,
      seed: SEED,
      reporter: (details) => {
        if (details.failed) throw details.errorInstance ?? new Error(`interrupted after ${details.numRuns} lives`);
      },
    },
  );
  expect(bench.picks).toBeGreaterThan(PICKS);
  // The lives reached every answer there is.
  for (const outcome of ["picked", "400", "429", "503", "unsteered"]) {
    expect(bench.outcomes.get(outcome) ?? 0, outcome).toBeGreaterThan(20);
  }
}, 180_000);
