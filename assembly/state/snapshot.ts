// The snapshot this worker picks by: the agent's bytes, read in place. A blob that cannot be read
// is counted and the one before stays in force.

import { ENDPOINTS_MAX, SNAPSHOT_BYTES_MAX } from "../../src/wire/limits";
import { STALE_INTERVALS, STALE_MS } from "../../src/wire/policy";
import {
  E_ADDRESS_LENGTH,
  E_ADDRESS_OFFSET,
  ENDPOINT_BYTES,
  H_EPOCH,
  H_HEAP_OFFSET,
  H_POOL_COUNT,
  H_POOLS_OFFSET,
  H_RECEIVED_NS,
  H_ROW_COUNT,
  H_ROWS_OFFSET,
  H_SEQUENCE,
  KIND_METRICS,
  KIND_TOPOLOGY,
  KNOWN_KV_USAGE,
  KNOWN_WAITING,
  M_AGE_MS,
  M_INTERVAL_MS,
  M_KNOWN,
  M_KV_USAGE,
  M_SCRAPE,
  METRICS_BYTES,
  P_FAILURE_MODE,
  P_FIRST_ROW,
  P_NAME_LENGTH,
  P_NAME_OFFSET,
  P_ROW_COUNT,
  POOL_BYTES,
} from "../../src/wire/snapshot";
import { hash } from "../abi/text";
import * as blob from "./blob";
import * as endpoints from "./endpoints";

/** A pool of the topology, overlaid. */
@unmanaged
export class Pool {
  nameOffset: u32;
  nameLength: u32;
  firstRow: u32;
  rowCount: u32;
  failureMode: u8;
}
if (offsetof<Pool>("nameOffset") != P_NAME_OFFSET) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("nameLength") != P_NAME_LENGTH) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("firstRow") != P_FIRST_ROW) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("rowCount") != P_ROW_COUNT) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("failureMode") != P_FAILURE_MODE) ERROR("Pool and snapshot.ts differ");

/** A metrics row, overlaid; see snapshot.ts. Widths allow the f32 values any server can report. */
@unmanaged
export class Metrics {
  waiting: f32;
  running: f32;
  kvUsage: f32;
  known: u32;
  ageMs: u32;
  intervalMs: u32;
  scrape: u32;
}
if (offsetof<Metrics>("kvUsage") != M_KV_USAGE) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("known") != M_KNOWN) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("ageMs") != M_AGE_MS) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("intervalMs") != M_INTERVAL_MS) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("scrape") != M_SCRAPE) ERROR("Metrics and snapshot.ts differ");

const topology: usize = heap.alloc(SNAPSHOT_BYTES_MAX);
const metrics: usize = heap.alloc(ENDPOINTS_MAX * METRICS_BYTES);
/** Of each row: the id of its endpoint. */
const ids: usize = heap.alloc(ENDPOINTS_MAX * 2);
/** Of each row: monotonic time in ns from which its metrics are stale; 0 = never measured. */
const staleAt: usize = heap.alloc(ENDPOINTS_MAX * 8);

/** Epoch of the topology in force, 0 = there is none yet. */
export let epoch: u64 = 0;
/** Sequence of the metrics in force, 0 = none for this topology. */
export let sequence: u64 = 0;
/** When ingest took those metrics. */
export let metricsReceivedNs: u64 = 0;
export let poolCount: u32 = 0;
export let rowCount: u32 = 0;
/** Blobs this worker could not read. */
export let unread: u32 = 0;

export function pool(n: u32): Pool {
  return changetype<Pool>(topology + load<u32>(topology, H_POOLS_OFFSET) + n * POOL_BYTES);
}

function heapText(offset: u32): usize {
  return topology + load<u32>(topology, H_HEAP_OFFSET) + offset;
}

export function poolName(named: Pool): usize {
  return heapText(named.nameOffset);
}

function endpointRow(row: u32): usize {
  return topology + load<u32>(topology, H_ROWS_OFFSET) + row * ENDPOINT_BYTES;
}

export function address(row: u32): usize {
  return heapText(load<u32>(endpointRow(row), E_ADDRESS_OFFSET));
}

export function addressLength(row: u32): u32 {
  return load<u32>(endpointRow(row), E_ADDRESS_LENGTH);
}

/** Id of the row's endpoint, or endpoints.NO_ID. */
export function id(row: u32): u32 {
  return load<u16>(ids + (row << 1));
}

/** The row's metrics, at the offsets of snapshot.ts; all zero when it has none. */
export function metricsRow(row: u32): usize {
  return metrics + row * METRICS_BYTES;
}

export function isStale(row: u32, nowNs: u64): bool {
  return nowNs >= load<u64>(staleAt + (row << 3));
}

function readable(p: usize, length: u32, kind: u32): bool {
  if (length <= SNAPSHOT_BYTES_MAX && blob.check(p, length, kind) == blob.GOOD && blob.isReadable(p)) return true;
  ++unread;
  return false;
}

/** Puts a topology in force; false when it cannot be read. */
export function loadTopology(p: usize, length: u32): bool {
  if (!readable(p, length, KIND_TOPOLOGY)) return false;
  memory.copy(topology, p, length);
  epoch = load<u64>(topology, H_EPOCH);
  poolCount = load<u32>(topology, H_POOL_COUNT);
  rowCount = load<u32>(topology, H_ROW_COUNT);
  endpoints.beginTopology();
  for (let row: u32 = 0; row < rowCount; ++row) {
    const known = endpoints.addRow(hash(address(row), addressLength(row)), row);
    store<u16>(ids + (row << 1), <u16>known);
  }
  endpoints.endTopology();
  sequence = 0;
  metricsReceivedNs = 0;
  memory.fill(metrics, 0, rowCount * METRICS_BYTES);
  memory.fill(staleAt, 0, rowCount << 3);
  return true;
}

// What loadMetrics answers
export const LOADED = 0;
export const UNREAD = 1;
/** The metrics are good, but of another topology: theirs is on its way, or could not be read. */
export const OTHER_TOPOLOGY = 2;

/** Puts metrics in force, if they can be read and belong to the topology in force. */
export function loadMetrics(p: usize, length: u32): i32 {
  if (!readable(p, length, KIND_METRICS)) return UNREAD;
  if (load<u64>(p, H_EPOCH) != epoch || load<u32>(p, H_ROW_COUNT) != rowCount) return OTHER_TOPOLOGY;
  const rowBytes = blob.metricsRowBytes(p);
  const from = p + load<u32>(p, H_ROWS_OFFSET);
  if (rowBytes == METRICS_BYTES) memory.copy(metrics, from, rowCount * METRICS_BYTES);
  else widen(from, rowBytes);
  sequence = load<u64>(p, H_SEQUENCE);
  metricsReceivedNs = load<u64>(p, H_RECEIVED_NS);
  for (let row: u32 = 0; row < rowCount; ++row) noteMeasured(row);
  return LOADED;
}

/** Rows of an older format, shorter: what they lack is zero, which `known` bits say is unknown. */
function widen(from: usize, rowBytes: u32): void {
  for (let row: u32 = 0; row < rowCount; ++row) {
    memory.copy(metricsRow(row), from + row * rowBytes, rowBytes);
    memory.fill(metricsRow(row) + rowBytes, 0, METRICS_BYTES - rowBytes);
  }
}

/** Settles from when on a row is stale, and at a new scrape what was in flight then. */
function noteMeasured(row: u32): void {
  const measured = changetype<Metrics>(metricsRow(row));
  // A value no server can mean, NaN above all, would win or spoil every pick.
  if (!(measured.waiting >= 0 && measured.waiting < Infinity)) measured.known &= ~KNOWN_WAITING;
  if (!(measured.kvUsage >= 0 && measured.kvUsage <= 1)) measured.known &= ~KNOWN_KV_USAGE;
  if (measured.known == 0) {
    store<u64>(staleAt + (row << 3), 0);
    return;
  }
  const byInterval = <u64>(<f64>measured.intervalMs * STALE_INTERVALS);
  const goodForMs = <i64>max<u64>(STALE_MS, byInterval) - <i64>measured.ageMs;
  const until = <i64>metricsReceivedNs + goodForMs * 1_000_000;
  store<u64>(staleAt + (row << 3), <u64>max<i64>(until, 0));
  const known = id(row);
  if (known == endpoints.NO_ID) return;
  const endpoint = endpoints.at(known);
  if (endpoint.scrape == measured.scrape) return;
  endpoint.scrape = measured.scrape;
  endpoint.inFlightAtScrape = endpoints.inFlight(endpoint);
}
