// prefix-cache-scorer: w · min(1, m·b / scale)² + (1 − w) · m / n, m of n blocks of b tokens held; n = 0 → 0.

import { Step } from "../../state/program";
import * as candidates from "../candidates";

/** step.p0: w, matchLengthWeight; p1: scale, matchLengthScaleTokens. */
export function score(step: Step): void {
  candidates.setAllRaw(0);
  if (!candidates.anyMatched) return;
  // Mostly a few of many hold anything.
  for (let n: u32 = 0; n < candidates.count; n += 4) {
    if (!candidates.hasMatchedOfFour(n)) continue;
    const end = min<u32>(n + 4, candidates.count);
    for (let each = n; each < end; ++each)
      if (candidates.matched(each) != 0) candidates.setRaw(each, scoreOf(each, step));
  }
}

function scoreOf(n: u32, step: Step): f64 {
  const byLength = step.p0;
  const matched = <f64>candidates.matched(n);
  const length = byLength == 0 ? 0 : min<f64>(1, (matched * <f64>candidates.blockTokens(n)) / step.p1);
  return byLength * (length * length) + ((1 - byLength) * matched) / <f64>candidates.blocks(n);
}
