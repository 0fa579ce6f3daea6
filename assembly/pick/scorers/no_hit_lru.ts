// no-hit-lru-scorer: somebody holds a block → 0.5 for all; else, of N candidates, 1 − place / (N − 1), N = 1 → 1.
//
// Places of a cold request: candidates never given one, in order; then the others by how long ago they were,
// counted among all endpoints of the pool that were.

import * as cold from "../../state/cold";
import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";

/** Whether the last pick by this scorer was for a cold request. */
export let isCold: bool = false;

export function begin(): void {
  isCold = false;
}

export function score(_step: Step): void {
  isCold = true;
  for (let n: u32 = 0; n < candidates.count; ++n) if (candidates.matched(n) != 0) isCold = false;
  if (!isCold) candidates.setAllRaw(0.5);
  else if (candidates.count == 1) candidates.setAllRaw(1);
  else scoreByAge();
}

function countPlaces(): void {
  const pool = snapshot.pool(snapshot.poolOfRow(candidates.row(0)));
  cold.beginPlaces();
  for (let row = pool.firstRow, end = pool.firstRow + pool.rowCount; row < end; ++row) cold.enter(snapshot.id(row));
  cold.countPlaces();
}

function scoreByAge(): void {
  countPlaces();
  let never: u32 = 0;
  for (let n: u32 = 0; n < candidates.count; ++n) if (cold.place(candidates.id(n)) == cold.NEVER) ++never;
  const last = <f64>(candidates.count - 1);
  let unused: u32 = 0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const place = cold.place(candidates.id(n));
    const rank = place == cold.NEVER ? unused++ : never + place;
    candidates.setRaw(n, max<f64>(0, 1 - <f64>rank / last));
  }
}
