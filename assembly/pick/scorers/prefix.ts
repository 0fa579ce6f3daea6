// prefix-cache-scorer: w · min(1, m·b / scale)² + (1 − w) · m / n, m of n blocks of b tokens held; n = 0 → 0.

import { Step } from "../../state/program";
import * as candidates from "../candidates";

/** step.p0: w, matchLengthWeight; p1: scale, matchLengthScaleTokens. */
export function score(step: Step): void {
  const byLength = step.p0;
  const scale = step.p1;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const blocks = candidates.blocks(n);
    if (blocks == 0) {
      candidates.setRaw(n, 0);
      continue;
    }
    const matched = <f64>candidates.matched(n);
    const length = byLength == 0 ? 0 : min<f64>(1, (matched * <f64>candidates.blockTokens(n)) / scale);
    candidates.setRaw(n, byLength * (length * length) + ((1 - byLength) * matched) / <f64>blocks);
  }
}
