// queue-scorer: (max − q) / (max − min) over the candidates' waiting requests q; all equal → 1.

import * as candidates from "../candidates";

let lowest: f64 = 0;
let highest: f64 = 0;

export function prepare(): void {
  lowest = Infinity;
  highest = -Infinity;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const waiting = candidates.at(n).waiting;
    lowest = min<f64>(lowest, waiting);
    highest = max<f64>(highest, waiting);
  }
}

export function score(candidate: candidates.Candidate): f64 {
  return highest == lowest ? 1 : (highest - candidate.waiting) / (highest - lowest);
}
