// The snapshot this worker picks by: the agent's bytes, read in place. A blob that cannot be read
// is counted and the one before stays in force.

import { ADAPTER_HASHES_MAX, ENDPOINTS_MAX, POOLS_MAX, SNAPSHOT_BYTES_MAX } from "../../src/wire/limits";
import { STALE_INTERVALS } from "../../src/wire/policy";
import {
  E_ADDRESS_LENGTH,
  E_ADDRESS_OFFSET,
  E_COLUMNS,
  E_ID_LENGTH,
  E_ID_OFFSET,
  E_PASSES,
  E_POD_LENGTH,
  E_POD_OFFSET,
  ENDPOINT_BYTES,
  ENDPOINT_BYTES_2,
  FORMAT,
  H_EPOCH,
  H_FORMAT,
  H_HEAP_LENGTH,
  H_HEAP_OFFSET,
  H_LENGTH,
  H_POOL_COUNT,
  H_POOLS_OFFSET,
  H_RECEIVED_NS,
  H_ROW_COUNT,
  H_ROWS_OFFSET,
  H_SEQUENCE,
  HEADER_BYTES,
  KIND_METRICS,
  KIND_TOPOLOGY,
  KNOWN_KV_USAGE,
  KNOWN_RUNNING,
  KNOWN_WAITING,
  M_ADAPTERS,
  M_AGE_MS,
  M_BASE_MODEL,
  M_INTERVAL_MS,
  M_KNOWN,
  M_KV_USAGE,
  M_MAX_ADAPTERS,
  M_SCRAPE,
  METRICS_BYTES,
  METRICS_BYTES_2,
  P_FAILURE_MODE,
  P_FIRST_ROW,
  P_MODELS,
  P_NAME_LENGTH,
  P_NAME_OFFSET,
  P_PROGRAM,
  P_ROW_COUNT,
  POOL_BYTES,
  POOL_BYTES_2,
} from "../../src/wire/snapshot";
import { hash } from "../abi/text";
import * as blob from "./blob";
import * as defaults from "./default_program";
import * as endpoints from "./endpoints";
import { Program } from "./program";

/** A pool of the topology, overlaid. */
@unmanaged
export class Pool {
  nameOffset: u32;
  nameLength: u32;
  firstRow: u32;
  rowCount: u32;
  failureMode: u8;
  reserved0: u8;
  reserved1: u16;
  program: u32;
  programBytes: u32;
  reserved2: u32;
  models: u32;
}
if (offsetof<Pool>("nameOffset") != P_NAME_OFFSET) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("nameLength") != P_NAME_LENGTH) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("firstRow") != P_FIRST_ROW) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("rowCount") != P_ROW_COUNT) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("failureMode") != P_FAILURE_MODE) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("program") != P_PROGRAM) ERROR("Pool and snapshot.ts differ");
if (offsetof<Pool>("models") != P_MODELS) ERROR("Pool and snapshot.ts differ");

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
  reserved0: u32;
  blockSize: u32;
  blocks: u32;
  maxAdapters: u32;
  adapters: u32;
  runningAdapters: u16;
  waitingAdapters: u16;
  reserved1: u32;
  baseModel: u64;
}
if (offsetof<Metrics>("kvUsage") != M_KV_USAGE) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("known") != M_KNOWN) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("ageMs") != M_AGE_MS) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("intervalMs") != M_INTERVAL_MS) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("scrape") != M_SCRAPE) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("maxAdapters") != M_MAX_ADAPTERS) ERROR("Metrics and snapshot.ts differ");
if (offsetof<Metrics>("baseModel") != M_BASE_MODEL) ERROR("Metrics and snapshot.ts differ");

/** Rows of format 2 grow when they are widened, and need not lie apart before. */
const WIDENED: u32 = POOLS_MAX * POOL_BYTES + ENDPOINTS_MAX * ENDPOINT_BYTES;
const topology: usize = heap.alloc(SNAPSHOT_BYTES_MAX + WIDENED);
const metrics: usize = heap.alloc(ENDPOINTS_MAX * METRICS_BYTES);
/** Hashes of adapters' names, as metrics rows point into. */
const adapters: usize = heap.alloc(ADAPTER_HASHES_MAX * 8);
// Of each row, f64: what picks read of every endpoint, apart from the rows, which are two cache lines each.
// NaN where the endpoint never reported it, or reported what no server can mean.
const waitings: usize = heap.alloc(ENDPOINTS_MAX * 8);
const runnings: usize = heap.alloc(ENDPOINTS_MAX * 8);
const kvUsages: usize = heap.alloc(ENDPOINTS_MAX * 8);
/** Of each pool: FNV-1a of its name, by which it is known over topologies. */
const poolHashes: usize = heap.alloc(POOLS_MAX * 8);
/** Of each row: the id of its endpoint. */
const ids: usize = heap.alloc(ENDPOINTS_MAX * 2);
/** Of each row: monotonic time in ns from which its metrics are stale; 0 = never measured. */
const staleAt: usize = heap.alloc(ENDPOINTS_MAX * 8);

/** Whether every row has an endpoint id and knows waiting, running and KV use. */
let isWhole: bool = false;
/** When the first row will be stale. */
let earliestStaleNs: u64 = 0;

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

/** FNV-1a of the pool's name. */
export function poolHash(n: u32): u64 {
  return load<u64>(poolHashes + (n << 3));
}

/** In the place of a pool's number. */
export const NO_POOL: u32 = 0xffffffff;

/** Number of the pool whose name has that hash, or NO_POOL. */
export function findPool(hashed: u64): u32 {
  for (let n: u32 = 0; n < poolCount; ++n) if (poolHash(n) == hashed) return n;
  return NO_POOL;
}

/** A text of the topology's heap. */
export function heapText(offset: u32): usize {
  return topology + load<u32>(topology, H_HEAP_OFFSET) + offset;
}

/** How the pool's endpoints are picked. */
export function program(owner: Pool): Program {
  return owner.program == 0 ? defaults.program : changetype<Program>(topology + owner.program);
}

/** Where the names in a pool's program lie: their offsets count from here. */
export function programTexts(owner: Pool): usize {
  return owner.program == 0 ? defaults.texts : heapText(0);
}

/** Where the objects about the pool's models lie, see state/models; 0 = there are none. */
export function models(owner: Pool): usize {
  return owner.models == 0 ? 0 : topology + owner.models;
}

/** Number of the pool that the row belongs to, or poolCount. */
export function poolOfRow(row: u32): u32 {
  let n: u32 = 0;
  for (; n < poolCount; ++n) {
    const candidate = pool(n);
    if (row >= candidate.firstRow && row - candidate.firstRow < candidate.rowCount) break;
  }
  return n;
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

export function pod(row: u32): usize {
  return heapText(load<u32>(endpointRow(row), E_POD_OFFSET));
}

export function podLength(row: u32): u32 {
  return load<u32>(endpointRow(row), E_POD_LENGTH);
}

/** The endpoint's name, "namespace/pod-rank-0"; empty in a topology of format 2. */
export function endpointId(row: u32): usize {
  return heapText(load<u32>(endpointRow(row), E_ID_OFFSET));
}

export function endpointIdLength(row: u32): u32 {
  return load<u32>(endpointRow(row), E_ID_LENGTH);
}

/** A bit for each label filter that lets the endpoint through. */
export function passes(row: u32): u64 {
  return load<u64>(endpointRow(row), E_PASSES);
}

/** What the program's column `n` says of the endpoint. */
export function column(row: u32, n: u32): u64 {
  return load<u64>(endpointRow(row) + (n << 3), E_COLUMNS);
}

/** The n-th hash of adapters' names in the metrics in force. */
export function adapter(n: u32): u64 {
  return load<u64>(adapters + (n << 3));
}

/** Id of the row's endpoint, or endpoints.NO_ID. */
export function id(row: u32): u32 {
  return load<u16>(ids + (row << 1));
}

/** The row's metrics, at the offsets of snapshot.ts; all zero when it has none. */
export function metricsRow(row: u32): usize {
  return metrics + row * METRICS_BYTES;
}

/** From the row on: requests waiting at each row's endpoint, f64, as scraped; NaN = not known. */
export function waitingFrom(row: u32): usize {
  return waitings + (row << 3);
}

/** … requests running. */
export function runningFrom(row: u32): usize {
  return runnings + (row << 3);
}

/** … share of the KV cache in use. */
export function kvUsageFrom(row: u32): usize {
  return kvUsages + (row << 3);
}

/** Whether every row has an endpoint id, and metrics that are fresh and all known: mostly so. */
export function isWholeAndFresh(nowNs: u64): bool {
  return isWhole && nowNs < earliestStaleNs;
}

export function isStale(row: u32, nowNs: u64): bool {
  return nowNs >= load<u64>(staleAt + (row << 3));
}

/** Whether the row's metrics are older than `staleMs` and STALE_INTERVALS of its scrape interval, or it has none. */
export function isOlder(row: u32, staleMs: u32, nowNs: u64): bool {
  const measured = changetype<Metrics>(metricsRow(row));
  return measured.known == 0 || nowNs >= staleNs(measured, staleMs);
}

function staleNs(measured: Metrics, staleMs: u32): u64 {
  const byInterval = <u64>(<f64>measured.intervalMs * STALE_INTERVALS);
  const goodForMs = <i64>max<u64>(staleMs, byInterval) - <i64>measured.ageMs;
  return <u64>max<i64>(<i64>metricsReceivedNs + goodForMs * 1_000_000, 0);
}

function readable(p: usize, length: u32, kind: u32): bool {
  if (length <= SNAPSHOT_BYTES_MAX && blob.check(p, length, kind) == blob.GOOD && blob.isReadable(p)) return true;
  ++unread;
  return false;
}

/** Puts a topology in force; false when it cannot be read. */
export function loadTopology(p: usize, length: u32): bool {
  if (!readable(p, length, KIND_TOPOLOGY)) return false;
  if (<u32>load<u16>(p, H_FORMAT) == FORMAT) memory.copy(topology, p, length);
  else widenTopology(p);
  epoch = load<u64>(topology, H_EPOCH);
  poolCount = load<u32>(topology, H_POOL_COUNT);
  rowCount = load<u32>(topology, H_ROW_COUNT);
  for (let n: u32 = 0; n < poolCount; ++n) {
    const named = pool(n);
    store<u64>(poolHashes + (n << 3), hash(poolName(named), named.nameLength));
  }
  endpoints.beginTopology();
  for (let row: u32 = 0; row < rowCount; ++row) {
    const known = endpoints.addRow(hash(address(row), addressLength(row)), row);
    store<u16>(ids + (row << 1), <u16>known);
  }
  endpoints.endTopology();
  sequence = 0;
  metricsReceivedNs = 0;
  memory.fill(metrics, 0, rowCount * METRICS_BYTES);
  noteAllMeasured();
  return true;
}

/** Lays a topology of format 2 out as one of FORMAT: what its rows lack is zero, the default program picks. */
function widenTopology(p: usize): void {
  const pools = load<u32>(p, H_POOL_COUNT);
  const rows = load<u32>(p, H_ROW_COUNT);
  const rowsOffset = HEADER_BYTES + pools * POOL_BYTES;
  const heapOffset = rowsOffset + rows * ENDPOINT_BYTES;
  const heapLength = load<u32>(p, H_HEAP_LENGTH);
  memory.copy(topology, p, HEADER_BYTES);
  const poolsFrom = p + load<u32>(p, H_POOLS_OFFSET);
  const rowsFrom = p + load<u32>(p, H_ROWS_OFFSET);
  widen(poolsFrom, POOL_BYTES_2, POOL_USED_2, topology + HEADER_BYTES, POOL_BYTES, pools);
  widen(rowsFrom, ENDPOINT_BYTES_2, ENDPOINT_USED_2, topology + rowsOffset, ENDPOINT_BYTES, rows);
  memory.copy(topology + heapOffset, p + load<u32>(p, H_HEAP_OFFSET), heapLength);
  store<u32>(topology, heapOffset + heapLength, H_LENGTH);
  store<u32>(topology, heapOffset, H_HEAP_OFFSET);
  store<u32>(topology, HEADER_BYTES, H_POOLS_OFFSET);
  store<u32>(topology, rowsOffset, H_ROWS_OFFSET);
}

// What rows of format 2 say; the rest of them is reserved there and has a meaning since.
const POOL_USED_2: u32 = P_PROGRAM;
const ENDPOINT_USED_2: u32 = E_ID_OFFSET;
const METRICS_USED_2: u32 = M_ADAPTERS;

/** Copies the first `used` bytes of `count` rows of an older format: what they lack is zero. */
function widen(from: usize, fromBytes: u32, used: u32, to: usize, toBytes: u32, count: u32): void {
  for (let n: u32 = 0; n < count; ++n, from += fromBytes, to += toBytes) {
    memory.copy(to, from, used);
    memory.fill(to + used, 0, toBytes - used);
  }
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
  const from = p + load<u32>(p, H_ROWS_OFFSET);
  if (<u32>load<u16>(p, H_FORMAT) == FORMAT) {
    memory.copy(metrics, from, rowCount * METRICS_BYTES);
    memory.copy(adapters, p + load<u32>(p, H_HEAP_OFFSET), load<u32>(p, H_HEAP_LENGTH));
  } else {
    widen(from, METRICS_BYTES_2, METRICS_USED_2, metrics, METRICS_BYTES, rowCount);
  }
  sequence = load<u64>(p, H_SEQUENCE);
  metricsReceivedNs = load<u64>(p, H_RECEIVED_NS);
  noteAllMeasured();
  return LOADED;
}

function noteAllMeasured(): void {
  isWhole = true;
  earliestStaleNs = u64.MAX_VALUE;
  for (let n: u32 = 0; n < poolCount; ++n) {
    const measured = pool(n);
    const staleMs = program(measured).staleMs;
    const end = measured.firstRow + measured.rowCount;
    for (let row = measured.firstRow; row < end; ++row) {
      noteMeasured(row, staleMs);
      earliestStaleNs = min<u64>(earliestStaleNs, load<u64>(staleAt + (row << 3)));
    }
  }
}

const SCORED: u32 = KNOWN_WAITING | KNOWN_RUNNING | KNOWN_KV_USAGE;

/** Settles from when on a row is stale, and at a new scrape what was in flight then. */
function noteMeasured(row: u32, staleMs: u32): void {
  const measured = changetype<Metrics>(metricsRow(row));
  // A value no server can mean, NaN above all, would win or spoil every pick.
  if (!(measured.waiting >= 0 && measured.waiting < Infinity)) measured.known &= ~KNOWN_WAITING;
  if (!(measured.running >= 0 && measured.running < Infinity)) measured.known &= ~KNOWN_RUNNING;
  if (!(measured.kvUsage >= 0 && measured.kvUsage <= 1)) measured.known &= ~KNOWN_KV_USAGE;
  const known = measured.known;
  store<f64>(waitings + (row << 3), (known & KNOWN_WAITING) != 0 ? <f64>measured.waiting : NaN);
  store<f64>(runnings + (row << 3), (known & KNOWN_RUNNING) != 0 ? <f64>measured.running : NaN);
  store<f64>(kvUsages + (row << 3), (known & KNOWN_KV_USAGE) != 0 ? <f64>measured.kvUsage : NaN);
  if ((known & SCORED) != SCORED || id(row) == endpoints.NO_ID) isWhole = false;
  if (known == 0) {
    store<u64>(staleAt + (row << 3), 0);
    return;
  }
  store<u64>(staleAt + (row << 3), staleNs(measured, staleMs));
  if (id(row) == endpoints.NO_ID) return;
  const endpoint = endpoints.at(id(row));
  if (endpoint.scrape == measured.scrape) return;
  endpoint.scrape = measured.scrape;
  endpoint.inFlightAtScrape = endpoints.inFlight(endpoint);
}
