// What queue and running requests have in common: the candidate with the least gets 1, the one with the
// most 0, the others in between.

import * as candidates from "./candidates";
import * as columns from "./columns";

/** Scores all candidates by a column: (max − v) / (max − min); all equal → 1. */
export function spread(column: usize): void {
  const lowest = columns.least(column);
  const highest = columns.most(column, -Infinity);
  if (highest == lowest) candidates.setAllRaw(1);
  else columns.scoreBelow(column, highest, highest - lowest);
}
