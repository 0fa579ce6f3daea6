// The pickers: the best candidates in order, equals in random order. Each picker is a way to turn totals
// into what they are ordered by.

import { DESTINATIONS_MAX } from "../../src/wire/limits";
import { PICKER_RANDOM, PICKER_WEIGHTED_RANDOM } from "../../src/wire/program";
import * as candidates from "./candidates";
import * as random from "./random";

/** Tells the chance of weighted-random-picker from the ranks of equals. */
const LUCK: u32 = 0x5bf03635;
const RANKS: f64 = 4_294_967_296;

/** How many were chosen: 0 … DESTINATIONS_MAX. */
export let chosen: u32 = 0;

const who = memory.data(4 * DESTINATIONS_MAX, 4); // u32: the candidate
const keys = memory.data(8 * DESTINATIONS_MAX, 8); // f64: what it is ordered by
const ranks = memory.data(4 * DESTINATIONS_MAX, 4); // u32

/** Number of the candidate that is the n-th choice, n < chosen. */
export function choice(n: u32): u32 {
  return load<u32>(who + (n << 2));
}

/** Nobody: before a pick. */
export function clear(): void {
  chosen = 0;
}

/** Chooses up to `most` of the candidates by their totals. */
export function choose(picker: u32, most: u32): void {
  chosen = 0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const row = candidates.row(n);
    const key = keyBy(picker, candidates.total(n), row);
    if (chosen == most && key < load<f64>(keys + ((most - 1) << 3))) continue;
    insert(n, key, random.tieRank(random.drawn, row), most);
  }
}

/**
 * max-score-picker: the total. random-picker: nothing. weighted-random-picker: ln(u) / total, the order of A-Res
 * (Efraimidis, Spirakis, "Weighted random sampling with a reservoir", 2006).
 */
function keyBy(picker: u32, total: f64, row: u32): f64 {
  if (picker == PICKER_RANDOM) return 0;
  if (picker != PICKER_WEIGHTED_RANDOM) return total;
  if (!(total > 0)) return -Infinity;
  return Math.log((<f64>random.tieRank(random.drawn ^ LUCK, row) + 0.5) / RANKS) / total;
}

/** Puts a candidate in its place among the best so far; the last of a full list falls out. */
function insert(n: u32, key: f64, rank: u32, most: u32): void {
  let place = chosen;
  while (place > 0 && isBetter(key, rank, place - 1)) --place;
  if (place == most) return;
  if (chosen < most) ++chosen;
  for (let to = chosen - 1; to > place; --to) {
    store<u32>(who + (to << 2), load<u32>(who + ((to - 1) << 2)));
    store<f64>(keys + (to << 3), load<f64>(keys + ((to - 1) << 3)));
    store<u32>(ranks + (to << 2), load<u32>(ranks + ((to - 1) << 2)));
  }
  store<u32>(who + (place << 2), n);
  store<f64>(keys + (place << 3), key);
  store<u32>(ranks + (place << 2), rank);
}

function isBetter(key: f64, rank: u32, than: u32): bool {
  const other = load<f64>(keys + (than << 3));
  return key > other || (key == other && rank < load<u32>(ranks + (than << 2)));
}
