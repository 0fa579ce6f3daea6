// Sweeps the table and the rows, a little at a time: empties what is dead before its generation comes
// round again. How far a sweep has come follows the endpoint that has begun most generations since it
// began, so the work is in proportion to what was learned.

import * as ages from "./ages";
import * as buckets from "./buckets";
import * as rows from "./rows";

/**
 * Generations of any endpoint in one sweep. A pair may be passed alive at the beginning of one and is met
 * again before the end of the next: two sweeps and the longest life are well below the circle.
 */
const GENERATIONS: u32 = 0x2000;

/** How far it is. */
let bucket: u32 = 0;
let row: u32 = 0;

/** After the endpoint began generations. */
export function keepUp(id: u32): void {
  const begun = min(ages.begunSinceSweep(id), GENERATIONS);
  const bucketGoal = part(buckets.count, begun);
  for (; bucket < bucketGoal; ++bucket) buckets.sweep(buckets.at(bucket));
  const rowGoal = part(rows.count, begun);
  for (; row < rowGoal; ++row) rows.sweep(row);
  if (begun < GENERATIONS) return;
  bucket = 0;
  row = 0;
  ages.beginSweep();
}

function part(count: u32, begun: u32): u32 {
  return <u32>((<u64>count * begun) / GENERATIONS);
}
