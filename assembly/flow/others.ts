// What waits on other workers, as they told: whose turn comes before ours, and how much room is left.

import { HELD_MS } from "../../src/wire/limits";
import { Q_BYTES, Q_POOL, Q_PRIORITY, Q_SINCE_NS, Q_TURN_KEY, Q_TURN_SINCE_NS, Q_WAITING } from "../../src/wire/report";
import { NONE } from "./queue";

/** One band of one worker in which something waits. */
@unmanaged
class Other {
  generation: u64;
  pool: u64;
  bytes: u64;
  sinceNs: u64;
  turnKey: u64;
  turnSinceNs: u64;
  priority: i32;
  waiting: u32;
  slot: u32;
  reserved: u32;
}
const OTHER_BYTES: usize = offsetof<Other>();
/** More are not heard: they are served by their own workers all the same. */
const OTHERS_MAX: u32 = 512;
const rows: usize = heap.alloc(OTHER_BYTES * OTHERS_MAX);
const HELD_NS: u64 = <u64>HELD_MS * 1_000_000;

/** Bands of other workers in which something waits. */
export let count: u32 = 0;

function at(n: u32): Other {
  return changetype<Other>(rows + <usize>n * OTHER_BYTES);
}

export function slotOf(n: u32): u32 {
  return at(n).slot;
}

export function generationOf(n: u32): u64 {
  return at(n).generation;
}

export function priorityOf(n: u32): i32 {
  return at(n).priority;
}

/** Forgets what was told, before it is told anew. */
export function begin(): void {
  count = 0;
}

/** Adds the band at `entry` (src/wire/report.ts) of the worker of `slot`. */
export function add(entry: usize, slot: u32, generation: u64): void {
  if (load<u32>(entry, Q_WAITING) == 0 || count == OTHERS_MAX) return;
  const other = at(count++);
  other.generation = generation;
  other.slot = slot;
  other.pool = load<u64>(entry, Q_POOL);
  other.priority = load<i32>(entry, Q_PRIORITY);
  other.waiting = load<u32>(entry, Q_WAITING);
  other.bytes = load<u64>(entry, Q_BYTES);
  other.sinceNs = load<u64>(entry, Q_SINCE_NS);
  other.turnKey = load<u64>(entry, Q_TURN_KEY);
  other.turnSinceNs = load<u64>(entry, Q_TURN_SINCE_NS);
}

/** Whether another worker has had something of that priority or a higher one waiting for the pool for too long. */
export function holdsAtLeast(pool: u64, priority: i32, nowNs: u64): bool {
  for (let n: u32 = 0; n < count; ++n) {
    const other = at(n);
    if (other.pool == pool && other.priority >= priority && other.sinceNs + HELD_NS < nowNs) return true;
  }
  return false;
}

/** Whether something has waited in the band for so long that its worker need not see to it alone. */
export function isOverdue(n: u32, nowNs: u64): bool {
  return at(n).sinceNs + HELD_NS < nowNs;
}

/** The band of another worker whose turn comes before ours, of `priority` and with `turnKey`; or NONE. */
export function before(pool: u64, priority: i32, turnKey: u64, nowNs: u64): u32 {
  let best: u32 = NONE;
  for (let n: u32 = 0; n < count; ++n) {
    const other = at(n);
    if (other.pool != pool || other.priority < priority) continue;
    const isHigher = other.priority > priority && other.sinceNs + HELD_NS < nowNs;
    const isSooner = other.priority == priority && other.turnKey < turnKey && other.turnSinceNs + HELD_NS < nowNs;
    if ((isHigher || isSooner) && (best == NONE || isBefore(other, at(best)))) best = n;
  }
  return best;
}

/** The band of another worker whose turn it is in the pool when nothing waits here; or NONE. */
export function next(pool: u64): u32 {
  let best: u32 = NONE;
  for (let n: u32 = 0; n < count; ++n) {
    if (at(n).pool == pool && (best == NONE || isBefore(at(n), at(best)))) best = n;
  }
  return best;
}

function isBefore(a: Other, b: Other): bool {
  return a.priority > b.priority || (a.priority == b.priority && a.turnKey < b.turnKey);
}

/** What `sum` found. */
export let waiting: f64 = 0;
export let bytes: f64 = 0;

/** Adds up what waits for the pool on other workers: in bands of `priority`, or in all with `ofAll`. */
export function sum(pool: u64, priority: i32, ofAll: bool): void {
  waiting = 0;
  bytes = 0;
  for (let n: u32 = 0; n < count; ++n) {
    const other = at(n);
    if (other.pool != pool || (!ofAll && other.priority != priority)) continue;
    waiting += <f64>other.waiting;
    bytes += <f64>other.bytes;
  }
}
