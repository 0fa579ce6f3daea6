// utilization-detector: fresh, and both waiting requests and KV use below their limits; all if nobody is.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import { KV_USAGE, orZero, WAITING } from "../candidates";

/** step.p0: limit of waiting requests; p1: of KV use. */
export function filter(step: Step): void {
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const isBelow = orZero(WAITING, n) < step.p0 && orZero(KV_USAGE, n) < step.p1;
    candidates.setKept(n, isBelow && !candidates.isStale(n));
  }
  if (candidates.countKept() == 0) candidates.keepAll();
}
