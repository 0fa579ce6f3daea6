// Ends running requests of negative priority for more urgent ones that wait: which, and how many.

import { EVICTS } from "../../src/wire/flow";
import * as flowSettings from "../state/flow_settings";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";
import * as others from "./others";
import * as queue from "./queue";
import * as saturation from "./saturation";

/** Of one pool, in one go, those that are still ending included. */
const VICTIMS_MAX: u32 = 2;

/**
 * How many running requests of the pool should be ended now. The reference's number: what the saturation is above
 * the ceiling, in requests (saturation / in flight each), at least one, at most VICTIMS_MAX; less those that are
 * ending.
 */
export function wanted(number: u32, nowNs: u64): u32 {
  const pool = snapshot.pool(number);
  const flow = flowSettings.flow(snapshot.program(pool));
  if ((flow.flags & EVICTS) == 0 || pool.rowCount == 0) return 0;
  const priority = urgent(snapshot.poolHash(number), nowNs);
  if (priority < 0) return 0;
  const above = saturation.measure(pool, flow, nowNs) - flowSettings.ceiling(flow, priority);
  if (above < 0) return 0;
  const ending = count(snapshot.poolHash(number));
  const each = running == 0 ? Infinity : (above + flowSettings.ceiling(flow, priority)) / <f64>running;
  const most = <u32>min<f64>(max<f64>(1, Math.ceil(above / each)), VICTIMS_MAX);
  return ending < most ? most - ending : 0;
}

/**
 * The highest priority that waits for the pool here, or for too long on another worker, or -1: all workers would end
 * some for one request if the first to know of it were not left to it alone for a while.
 */
function urgent(pool: u64, nowNs: u64): i32 {
  const own = queue.topBand(pool);
  const other = others.next(pool);
  const here = own == queue.NONE ? -1 : queue.bandAt(own).priority;
  return other == queue.NONE || !others.isOverdue(other, nowNs) ? here : max<i32>(here, others.priorityOf(other));
}

let running: u32 = 0;

/** Sets `running` to this worker's requests of the pool that run; answers how many of them are being ended. */
function count(pool: u64): u32 {
  let ending: u32 = 0;
  running = 0;
  for (let slot: u32 = 0, limit = streams.limit(); slot < limit; ++slot) {
    const stream = streams.at(slot);
    if (!runs(stream, pool)) continue;
    ++running;
    if ((stream.flags & streams.EVICTED) != 0) ++ending;
  }
  return ending;
}

function runs(stream: streams.Stream, pool: u64): bool {
  return stream.phase == streams.SENT && stream.poolHash == pool && stream.counted != streams.NO_ENDPOINT;
}

/** Slot of the next to be ended: of the lowest priority the one sent last; NONE when there is none. */
export function victim(pool: u64): u32 {
  let found: u32 = queue.NONE;
  for (let slot: u32 = 0, limit = streams.limit(); slot < limit; ++slot) {
    const stream = streams.at(slot);
    if (stream.priority >= 0 || !runs(stream, pool) || (stream.flags & streams.EVICTED) != 0) continue;
    if (found == queue.NONE || isBefore(stream, streams.at(found))) found = slot;
  }
  return found;
}

function isBefore(a: streams.Stream, b: streams.Stream): bool {
  return a.priority < b.priority || (a.priority == b.priority && a.sentNs > b.sentNs);
}
