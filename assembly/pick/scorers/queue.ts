// queue-scorer: (max − q) / (max − min) over the candidates' waiting requests q; all equal → 1.

import * as candidates from "../candidates";

let lowest: f64 = 0;
let highest: f64 = 0;

export function prepare(): void {
  lowest = Infinity;
  highest = -Infinity;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const waiting = candidates.at(n).waiting;
    // Compared, not f64.min and f64.max: those treat NaN and -0 apart and take several instructions.
    if (waiting < lowest) lowest = waiting;
    if (waiting > highest) highest = waiting;
  }
}

export function score(candidate: candidates.Candidate): f64 {
  return highest == lowest ? 1 : (highest - candidate.waiting) / (highest - lowest);
}
