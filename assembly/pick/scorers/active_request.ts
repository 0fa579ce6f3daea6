// active-request-scorer: c ≤ idleThreshold → 1, else (max − c) / max · maxBusyScore, c = requests in flight.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as columns from "../columns";

/** step.p0: idleThreshold; p1: maxBusyScore. */
export function score(step: Step): void {
  const highest = columns.most(candidates.IN_FLIGHT, 0);
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const active = candidates.value(candidates.IN_FLIGHT, n);
    candidates.setRaw(n, active <= step.p0 ? 1 : ((highest - active) / highest) * step.p1);
  }
}
