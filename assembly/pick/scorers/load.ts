// load-aware-scorer: q = 0 → 0.5; else 0.5 · (1 − min(q, T) / T), q = waiting requests, T = threshold.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as staleness from "../staleness";

/** step.p0: T. */
export function score(step: Step): void {
  if (!staleness.settleWaiting()) {
    candidates.setAllRaw(0);
    return;
  }
  const threshold = step.p0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const waiting = candidates.value(candidates.WAITING, n);
    candidates.setRaw(n, waiting == 0 ? 0.5 : 0.5 * (1 - min<f64>(waiting, threshold) / threshold));
  }
}
