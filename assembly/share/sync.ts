// Keeps a worker and its process in step: hears of the agent and of other workers before a pick, tells
// its own after a change. Each at most once in SYNC_NS, and at each tick, so that the cost does not
// grow with the load.

import { CATCH_UP_MS, HEARTBEAT_MS, QUEUE_TICK_MS, SYNC_NS, WORKER_LOST_MS, WORKERS_MAX } from "../../src/wire/limits";
import { KEY_DRAIN, KEY_METRICS, KEY_TOPOLOGY, KEY_VERSION } from "../../src/wire/names";
import { data, getShared, LOG_WARN, logText, setTickMs, size } from "../abi/host";
import { mark, release } from "../abi/scratch";
import { pointer, put, putNumber, utf8 } from "../abi/text";
import * as queue from "../flow/queue";
import * as blocks from "../state/blocks";
import * as snapshot from "../state/snapshot";
import * as stats from "../state/stats";
import * as broadcast from "./broadcast";
import * as column from "./column";
import * as lease from "./lease";
import * as series from "./series";

const versionKey = utf8(KEY_VERSION);
const topologyKey = utf8(KEY_TOPOLOGY);
const metricsKey = utf8(KEY_METRICS);
const drainKey = utf8(KEY_DRAIN);

const LOST_NS: u64 = <u64>WORKER_LOST_MS * 1_000_000;

let slot: u32 = lease.NO_SLOT;
let generation: u64 = 0;
let heardNs: u64 = 0;
let toldNs: u64 = 0;
/** The root context that ticks more often than HEARTBEAT_MS: something was left untold, or waits; 0 = none. */
let hurrying: u32 = 0;
/** How often it does. */
let hurryMs: u32 = HEARTBEAT_MS;
/** Whether the proxy is about to end: nothing shall wait any more. */
export let isDraining: bool = false;
/** Epoch and sequence last tried, so that a blob that cannot be read is read once. */
let triedEpoch: u64 = 0;
let triedSequence: u64 = 0;
/** Of each slot: the generation found silent. It is looked at again at each tick, not at each request. */
const silent: usize = heap.alloc(WORKERS_MAX * 8);

const unreadTopology = utf8("pointsman: cannot read the topology of epoch ");
const unreadMetrics = utf8("pointsman: cannot read the metrics of sequence ");
const staysInForce = utf8("; what was in force stays so");
const logLine = memory.data(160);

/** Before a pick: what others said is known to within SYNC_NS. */
export function hearIfDue(nowNs: u64): void {
  if (nowNs - heardNs >= SYNC_NS || heardNs == 0) hear(nowNs);
}

/** Where a moment counts: what others count by now is known. The topology stays what the request was resolved by. */
export function hearOthersNow(nowNs: u64): void {
  if (broadcast.others() == 0) return;
  const from = mark();
  hearOthers(nowNs);
  release(from);
}

/** After something changed that others should know, in flight, learned or a failure, on a stream of `root`. */
export function tellIfDue(nowNs: u64, root: u32): void {
  const isDue = nowNs - toldNs >= SYNC_NS;
  if (isDue) tell(nowNs);
  if (!broadcast.flushIfDue(nowNs) || !isDue) hurry(root, CATCH_UP_MS);
}

/** Something is left to do, which the next tick shall not wait long for. */
function hurry(root: u32, ms: u32): void {
  if (hurrying != 0 && (hurrying != root || hurryMs <= ms)) return;
  hurrying = root;
  hurryMs = ms;
  setTickMs(ms);
}

/** A request of `root` waits: it is looked after until none does. */
export function watchQueue(root: u32): void {
  hurry(root, QUEUE_TICK_MS);
}

/** Tells the worker of `slot` that a request which waits there for the pool may have a place. */
export function tellPlace(pool: u64, other: u32, reader: u64, nowNs: u64): void {
  // What ended here is to be known there first.
  tell(nowNs);
  broadcast.tellPlace(pool, other, reader, nowNs);
}

/** Envoy says that another worker's message waits for this one. Whether it told of a place for what waits here. */
export function onQueueReady(queue: u32, nowNs: u64): bool {
  broadcast.onReady(queue, nowNs);
  const isPlace = broadcast.takePlace();
  if (isPlace) hear(nowNs);
  return isPlace;
}

/** At each tick of a root context: hears, tells what is left, and shows that this worker lives. */
export function beat(nowNs: u64, root: u32): void {
  memory.fill(silent, 0, WORKERS_MAX * 8);
  hear(nowNs);
  tell(nowNs);
  stats.recordSnapshot(nowNs);
  if (slot != lease.NO_SLOT) {
    series.publish(slot, generation, nowNs);
    broadcast.open(slot, generation);
  }
  const isDone = broadcast.drain(nowNs) && broadcast.flushIfDue(nowNs);
  isDraining = getShared(pointer(drainKey), drainKey.byteLength) && size != 0;
  pace(root, isDone ? (queue.waiting == 0 ? HEARTBEAT_MS : QUEUE_TICK_MS) : CATCH_UP_MS);
}

/** How soon the next tick of `root` shall come; only one root context hurries. */
function pace(root: u32, ms: u32): void {
  if (hurrying != root) {
    if (ms < HEARTBEAT_MS) hurry(root, ms);
    return;
  }
  if (ms == HEARTBEAT_MS) hurrying = 0;
  if (hurryMs != ms) setTickMs(ms);
  hurryMs = ms;
}

/** A root context is gone: its tick will not come. */
export function forget(root: u32): void {
  if (hurrying != root) return;
  hurrying = 0;
  hurryMs = HEARTBEAT_MS;
}

function hear(nowNs: u64): void {
  heardNs = nowNs;
  const from = mark();
  const sequence = readTopology();
  release(from);
  // Before the metrics: what was in flight at a scrape is what all workers had.
  hearOthers(nowNs);
  release(from);
  if (sequence != triedSequence) readMetrics(sequence);
  release(from);
}

/** Tells at once: that an endpoint fails or serves again, which every other worker should know. */
export function tell(nowNs: u64): void {
  toldNs = nowNs;
  if (slot != lease.NO_SLOT) column.publish(slot, generation, nowNs);
  stats.tell();
}

/** Reads the topology when the version says that it is another one. Answers the sequence of the metrics. */
function readTopology(): u64 {
  if (!getShared(pointer(versionKey), versionKey.byteLength) || size != 16) return triedSequence;
  const epoch = load<u64>(data);
  const sequence = load<u64>(data, 8);
  if (epoch == triedEpoch) return sequence;
  if (!getShared(pointer(topologyKey), topologyKey.byteLength)) return triedSequence;
  triedEpoch = epoch;
  triedSequence = 0;
  if (snapshot.loadTopology(data, size)) {
    stats.definePools();
    blocks.settleTopology();
  } else warn(unreadTopology, epoch);
  return sequence;
}

function readMetrics(sequence: u64): void {
  if (!getShared(pointer(metricsKey), metricsKey.byteLength)) return;
  triedSequence = sequence;
  const loaded = snapshot.loadMetrics(data, size);
  if (loaded == snapshot.LOADED) blocks.settle();
  else if (loaded == snapshot.UNREAD) warn(unreadMetrics, sequence);
}

function warn(what: ArrayBuffer, number: u64): void {
  const end = put(putNumber(put(logLine, what), number), staysInForce);
  logText(LOG_WARN, logLine, <u32>(end - logLine));
}

function hearOthers(nowNs: u64): void {
  let leases = lease.read();
  if (leases == 0) return;
  if (slot == lease.NO_SLOT || lease.generation(leases, slot) != generation) {
    slot = lease.takeSlot(nowNs);
    generation = lease.takenGeneration;
    // Before the first column: who hears of this worker finds its queue.
    if (slot != lease.NO_SLOT) broadcast.open(slot, generation);
    leases = lease.read();
    if (leases == 0) return;
  }
  column.beginOthers();
  broadcast.beginReaders(nowNs);
  for (let other: u32 = 0; other < WORKERS_MAX; ++other) {
    const holder = lease.generation(leases, other);
    if (holder == 0 || other == slot || load<u64>(silent + (other << 3)) == holder) continue;
    const from = mark();
    const told = column.read(other, holder);
    if (told != 0 && column.isAlive(told, nowNs, LOST_NS)) {
      column.addOther(told, other, holder);
      broadcast.addReader(other, holder);
    } else if (lease.takenNs(leases, other) + LOST_NS < nowNs) store<u64>(silent + (other << 3), holder);
    release(from);
  }
  column.endOthers();
  broadcast.endReaders();
}
