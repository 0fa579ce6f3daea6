// in-flight-scorer: 1 − c / max(c_max, floor), c = requests of all workers on the endpoint now.

import { Step } from "../../state/program";
import * as candidates from "../candidates";

/** step.p0: the floor. */
export function score(step: Step): void {
  let divisor = step.p0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const active = candidates.value(candidates.IN_FLIGHT, n);
    if (active > divisor) divisor = active;
  }
  for (let n: u32 = 0; n < candidates.count; ++n) {
    candidates.setRaw(n, 1 - candidates.value(candidates.IN_FLIGHT, n) / divisor);
  }
}
