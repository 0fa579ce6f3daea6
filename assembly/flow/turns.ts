// Whose turn it is, of this worker's requests and those of others: docs/flow-control.md.

import { QUEUES } from "../../src/wire/flow";
import * as flowSettings from "../state/flow_settings";
import * as snapshot from "../state/snapshot";
import * as others from "./others";
import * as queue from "./queue";
import * as saturation from "./saturation";

/** After `take` found none of ours: the band of another worker whose turn it is (flow/others), or NONE. */
export let otherBand: u32 = queue.NONE;

/** Takes the stream out of the line that may go on now, and answers its slot; NONE when none of this worker may. */
export function take(pool: u64, nowNs: u64): u32 {
  otherBand = queue.NONE;
  const top = queue.topBand(pool);
  const number = snapshot.findPool(pool);
  if (top == queue.NONE) {
    if (number != snapshot.NO_POOL) lookElsewhere(number, pool, nowNs);
    return queue.NONE;
  }
  if (number != snapshot.NO_POOL && !hasTurn(number, top, nowNs)) return queue.NONE;
  const slot = queue.next(top);
  queue.serve(slot, nowNs);
  return slot;
}

/** Nothing waits here: is there a place for what waits elsewhere? */
function lookElsewhere(number: u32, pool: u64, nowNs: u64): void {
  const other = others.next(pool);
  if (other == queue.NONE) return;
  const owner = snapshot.pool(number);
  const flow = flowSettings.flow(snapshot.program(owner));
  if ((flow.flags & QUEUES) == 0 || owner.rowCount == 0) return;
  if (saturation.measure(owner, flow, nowNs) < flowSettings.ceiling(flow, others.priorityOf(other))) otherBand = other;
}

/** Whether the first of the band may go on: there is a place, and no other worker's turn comes before. */
function hasTurn(number: u32, n: u32, nowNs: u64): bool {
  const owner = snapshot.pool(number);
  const flow = flowSettings.flow(snapshot.program(owner));
  if ((flow.flags & QUEUES) == 0) return true;
  if (owner.rowCount == 0) return false;
  const band = queue.bandAt(n);
  if (saturation.measure(owner, flow, nowNs) >= flowSettings.ceiling(flow, band.priority)) return false;
  otherBand = others.before(band.pool, band.priority, queue.turnKey(n), nowNs);
  return otherBand == queue.NONE;
}
