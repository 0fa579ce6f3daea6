// concurrency-detector: requests in flight below their limit, and prompt tokens in flight below theirs.

import { Step } from "../../state/program";
import * as candidates from "../candidates";

/** step.p0: limit of requests; p1: of tokens; Infinity where the mode does not count. */
export function filter(step: Step): void {
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const isBelow = candidates.value(candidates.IN_FLIGHT, n) < step.p0;
    candidates.setKept(n, isBelow && (step.p1 == Infinity || candidates.value(candidates.TOKENS, n) < step.p1));
  }
}
