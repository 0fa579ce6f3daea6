// max-score-picker: the best DESTINATIONS_MAX candidates in order, equals in random order.

import { DESTINATIONS_MAX } from "../../src/wire/limits";
import * as candidates from "./candidates";
import * as profile from "./profile";
import { draw, tieRank } from "./random";

/** How many were chosen: 0 … DESTINATIONS_MAX. */
export let chosen: u32 = 0;

const who = memory.data(4 * DESTINATIONS_MAX, 4); // u32: the candidate
const scores = memory.data(8 * DESTINATIONS_MAX, 8); // f64
const ranks = memory.data(4 * DESTINATIONS_MAX, 4); // u32

/** The n-th choice, n < chosen. */
export function choice(n: u32): candidates.Candidate {
  return candidates.at(load<u32>(who + (n << 2)));
}

/** Chooses among the gathered candidates. */
export function choose(): void {
  chosen = 0;
  profile.prepare();
  const drawn = draw();
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const score = profile.score(candidates.at(n));
    if (chosen == DESTINATIONS_MAX && score < load<f64>(scores, 8 * (DESTINATIONS_MAX - 1))) continue;
    insert(n, score, tieRank(drawn, candidates.at(n).row));
  }
}

/** Puts a candidate in its place among the best so far; the last of a full list falls out. */
function insert(n: u32, score: f64, rank: u32): void {
  let place = chosen;
  while (place > 0 && isBetter(score, rank, place - 1)) --place;
  if (place == DESTINATIONS_MAX) return;
  if (chosen < DESTINATIONS_MAX) ++chosen;
  for (let to = chosen - 1; to > place; --to) {
    store<u32>(who + (to << 2), load<u32>(who + ((to - 1) << 2)));
    store<f64>(scores + (to << 3), load<f64>(scores + ((to - 1) << 3)));
    store<u32>(ranks + (to << 2), load<u32>(ranks + ((to - 1) << 2)));
  }
  store<u32>(who + (place << 2), n);
  store<f64>(scores + (place << 3), score);
  store<u32>(ranks + (place << 2), rank);
}

function isBetter(score: f64, rank: u32, than: u32): bool {
  const other = load<f64>(scores + (than << 3));
  return score > other || (score == other && rank < load<u32>(ranks + (than << 2)));
}
