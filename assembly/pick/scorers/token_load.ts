// token-load-scorer: 1 − min(t + u, T) / T, t = prompt tokens in flight, u = this request's tokens to compute there.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as request from "../request";

/** step.p0: T, queueThresholdTokens. */
export function score(step: Step): void {
  const threshold = step.p0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const tokens = candidates.value(candidates.TOKENS, n) + request.tokensToCompute(n);
    candidates.setRaw(n, 1 - min<f64>(tokens, threshold) / threshold);
  }
}
