// active-request-scorer: c ≤ idleThreshold → 1, else (max − c) / max · maxBusyScore, c = requests in flight.

import { Step } from "../../state/program";
import * as candidates from "../candidates";

/** step.p0: idleThreshold; p1: maxBusyScore. */
export function score(step: Step): void {
  let highest: f64 = 0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const active = candidates.value(candidates.IN_FLIGHT, n);
    if (active > highest) highest = active;
  }
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const active = candidates.value(candidates.IN_FLIGHT, n);
    candidates.setRaw(n, active <= step.p0 ? 1 : ((highest - active) / highest) * step.p1);
  }
}
