// The requests of this worker that wait: bands of one pool and priority, in them flows of one fairness id, in
// them requests. Whose turn it is, is the first node of a heap at each level: O(log n) in all that waits.

import { STREAMS_MAX } from "../../src/wire/limits";
import * as heaps from "./heap";

export const NONE: u32 = 0xffffffff;

// ── Requests ──

/** One request that waits, by its stream's slot. Before these fields lie two nodes: its turn in the flow, its end. */
@unmanaged
class Item {
  enqueuedNs: u64;
  /** Row of its flow. */
  flow: u32;
  bytes: u32;
}
const EXPIRY_AT: usize = heaps.NODE_BYTES;
const ITEM_AT: usize = 2 * heaps.NODE_BYTES;
const ITEM_BYTES: usize = ITEM_AT + offsetof<Item>();
const items: usize = heap.alloc(ITEM_BYTES * STREAMS_MAX);
/** Expiry nodes of all that ever expires. */
const expiries: usize = heap.alloc(4);
/** When a request expires that never does. */
export const NEVER: u64 = u64.MAX_VALUE;

/** Requests that wait on this worker. */
export let waiting: u32 = 0;
/** Requests that ever waited: tells which of equals came first. */
let sequence: u64 = 0;
/** When a request was last served, each later than the one before. */
export let lastServedNs: u64 = 0;

function turnOf(slot: u32): heaps.Node {
  return changetype<heaps.Node>(items + <usize>slot * ITEM_BYTES);
}

function expiryOf(slot: u32): heaps.Node {
  return changetype<heaps.Node>(items + <usize>slot * ITEM_BYTES + EXPIRY_AT);
}

function itemAt(slot: u32): Item {
  return changetype<Item>(items + <usize>slot * ITEM_BYTES + ITEM_AT);
}

function pointer(node: heaps.Node): u32 {
  return <u32>changetype<usize>(node);
}

function slotOf(node: u32): u32 {
  return <u32>((<usize>node - items) / ITEM_BYTES);
}

// ── Flows ──

/** One fairness id in one band; its node, its turn in the band, lies before these fields. */
@unmanaged
class Flow {
  fairness: u64;
  /** When this worker last served it; another one. 0 = never, or long ago. */
  servedNs: u64;
  othersServedNs: u64;
  band: u32;
  count: u32;
  /** Heap of its requests' turns. */
  requests: u32;
  /** Next flow of the same cell of the index, row + 1. */
  next: u32;
  /** Neighbours among the empty flows, row + 1; the one that was emptied first is reused first. */
  emptyBefore: u32;
  emptyAfter: u32;
}
const FLOW_AT: usize = heaps.NODE_BYTES;
const FLOW_BYTES: usize = FLOW_AT + offsetof<Flow>();
const FLOWS_MAX: u32 = 2048;
/** Rows that only flows for those without a row of their own may take: one for each band. */
const FLOWS_KEPT_BACK: u32 = 256;
const flows: usize = heap.alloc(FLOW_BYTES * FLOWS_MAX);
let flowsUsed: u32 = 0;
let emptyFirst: u32 = 0;
let emptyLast: u32 = 0;
const INDEX_MASK: u32 = FLOWS_MAX - 1;
const index: usize = heap.alloc(FLOWS_MAX * 4);
/** In the place of a fairness id: all that have no row of their own. */
const CROWD: u64 = 2;
/** How long it counts that a flow was served. */
const SERVED_NS: u64 = 10_000_000_000;

function flowNode(row: u32): heaps.Node {
  return changetype<heaps.Node>(flows + <usize>row * FLOW_BYTES);
}

function flowAt(row: u32): Flow {
  return changetype<Flow>(flows + <usize>row * FLOW_BYTES + FLOW_AT);
}

function flowOfNode(node: u32): u32 {
  return <u32>((<usize>node - flows) / FLOW_BYTES);
}

// ── Bands ──

/** One priority of one pool: what waits in it. It stays in its row for its statistics. */
@unmanaged
export class Band {
  /** Hash of the pool's name. */
  pool: u64;
  /** Since when there has always been something. */
  sinceNs: u64;
  bytes: u64;
  priority: i32;
  count: u32;
  /** Heap of its flows' turns. */
  flows: u32;
  /** Whether flows do not matter: the first request by the ordering policy is next. */
  isStrict: u32;
}
/** Pairs of pool and priority that wait, or waited and are still told of. */
export const BANDS_USED_MAX: u32 = 256;
const BAND_BYTES: usize = offsetof<Band>();
const bands: usize = heap.alloc(BAND_BYTES * BANDS_USED_MAX);
/** One more than the largest band's number. */
export let bandLimit: u32 = 0;

export function bandAt(n: u32): Band {
  return changetype<Band>(bands + <usize>n * BAND_BYTES);
}

/** Number of the band, or NONE. */
export function findBand(pool: u64, priority: i32): u32 {
  for (let n: u32 = 0; n < bandLimit; ++n) {
    const band = bandAt(n);
    if (band.pool == pool && band.priority == priority) return n;
  }
  return NONE;
}

/** … made when it is not there; NONE when BANDS_USED_MAX others wait. `isFresh` tells whether its row is new. */
export function openBand(pool: u64, priority: i32): u32 {
  const known = findBand(pool, priority);
  isFresh = known == NONE;
  if (known != NONE) return known;
  const n = freeBand();
  if (n == NONE) return NONE;
  memory.fill(changetype<usize>(bandAt(n)), 0, BAND_BYTES);
  bandAt(n).pool = pool;
  bandAt(n).priority = priority;
  return n;
}

export let isFresh: bool = false;

function freeBand(): u32 {
  if (bandLimit < BANDS_USED_MAX) return bandLimit++;
  for (let n: u32 = 0; n < BANDS_USED_MAX; ++n) {
    if (bandAt(n).count != 0) continue;
    forgetFlows(n);
    return n;
  }
  return NONE;
}

/** Highest band of the pool in which something waits, or NONE. */
export function topBand(pool: u64): u32 {
  let top: u32 = NONE;
  for (let n: u32 = 0; n < bandLimit; ++n) {
    const band = bandAt(n);
    if (band.pool != pool || band.count == 0) continue;
    if (top == NONE || band.priority > bandAt(top).priority) top = n;
  }
  return top;
}

// ── Coming and going ──

/** Puts a stream in line. False when there is no row for its flow. */
export function add(slot: u32, n: u32, fairness: u64, orderKey: u64, expiresNs: u64, bytes: u32, nowNs: u64): bool {
  const row = openFlow(n, fairness, nowNs);
  if (row == NONE) return false;
  const item = itemAt(slot);
  item.enqueuedNs = nowNs;
  item.flow = row;
  item.bytes = bytes;
  turnOf(slot).key = orderKey;
  turnOf(slot).tie = ++sequence;
  setExpiry(slot, expiresNs);
  link(slot);
  ++waiting;
  return true;
}

/** Takes a stream out of the line, whatever becomes of it. */
export function remove(slot: u32): void {
  unlink(slot);
  const expiry = expiryOf(slot);
  if (expiry.key != NEVER) heaps.remove(expiries, pointer(expiry));
  --waiting;
}

/** Takes a stream out of the line because it is sent on. */
export function serve(slot: u32, nowNs: u64): void {
  // Of several served at one time each was served after the one before.
  lastServedNs = max<u64>(nowNs, lastServedNs + 1);
  flowAt(itemAt(slot).flow).servedNs = lastServedNs;
  remove(slot);
}

function setExpiry(slot: u32, expiresNs: u64): void {
  const expiry = expiryOf(slot);
  expiry.key = expiresNs;
  expiry.tie = turnOf(slot).tie;
  if (expiresNs != NEVER) heaps.push(expiries, pointer(expiry));
}

/** Into its flow and band. */
function link(slot: u32): void {
  const item = itemAt(slot);
  const flow = flowAt(item.flow);
  const band = bandAt(flow.band);
  if (band.count == 0) band.sinceNs = item.enqueuedNs;
  ++band.count;
  band.bytes += item.bytes;
  if (flow.count == 0) leaveEmpty(item.flow);
  ++flow.count;
  heaps.push(changetype<usize>(flow) + offsetof<Flow>("requests"), pointer(turnOf(slot)));
  if (flow.count == 1) {
    flowNode(item.flow).key = turnOfFlow(item.flow);
    flowNode(item.flow).tie = firstOf(flow).tie;
    heaps.push(flowsOf(flow.band), pointer(flowNode(item.flow)));
  } else retime(item.flow);
}

function unlink(slot: u32): void {
  const item = itemAt(slot);
  const flow = flowAt(item.flow);
  const band = bandAt(flow.band);
  --band.count;
  band.bytes -= item.bytes;
  --flow.count;
  heaps.remove(changetype<usize>(flow) + offsetof<Flow>("requests"), pointer(turnOf(slot)));
  if (flow.count != 0) {
    retime(item.flow);
    return;
  }
  heaps.remove(flowsOf(flow.band), pointer(flowNode(item.flow)));
  becomeEmpty(item.flow);
}

function flowsOf(band: u32): usize {
  return changetype<usize>(bandAt(band)) + offsetof<Band>("flows");
}

/** The request of a flow that is its first. */
function firstOf(flow: Flow): heaps.Node {
  return turnOf(slotOf(flow.requests));
}

/**
 * When a flow's turn is. Without strictness: the longer ago it was served the sooner; one that never was is as if
 * served when its first request came, or flows that are always new would leave no turn to the others.
 */
function turnOfFlow(row: u32): u64 {
  const flow = flowAt(row);
  if (bandAt(flow.band).isStrict != 0) return firstOf(flow).key;
  const servedNs = max<u64>(flow.servedNs, flow.othersServedNs);
  return servedNs == 0 ? itemAt(slotOf(flow.requests)).enqueuedNs : servedNs;
}

/** The flow's turn may be another one: its first request changed, or it was served. */
function retime(row: u32): void {
  const flow = flowAt(row);
  heaps.rekey(flowsOf(flow.band), pointer(flowNode(row)), turnOfFlow(row), firstOf(flow).tie);
}

// ── Whose turn it is ──

/** Slot of the request of the band that is next; the band is not empty. */
export function next(band: u32): u32 {
  return slotOf(flowAt(flowOfNode(bandAt(band).flows)).requests);
}

/** Slot of a request whose time has run out, or NONE. */
export function expired(nowNs: u64): u32 {
  const first = heaps.first(expiries);
  return first != 0 && changetype<heaps.Node>(<usize>first).key <= nowNs
    ? slotOf(<u32>(<usize>first - EXPIRY_AT))
    : NONE;
}

/** The key of the turn that is next in the band, lower comes first; comparable among workers. */
export function turnKey(band: u32): u64 {
  return changetype<heaps.Node>(<usize>bandAt(band).flows).key;
}

export function enqueuedNs(slot: u32): u64 {
  return itemAt(slot).enqueuedNs;
}

export function bandOf(slot: u32): u32 {
  return flowAt(itemAt(slot).flow).band;
}

/** The band's fairness policy, as it is now: its flows are put in line anew when it changed. */
export function setStrict(n: u32, isStrict: bool): void {
  const band = bandAt(n);
  if ((band.isStrict != 0) == isStrict) return;
  band.isStrict = isStrict ? 1 : 0;
  retimeAll(n);
}

function retimeAll(n: u32): void {
  for (let row: u32 = 0; row < flowsUsed; ++row) if (flowAt(row).band == n && flowAt(row).count != 0) retime(row);
}

/** New rules for a request that waits: another band, turn or expiry. False when its flow finds no row there. */
export function move(slot: u32, n: u32, fairness: u64, orderKey: u64, expiresNs: u64): bool {
  const item = itemAt(slot);
  const expiry = expiryOf(slot);
  if (expiry.key != expiresNs) {
    if (expiry.key != NEVER) heaps.remove(expiries, pointer(expiry));
    setExpiry(slot, expiresNs);
  }
  if (flowAt(item.flow).band == n && turnOf(slot).key == orderKey) return true;
  // Whoever moves first must not matter: nothing is forgotten.
  const row = openFlow(n, fairness, 0);
  if (row == NONE) return false;
  unlink(slot);
  turnOf(slot).key = orderKey;
  item.flow = row;
  link(slot);
  return true;
}

// ── Rows of flows ──

function cellOf(band: u32, fairness: u64): usize {
  const mixed = (fairness ^ (<u64>band * 0x9e3779b97f4a7c15)) * 0x9e3779b97f4a7c15;
  return index + ((<usize>(mixed >> 40) & INDEX_MASK) << 2);
}

function findFlow(band: u32, fairness: u64): u32 {
  let entry = load<u32>(cellOf(band, fairness));
  for (; entry != 0; entry = flowAt(entry - 1).next) {
    const flow = flowAt(entry - 1);
    if (flow.band == band && flow.fairness == fairness) return entry - 1;
  }
  return NONE;
}

/** Row of the flow, made when it is not there; that of the crowd when there is no room; NONE if no row is left. */
function openFlow(band: u32, fairness: u64, nowNs: u64): u32 {
  let row = findFlow(band, fairness);
  if (row == NONE) row = makeFlow(band, fairness, FLOWS_MAX - FLOWS_KEPT_BACK);
  if (row == NONE) row = findFlow(band, CROWD);
  if (row == NONE) row = makeFlow(band, CROWD, FLOWS_MAX);
  if (row == NONE || flowAt(row).count != 0) return row;
  const flow = flowAt(row);
  if (nowNs > max<u64>(flow.servedNs, flow.othersServedNs) + SERVED_NS) {
    flow.servedNs = 0;
    flow.othersServedNs = 0;
  }
  return row;
}

/** A row for a new flow: one of the first `limit`, or the one that has been empty longest. */
function makeFlow(band: u32, fairness: u64, limit: u32): u32 {
  let row = flowsUsed;
  if (row < limit) ++flowsUsed;
  else if (emptyFirst != 0) {
    row = emptyFirst - 1;
    leaveEmpty(row);
    unindex(row);
  } else return NONE;
  memory.fill(changetype<usize>(flowNode(row)), 0, FLOW_BYTES);
  const flow = flowAt(row);
  flow.fairness = fairness;
  flow.band = band;
  const cell = cellOf(band, fairness);
  flow.next = load<u32>(cell);
  store<u32>(cell, row + 1);
  becomeEmpty(row);
  return row;
}

function unindex(row: u32): void {
  const flow = flowAt(row);
  const cell = cellOf(flow.band, flow.fairness);
  if (load<u32>(cell) == row + 1) {
    store<u32>(cell, flow.next);
    return;
  }
  let before = load<u32>(cell) - 1;
  while (flowAt(before).next != row + 1) before = flowAt(before).next - 1;
  flowAt(before).next = flow.next;
}

function becomeEmpty(row: u32): void {
  const flow = flowAt(row);
  flow.emptyAfter = 0;
  flow.emptyBefore = emptyLast;
  if (emptyLast == 0) emptyFirst = row + 1;
  else flowAt(emptyLast - 1).emptyAfter = row + 1;
  emptyLast = row + 1;
}

function leaveEmpty(row: u32): void {
  const flow = flowAt(row);
  if (flow.emptyBefore == 0) emptyFirst = flow.emptyAfter;
  else flowAt(flow.emptyBefore - 1).emptyAfter = flow.emptyAfter;
  if (flow.emptyAfter == 0) emptyLast = flow.emptyBefore;
  else flowAt(flow.emptyAfter - 1).emptyBefore = flow.emptyBefore;
}

/** Forgets who was served in a band in which nothing waits, before its row is another band's. */
function forgetFlows(band: u32): void {
  for (let row: u32 = 0; row < flowsUsed; ++row) {
    if (flowAt(row).band != band) continue;
    unindex(row);
    flowAt(row).band = NONE;
    flowAt(row).servedNs = 0;
    flowAt(row).othersServedNs = 0;
    const cell = cellOf(NONE, flowAt(row).fairness);
    flowAt(row).next = load<u32>(cell);
    store<u32>(cell, row + 1);
  }
}

// ── What others served ──

/** Another worker served the flow at that time. */
export function noteServed(pool: u64, priority: i32, fairness: u64, servedNs: u64): void {
  const band = findBand(pool, priority);
  const row = band == NONE ? NONE : findFlow(band, fairness);
  if (row == NONE || servedNs <= flowAt(row).othersServedNs) return;
  flowAt(row).othersServedNs = servedNs;
  if (flowAt(row).count != 0) retime(row);
}

/** One more than the largest row of a flow. */
export function flowLimit(): u32 {
  return flowsUsed;
}

export function flowBand(row: u32): u32 {
  return flowAt(row).band;
}

export function flowFairness(row: u32): u64 {
  return flowAt(row).fairness;
}

export function flowServedNs(row: u32): u64 {
  return flowAt(row).servedNs;
}

export function flowCount(row: u32): u32 {
  return flowAt(row).count;
}
