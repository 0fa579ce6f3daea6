// The statistics of each pool in Envoy's own stats. A statistic defined from wasm is never freed, so
// the set is fixed per pool and the number of pools ever seen by a VM is bounded. Envoy's
// stats_config.stats_tags turns ".outcome.X" and ".pool.Y" of a name into labels. Counts gather here and
// are told at most once a millisecond: a host call for each would cost more than the counting.

import { POOL_NAME_BYTES_MAX, POOLS_MAX } from "../../src/wire/limits";
import {
  STAT_IN_FLIGHT,
  STAT_PICK_NS,
  STAT_PICKS,
  STAT_REQUESTS,
  STAT_SNAPSHOT_AGE_MS,
  STAT_SNAPSHOT_EPOCH,
} from "../../src/wire/names";
import { add, defineMetric, record } from "../abi/host";
import { COUNTER, GAUGE, HISTOGRAM } from "../abi/status";
import { hash, put, utf8 } from "../abi/text";
import * as endpoints from "./endpoints";
import * as snapshot from "./snapshot";
import { NO_POOL } from "./snapshot";

export { NO_POOL } from "./snapshot";

// How a request was answered
/** By fresh metrics of at least one candidate. */
export const SCORED = 0;
/** No candidate had fresh metrics: by what this proxy has in flight. */
export const DEGRADED = 1;
/** Passed on without a destination: the cluster's own load balancing picks. */
export const UNSTEERED = 2;
/** 503: nothing to pick from. */
export const NO_ENDPOINTS = 3;
/** 400: the body is not a request, or it names what there is not. 412: it prefers not to be computed anew. */
export const BAD_REQUEST = 4;
/** 429: saturated, or the profile's filters left nobody. */
export const SATURATED = 5;
/** 429 or 503: it waited, and its time ran out, or the proxy ends. */
export const EXPIRED = 6;
const OUTCOMES = 7;

const outcomeNames: StaticArray<ArrayBuffer> = [
  utf8("scored"),
  utf8("degraded"),
  utf8("unsteered"),
  utf8("no_endpoints"),
  utf8("bad_request"),
  utf8("saturated"),
  utf8("expired"),
];

/** Metric ids of one pool, and the hash of its name. */
@unmanaged
class PoolStats {
  name: u64;
  requests: u32;
  inFlight: u32;
  pickNs: u32;
  snapshotAge: u32;
  snapshotEpoch: u32;
  outcome0: u32;
  outcome1: u32;
  outcome2: u32;
  outcome3: u32;
  outcome4: u32;
  outcome5: u32;
  outcome6: u32;
  /** What Envoy was last told is in flight, or UNTOLD: a VM that trapped may have left a figure there. */
  toldInFlight: u32;
  /** Counted here and not yet told to Envoy. */
  newRequests: u32;
  newOutcome0: u32;
  newOutcome1: u32;
  newOutcome2: u32;
  newOutcome3: u32;
  newOutcome4: u32;
  newOutcome5: u32;
  newOutcome6: u32;
}

const UNTOLD: u32 = u32.MAX_VALUE;

/** Entry 0 stands for requests that belong to no pool, and for pools beyond the bound. */
const ENTRIES_MAX: u32 = POOLS_MAX * 4;
const ENTRY_BYTES: usize = offsetof<PoolStats>();
const OUTCOME_IDS = offsetof<PoolStats>("outcome0");
const NEW_OUTCOMES = offsetof<PoolStats>("newOutcome0");
const table: usize = heap.alloc(ENTRIES_MAX * <u32>ENTRY_BYTES);
let used: u32 = 0;
/** Of each pool of the topology: its entry. */
const entryOf: usize = heap.alloc(POOLS_MAX * 4);

const noPoolName = utf8("-");

const nameBuffer: usize = heap.alloc(POOL_NAME_BYTES_MAX + 128);
const outcomeLabel = utf8(".outcome.");
const poolLabel = utf8(".pool.");
const requestsName = utf8(STAT_REQUESTS);
const picksName = utf8(STAT_PICKS);
const inFlightName = utf8(STAT_IN_FLIGHT);
const pickNsName = utf8(STAT_PICK_NS);
const snapshotAgeName = utf8(STAT_SNAPSHOT_AGE_MS);
const snapshotEpochName = utf8(STAT_SNAPSHOT_EPOCH);

function entry(n: u32): PoolStats {
  return changetype<PoolStats>(table + <usize>n * ENTRY_BYTES);
}

function ofPool(pool: u32): PoolStats {
  return entry(pool == NO_POOL ? 0 : load<u32>(entryOf + (pool << 2)));
}

function define(kind: i32, stat: ArrayBuffer, outcome: i32, pool: usize, poolLength: u32): u32 {
  let end = put(nameBuffer, stat);
  if (outcome >= 0) end = put(put(end, outcomeLabel), outcomeNames[outcome]);
  end = put(end, poolLabel);
  memory.copy(end, pool, poolLength);
  return defineMetric(kind, nameBuffer, <u32>(end + poolLength - nameBuffer));
}

function defineEntry(pool: usize, poolLength: u32): u32 {
  const name = hash(pool, poolLength);
  for (let n: u32 = 1; n < used; ++n) {
    if (entry(n).name == name) return n;
  }
  if (used == ENTRIES_MAX) return 0;
  const stats = entry(used);
  stats.name = name;
  stats.toldInFlight = UNTOLD;
  stats.requests = define(COUNTER, requestsName, -1, pool, poolLength);
  stats.inFlight = define(GAUGE, inFlightName, -1, pool, poolLength);
  stats.pickNs = define(HISTOGRAM, pickNsName, -1, pool, poolLength);
  stats.snapshotAge = define(GAUGE, snapshotAgeName, -1, pool, poolLength);
  stats.snapshotEpoch = define(GAUGE, snapshotEpochName, -1, pool, poolLength);
  for (let outcome = 0; outcome < OUTCOMES; ++outcome) {
    const id = define(COUNTER, picksName, outcome, pool, poolLength);
    store<u32>(changetype<usize>(stats) + (outcome << 2), id, OUTCOME_IDS);
  }
  return used++;
}

/** Makes the entry of requests without a pool. Called at configure. */
export function defineNoPool(): void {
  if (used == 0) defineEntry(changetype<usize>(noPoolName), noPoolName.byteLength);
}

/** Makes the entries of the topology's pools, and ends the gauges of the others. Called when a topology was loaded. */
export function definePools(): void {
  for (let n: u32 = 1; n < used; ++n) {
    if (entry(n).toldInFlight == 0) continue;
    entry(n).toldInFlight = 0;
    record(entry(n).inFlight, 0);
  }
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const pool = snapshot.pool(n);
    store<u32>(entryOf + (n << 2), defineEntry(snapshot.poolName(pool), pool.nameLength));
  }
}

export function countRequest(pool: u32): void {
  ++ofPool(pool).newRequests;
}

/** Of the request that was counted last. */
export let lastOutcome: u32 = 0;
export let lastPool: u32 = 0xffffffff;

export function outcomeName(outcome: u32): ArrayBuffer {
  return outcomeNames[outcome];
}

export function countOutcome(pool: u32, outcome: u32): void {
  lastOutcome = outcome;
  lastPool = pool;
  const count = changetype<usize>(ofPool(pool)) + (outcome << 2);
  store<u32>(count, load<u32>(count, NEW_OUTCOMES) + 1, NEW_OUTCOMES);
}

/** A request of the pool, or of NO_POOL, that was not picked for, and how it ended. */
export function countEnd(pool: u32, outcome: u32): void {
  countRequest(pool);
  countOutcome(pool, outcome);
}

export function recordPick(pool: u32, ns: u64): void {
  record(ofPool(pool).pickNs, ns);
}

/** Tells Envoy what was counted since, and each pool's requests in flight, of all workers. */
export function tell(): void {
  for (let n: u32 = 0; n < used; ++n) tellCounts(entry(n));
  tellInFlight();
}

function tellCounts(stats: PoolStats): void {
  if (stats.newRequests == 0) return;
  add(stats.requests, stats.newRequests);
  stats.newRequests = 0;
  for (let outcome = 0; outcome < OUTCOMES; ++outcome) {
    const count = changetype<usize>(stats) + (outcome << 2);
    const counted = load<u32>(count, NEW_OUTCOMES);
    if (counted == 0) continue;
    add(load<u32>(count, OUTCOME_IDS), counted);
    store<u32>(count, 0, NEW_OUTCOMES);
  }
}

function tellInFlight(): void {
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const pool = snapshot.pool(n);
    let total: u32 = 0;
    for (let row = pool.firstRow, end = pool.firstRow + pool.rowCount; row < end; ++row) {
      const id = snapshot.id(row);
      if (id != endpoints.NO_ID) total += endpoints.inFlight(endpoints.at(id));
    }
    const stats = ofPool(n);
    if (stats.toldInFlight == total) continue;
    stats.toldInFlight = total;
    record(stats.inFlight, total);
  }
}

/** Tells Envoy the age and the epoch of what this worker picks by. */
export function recordSnapshot(nowNs: u64): void {
  const receivedNs = snapshot.metricsReceivedNs;
  // Ingest, on another thread, may have stamped them after this callback read the clock.
  const ageMs = receivedNs == 0 || receivedNs > nowNs ? 0 : (nowNs - receivedNs) / 1_000_000;
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    record(ofPool(n).snapshotAge, ageMs);
    record(ofPool(n).snapshotEpoch, snapshot.epoch);
  }
}
