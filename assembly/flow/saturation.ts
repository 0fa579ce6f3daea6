// How full the endpoints of a pool are, as docs/flow-control.md says. 1 and more is saturated.

import { DETECTOR_CONCURRENCY } from "../../src/wire/flow";
import { STALE_MS } from "../../src/wire/policy";
import * as endpoints from "../state/endpoints";
import { Flow } from "../state/flow_settings";
import * as snapshot from "../state/snapshot";

/** Requests that would have to end for the pool not to be saturated; after `measure`. */
export let excess: f64 = 0;

/** The saturation of a pool now. Linear in its endpoints. */
export function measure(pool: snapshot.Pool, flow: Flow, nowNs: u64): f64 {
  excess = 1;
  if (pool.rowCount == 0) return 1;
  const known = measureThose(pool, flow, nowNs, false);
  // All have failed: then they are asked all the same.
  return known >= 0 ? known : max<f64>(0, measureThose(pool, flow, nowNs, true));
}

function measureThose(pool: snapshot.Pool, flow: Flow, nowNs: u64, alsoDown: bool): f64 {
  const byCount = flow.detector == DETECTOR_CONCURRENCY;
  return byCount ? byConcurrency(pool, flow, nowNs, alsoDown) : byUtilization(pool, flow, nowNs, alsoDown);
}

/** Whether the endpoint of a row counts; `asksDown`: one that is down does not. */
function counts(id: u32, nowNs: u64, asksDown: bool): bool {
  return id != endpoints.NO_ID && !(asksDown && endpoints.isDown(endpoints.at(id), nowNs));
}

/** In the place of a saturation: all endpoints are down. */
const ALL_DOWN: f64 = -1;

function byConcurrency(pool: snapshot.Pool, flow: Flow, nowNs: u64, alsoDown: bool): f64 {
  const asksDown = !alsoDown && endpoints.isAnyDown(nowNs);
  let requests: u64 = 0;
  let tokens: u64 = 0;
  let rows: u32 = 0;
  for (let row = pool.firstRow, end = pool.firstRow + pool.rowCount; row < end; ++row) {
    const id = snapshot.id(row);
    if (!counts(id, nowNs, asksDown)) continue;
    const endpoint = endpoints.at(id);
    requests += endpoints.inFlight(endpoint);
    tokens += endpoints.tokens(endpoint);
    ++rows;
  }
  if (rows == 0) return ALL_DOWN;
  const inFlight = <f64>requests;
  const counted = <f64>rows;
  const byRequests = share(inFlight, counted * flow.maxConcurrency);
  excess = inFlight - counted * flow.maxConcurrency + 1;
  return max<f64>(byRequests, share(<f64>tokens, counted * flow.maxTokenConcurrency));
}

/** Of a capacity, which may be Infinity: then nothing fills it. A capacity of 0 is full. */
function share(used: f64, capacity: f64): f64 {
  if (capacity == Infinity) return 0;
  return capacity > 0 ? used / capacity : 1;
}

function byUtilization(pool: snapshot.Pool, flow: Flow, nowNs: u64, alsoDown: bool): f64 {
  const asksDown = !alsoDown && endpoints.isAnyDown(nowNs);
  const isFresh = isAllFresh(pool, flow, nowNs);
  let sum: f64 = 0;
  let measured: f64 = 0;
  let isAnyUp = false;
  for (let row = pool.firstRow, end = pool.firstRow + pool.rowCount; row < end; ++row) {
    const id = snapshot.id(row);
    if (!counts(id, nowNs, asksDown)) continue;
    isAnyUp = true;
    if (!isFresh && snapshot.isOlder(row, flow.staleMs, nowNs)) continue;
    const byQueue = queue(row, endpoints.at(id)) / flow.queueThreshold;
    const byCache = load<f64>(snapshot.kvUsageFrom(row)) / flow.kvThreshold;
    const larger = byQueue > byCache || isNaN(byCache) ? byQueue : byCache;
    if (isNaN(larger)) continue;
    sum += larger;
    measured += 1;
  }
  if (!isAnyUp) return ALL_DOWN;
  if (measured == 0) return 0;
  const mean = sum / measured;
  excess = (mean - 1) * measured * flow.queueThreshold + 1;
  return mean;
}

/** Whether no row of the pool is older than the detector takes, told without a look at each: mostly so. */
function isAllFresh(pool: snapshot.Pool, flow: Flow, nowNs: u64): bool {
  return flow.staleMs >= snapshot.program(pool).staleMs && snapshot.isWholeAndFresh(nowNs);
}

/** Requests that wait at an endpoint: those scraped, and what was sent and seen finished since. NaN = not known. */
function queue(row: u32, endpoint: endpoints.Endpoint): f64 {
  const scraped = load<f64>(snapshot.waitingFrom(row));
  const sinceScrape = <f64>endpoints.inFlight(endpoint) - <f64>endpoint.inFlightAtScrape;
  // What was sent in a long time may well be running.
  const isRecent = changetype<snapshot.Metrics>(snapshot.metricsRow(row)).intervalMs <= STALE_MS;
  return scraped > 0 || isRecent ? max<f64>(0, scraped + sinceScrape) : scraped;
}
