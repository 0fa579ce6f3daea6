// The filter's queue against the model of docs/flow-control.md: what becomes of each request, when, and in
// which order. FLOW_SEED=<number> tries other lives.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type Difference, FlowLife } from "./flow-bench.ts";
import { type FlowCase, flowCase } from "./flow-cases.ts";

const LIVES = 400;
const SEED = Number(process.env.FLOW_SEED ?? 42);

function told(life: FlowCase, { event, at, filter, model }: Difference): string {
  const lines = [
    `FLOW_SEED=${SEED}`,
    `rules ${JSON.stringify(life.rules)}`,
    `rows ${JSON.stringify(life.rows)}`,
    ...life.events.slice(0, at + 1).map((one, index) => `event ${index} ${JSON.stringify(one)}`),
    `differ after event ${at}: ${JSON.stringify(event)}`,
    `filter ${JSON.stringify(filter)}`,
    `model  ${JSON.stringify(model)}`,
  ];
  return lines.join("\n");
}

test(`${LIVES} lives of a pool: each request fares as the document says`, () => {
  const outcomes = new Map<string, number>();
  fc.assert(
    fc.property(flowCase, (life) => {
      const difference = new FlowLife(life, outcomes).play();
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
  // The lives reached every answer there is.
  for (const outcome of [
    "arrive: sent",
    "arrive: waits",
    "arrive: 429 rejected-saturated",
    "arrive: 503 rejected-no-endpoints",
    "finish: sent",
    "cancel: sent",
    "clock: sent",
    "clock: 429 rejected-ttl-expired",
    "clock: 503 rejected-ttl-expired",
    "change: sent",
    "measure: sent",
  ]) {
    expect(outcomes.get(outcome) ?? 0, outcome).toBeGreaterThan(20);
  }
}, 120_000);
