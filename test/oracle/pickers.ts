// The pickers of docs/scheduling.md: candidates in the order they are chosen.

import type { Picker } from "../host/program.ts";
import type { Candidate } from "./candidates.ts";
import { tieRank } from "./random.ts";

export interface Scored {
  readonly candidate: Candidate;
  readonly total: number;
}

export function order(picker: Picker, scored: readonly Scored[], drawn: number): Scored[] {
  const rank = (entry: Scored) => tieRank(drawn, entry.candidate.row);
  return scored.toSorted((a, b) => {
    const keyA = keyOf(picker, a, drawn);
    const keyB = keyOf(picker, b, drawn);
    return keyA === keyB ? rank(a) - rank(b) : keyB - keyA;
  });
}

/** The highest goes first. */
function keyOf(picker: Picker, { candidate, total }: Scored, drawn: number): number {
  if (picker === "random-picker") return 0;
  if (picker === "max-score-picker") return total;
  if (total <= 0) return Number.NEGATIVE_INFINITY;
  const u = (tieRank((drawn ^ 0x5bf03635) >>> 0, candidate.row) + 0.5) / 2 ** 32;
  return Math.log(u) / total;
}
