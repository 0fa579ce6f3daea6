// The default program with flow control in its variants, such that nothing is ever saturated unless a cell says so.

import { DETECTOR_DEFAULT, FLOW_DEFAULT, type Flow } from "../src/control/scheduling/flow.ts";
import { PROGRAM_DEFAULT, type Program } from "../src/control/scheduling/program.ts";

/**
 * none          the filter's own default: the program says nothing
 * off           a program that says everything, the gate is off
 * utilization   the gate is on
 * concurrency   the gate is on, requests in flight are counted
 */
export type Admission = "none" | "off" | "utilization" | "concurrency";

/** Far more than a benchmark has in flight. */
const PLACES_MANY = 1_000;

/** Undefined: the topology has none. */
export function programOf(admission: Admission): Program | undefined {
  switch (admission) {
    case "none":
      return undefined;
    case "off":
      return PROGRAM_DEFAULT;
    case "utilization":
      return withFlow({ queues: true, detector: DETECTOR_DEFAULT });
    case "concurrency":
      return withFlow({ queues: true, detector: placesOf(PLACES_MANY) });
  }
}

/** One request at a time on each endpoint; the others wait. */
export function oneAtATime(ttlMs: number, waiting: number): Program {
  const band = { ...FLOW_DEFAULT.defaultBand, maxRequests: waiting, ttlMs };
  return withFlow({
    queues: true,
    detector: placesOf(1),
    ttlMs,
    emptyTtlMs: ttlMs,
    defaultBand: band,
    defaultNegativeBand: band,
  });
}

function withFlow(flow: Partial<Flow>): Program {
  return { ...PROGRAM_DEFAULT, flow: { ...FLOW_DEFAULT, ...flow } };
}

function placesOf(maxConcurrency: number): Flow["detector"] {
  return { kind: "concurrency", maxConcurrency, maxTokenConcurrency: Number.POSITIVE_INFINITY };
}
