// A server too busy to answer its own /metrics must not gain by going silent: a stale value is judged
// as the worse of itself and the mean of the fresh ones, an unknown value as that mean. When no
// candidate has a fresh value, nobody is judged by it.

import * as candidates from "./candidates";

/** What is known of a column in this pick. */
const UNSEEN: u8 = 0;
const SETTLED: u8 = 1;
/** Nobody has a fresh value. */
const SILENT: u8 = 2;
let waiting: u8 = UNSEEN;
let running: u8 = UNSEEN;
let kvUsage: u8 = UNSEEN;

/** Before the first scorer of a pick. */
export function begin(): void {
  waiting = UNSEEN;
  running = UNSEEN;
  kvUsage = UNSEEN;
}

/** Settles waiting requests; false when nobody has a fresh value: then they say nothing. Once a pick. */
export function settleWaiting(): bool {
  if (waiting == UNSEEN) waiting = settle(candidates.WAITING);
  return waiting == SETTLED;
}

export function settleRunning(): bool {
  if (running == UNSEEN) running = settle(candidates.RUNNING);
  return running == SETTLED;
}

export function settleKvUsage(): bool {
  if (kvUsage == UNSEEN) kvUsage = settle(candidates.KV_USAGE);
  return kvUsage == SETTLED;
}

/** Settles a column, whose larger values are worse. */
function settle(column: usize): u8 {
  if (candidates.unsettled == 0) return candidates.count != 0 ? SETTLED : SILENT;
  let sum: f64 = 0;
  let known: u32 = 0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const value = candidates.value(column, n);
    if (candidates.isStale(n) || isNaN(value)) continue;
    sum += value;
    ++known;
  }
  if (known == 0) return SILENT;
  if (known < candidates.count) fillIn(column, sum / <f64>known);
  return SETTLED;
}

function fillIn(column: usize, mean: f64): void {
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const value = candidates.value(column, n);
    if (isNaN(value) || (candidates.isStale(n) && value < mean)) candidates.setValue(column, n, mean);
  }
}
