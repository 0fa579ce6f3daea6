// What queue and running requests have in common: the candidate with the least gets 1, the one with the
// most 0, the others in between.

import * as candidates from "./candidates";

/** Scores all candidates by a column: (max − v) / (max − min); all equal → 1. */
export function spread(column: usize): void {
  let lowest = Infinity;
  let highest = -Infinity;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const value = candidates.value(column, n);
    // Compared, not f64.min and f64.max: those treat NaN and -0 apart and take several instructions.
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  if (highest == lowest) {
    candidates.setAllRaw(1);
    return;
  }
  const range = highest - lowest;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    candidates.setRaw(n, (highest - candidates.value(column, n)) / range);
  }
}
