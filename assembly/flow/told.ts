// What this worker tells the others of its queue (src/wire/report.ts), and what it learns from what they tell.

import {
  ADMISSION_OUTCOMES,
  BAND_ENTRY_BYTES,
  F_FAIRNESS,
  F_POOL,
  F_PRIORITY,
  F_SERVED_NS,
  F_WAITING,
  FLOW_ENTRY_BYTES,
  FLOW_TOLD_NS,
  FLOWS_TOLD_MAX,
  Q_BYTES,
  Q_OUTCOMES,
  Q_POOL,
  Q_PRIORITY,
  Q_SINCE_NS,
  Q_TURN_KEY,
  Q_TURN_SINCE_NS,
  Q_WAITED,
  Q_WAITED_NS,
  Q_WAITING,
  WAITED_COUNTS,
} from "../../src/wire/report";
import * as queue from "./queue";
import * as tally from "./tally";

/** Writes every band that waits or has waited, from `from` on. Returns the end. */
export function writeBands(from: usize): usize {
  let entry = from;
  for (let n: u32 = 0; n < queue.bandLimit; ++n, entry += BAND_ENTRY_BYTES) {
    const band = queue.bandAt(n);
    memory.fill(entry, 0, BAND_ENTRY_BYTES);
    store<u64>(entry, band.pool, Q_POOL);
    store<i32>(entry, band.priority, Q_PRIORITY);
    store<u32>(entry, band.count, Q_WAITING);
    store<u64>(entry, band.bytes, Q_BYTES);
    store<u64>(entry, tally.waitedNs(n), Q_WAITED_NS);
    memory.copy(entry + Q_OUTCOMES, tally.counts(n), ADMISSION_OUTCOMES * 4);
    memory.copy(entry + Q_WAITED, tally.counts(n) + ADMISSION_OUTCOMES * 4, WAITED_COUNTS * 4);
    if (band.count == 0) continue;
    store<u64>(entry, band.sinceNs, Q_SINCE_NS);
    store<u64>(entry, queue.turnKey(n), Q_TURN_KEY);
    store<u64>(entry, queue.enqueuedNs(queue.next(n)), Q_TURN_SINCE_NS);
  }
  return entry;
}

/** Writes the flows that wait or were served lately, from `from` on. Returns the end. */
export function writeFlows(from: usize, nowNs: u64): usize {
  let entry = from;
  const end = from + FLOWS_TOLD_MAX * FLOW_ENTRY_BYTES;
  const limit: u32 = nowNs < queue.lastServedNs + <u64>FLOW_TOLD_NS || queue.waiting != 0 ? queue.flowLimit() : 0;
  for (let row: u32 = 0; row < limit && entry < end; ++row) {
    const servedNs = queue.flowServedNs(row);
    const waiting = queue.flowCount(row);
    if (waiting == 0 && (servedNs == 0 || servedNs + <u64>FLOW_TOLD_NS < nowNs)) continue;
    const band = queue.bandAt(queue.flowBand(row));
    store<u64>(entry, band.pool, F_POOL);
    store<i32>(entry, band.priority, F_PRIORITY);
    store<u32>(entry, waiting, F_WAITING);
    store<u64>(entry, queue.flowFairness(row), F_FAIRNESS);
    store<u64>(entry, servedNs, F_SERVED_NS);
    entry += FLOW_ENTRY_BYTES;
  }
  return entry;
}

/** Another worker told of a flow, at `entry`. */
export function noteServed(entry: usize): void {
  const servedNs = load<u64>(entry, F_SERVED_NS);
  if (servedNs == 0 || queue.waiting == 0) return;
  queue.noteServed(load<u64>(entry, F_POOL), load<i32>(entry, F_PRIORITY), load<u64>(entry, F_FAIRNESS), servedNs);
}
