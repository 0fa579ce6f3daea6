// Who may be picked, and what is known of them: one entry per candidate, filled from the snapshot
// and from this proxy's own counts, then read by the scorers.

import { ENDPOINTS_MAX } from "../../src/wire/limits";
import { KNOWN_KV_USAGE, KNOWN_WAITING } from "../../src/wire/snapshot";
import * as endpoints from "../state/endpoints";
import * as snapshot from "../state/snapshot";

/** One candidate, 32 bytes. NaN in waiting or kvUsage: not known; staleness.settle judges it. */
@unmanaged
export class Candidate {
  waiting: f64;
  kvUsage: f64;
  inFlight: u32;
  row: u32;
  id: u32;
  stale: u32;
}

export const CANDIDATE_BYTES: usize = offsetof<Candidate>();
const entries: usize = heap.alloc(ENDPOINTS_MAX * <u32>CANDIDATE_BYTES);

export let count: u32 = 0;
/** Whether any candidate has fresh metrics. */
export let anyFresh: bool = false;
/** Candidates whose waiting or kvUsage is stale or unknown. Mostly none, and then there is nothing to settle. */
export let unsettled: u32 = 0;

export function at(n: u32): Candidate {
  return changetype<Candidate>(entries + <usize>n * CANDIDATE_BYTES);
}

const SCORED: u32 = KNOWN_WAITING | KNOWN_KV_USAGE;

/** Fills the table with the endpoints of a pool: those that are not down, or all when all are. */
export function gather(pool: snapshot.Pool, nowNs: u64): void {
  gatherWhere(pool, nowNs, false);
  if (count == 0) gatherWhere(pool, nowNs, true);
}

function gatherWhere(pool: snapshot.Pool, nowNs: u64, alsoDown: bool): void {
  count = 0;
  anyFresh = false;
  unsettled = 0;
  for (let row = pool.firstRow, end = pool.firstRow + pool.rowCount; row < end; ++row) {
    const id = snapshot.id(row);
    if (id == endpoints.NO_ID) continue;
    const endpoint = endpoints.at(id);
    if (!alsoDown && endpoints.isDown(endpoint, nowNs)) continue;
    add(row, id, endpoint, nowNs);
  }
}

function add(row: u32, id: u32, endpoint: endpoints.Endpoint, nowNs: u64): void {
  const candidate = at(count++);
  const measured = changetype<snapshot.Metrics>(snapshot.metricsRow(row));
  candidate.row = row;
  candidate.id = id;
  candidate.inFlight = endpoints.inFlight(endpoint);
  candidate.stale = snapshot.isStale(row, nowNs) ? 1 : 0;
  candidate.waiting = (measured.known & KNOWN_WAITING) != 0 ? waitingNow(measured, endpoint, candidate.inFlight) : NaN;
  candidate.kvUsage = (measured.known & KNOWN_KV_USAGE) != 0 ? <f64>measured.kvUsage : NaN;
  if (candidate.stale == 0) anyFresh = true;
  if (candidate.stale != 0 || (measured.known & SCORED) != SCORED) ++unsettled;
}

/**
 * The scraped queue, corrected by what this proxy sent and saw finished since. Only where there was a
 * queue: otherwise what was sent may well be running.
 */
function waitingNow(measured: snapshot.Metrics, endpoint: endpoints.Endpoint, inFlight: u32): f64 {
  const scraped = <f64>measured.waiting;
  if (!(scraped > 0)) return scraped;
  return max<f64>(0, scraped + <f64>inFlight - <f64>endpoint.inFlightAtScrape);
}
