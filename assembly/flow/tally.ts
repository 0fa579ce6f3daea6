// What became of the requests of each band, by the band's number in flow/queue: for the agent's statistics.

import { ADMISSION_OUTCOMES, WAITED_COUNTS, WAITED_MS } from "../../src/wire/report";
import { BANDS_USED_MAX } from "./queue";

@unmanaged
class Tally {
  waitedNs: u64;
}
const OUTCOMES_AT: usize = offsetof<Tally>();
const WAITED_AT: usize = OUTCOMES_AT + ADMISSION_OUTCOMES * 4;
const TALLY_BYTES: usize = WAITED_AT + WAITED_COUNTS * 4;
const tallies: usize = heap.alloc(TALLY_BYTES * BANDS_USED_MAX);

function at(band: u32): usize {
  return tallies + <usize>band * TALLY_BYTES;
}

/** A new band has the row. */
export function begin(band: u32): void {
  memory.fill(at(band), 0, TALLY_BYTES);
}

export function count(band: u32, outcome: u32): void {
  const cell = at(band) + (outcome << 2);
  store<u32>(cell, load<u32>(cell, OUTCOMES_AT) + 1, OUTCOMES_AT);
}

/** A request that waited so long was sent on, or ended. */
export function countWaited(band: u32, ns: u64): void {
  changetype<Tally>(at(band)).waitedNs += ns;
  const ms = ns / 1_000_000;
  let n: u32 = 0;
  while (n < WAITED_COUNTS - 1 && ms > unchecked(WAITED_MS[n])) ++n;
  const cell = at(band) + (n << 2);
  store<u32>(cell, load<u32>(cell, WAITED_AT) + 1, WAITED_AT);
}

export function waitedNs(band: u32): u64 {
  return changetype<Tally>(at(band)).waitedNs;
}

/** ADMISSION_OUTCOMES counts of u32, and then WAITED_COUNTS of them. */
export function counts(band: u32): usize {
  return at(band) + OUTCOMES_AT;
}
