// A label in a row of statistics that workers tell (src/wire/series.ts): its text, cut where the row has no more room.

import { SERIES_LABEL_BYTES } from "../../src/wire/series";

/** Puts the `length` bytes at `p` in the row, from its offset `to` on, and how many are kept at `lengthTo`. */
export function label(row: usize, to: u32, lengthTo: u32, p: usize, length: u32): void {
  const kept = min<u32>(length, SERIES_LABEL_BYTES);
  store<u32>(row + lengthTo, kept);
  memory.copy(row + to, p, kept);
}
