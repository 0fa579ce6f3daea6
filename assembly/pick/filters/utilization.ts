// utilization-filter: requests in flight, running, waiting, and KV use, each at most its maximum.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import { IN_FLIGHT, KV_USAGE, orZero, RUNNING, WAITING } from "../candidates";

/** step.p0 … p3: the maxima, in that order; Infinity = no condition. */
export function filter(step: Step): void {
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const hasRoom = orZero(IN_FLIGHT, n) <= step.p0 && orZero(RUNNING, n) <= step.p1;
    candidates.setKept(n, hasRoom && orZero(WAITING, n) <= step.p2 && orZero(KV_USAGE, n) <= step.p3);
  }
}
