// Fifth station: may the request go on now, must it wait, or is it refused? docs/flow-control.md.

import { FAIRNESS_GLOBAL_STRICT, ORDERING_EDF, ORDERING_SLO, QUEUES } from "../../src/wire/flow";
import { ADMITTED_AT_ONCE, ADMITTED_LATER, CANCELLED, REFUSED_FULL } from "../../src/wire/report";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { utf8 } from "../abi/text";
import * as others from "../flow/others";
import * as queue from "../flow/queue";
import * as rate from "../flow/rate";
import * as saturation from "../flow/saturation";
import * as tally from "../flow/tally";
import { others as workers } from "../share/broadcast";
import { hearOthersNow, isDraining } from "../share/sync";
import * as flowSettings from "../state/flow_settings";
import * as models from "../state/models";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";

/** Goes on at once. */
export const ADMITTED = 0;
/** Waits in flow/queue. */
export const HELD = 1;
/** There is no place, and no room to wait. */
export const FULL = 2;

const contentLength = utf8("content-length");
/** With so few places left for each worker, they tell and hear of each other's requests at once. */
const PLACES_TIGHT: f64 = 8;
/** Whether the pool of the stream that was admitted last has so few. */
export let isTight: bool = false;
/** Whether the pool at hand has no endpoint. */
let isEmpty: bool = false;

/** Decides on a stream, whose priority is known, for pool `number`. */
export function admit(stream: streams.Stream, number: u32, nowNs: u64): i32 {
  const pool = snapshot.pool(number);
  const flow = flowSettings.flow(snapshot.program(pool));
  stream.poolHash = snapshot.poolHash(number);
  isEmpty = pool.rowCount == 0;
  isTight = false;
  if ((flow.flags & QUEUES) != 0) return queueOrGoOn(stream, pool, flow, nowNs);
  const isShed = stream.priority < 0 && !isEmpty && saturation.measure(pool, flow, nowNs) >= 1;
  if (isShed) count(stream, REFUSED_FULL);
  return isShed ? FULL : ADMITTED;
}

function queueOrGoOn(stream: streams.Stream, pool: snapshot.Pool, flow: flowSettings.Flow, nowNs: u64): i32 {
  if (!isEmpty && !isOthersTurn(stream, nowNs)) {
    const ceiling = flowSettings.ceiling(flow, stream.priority);
    let measured = saturation.measure(pool, flow, nowNs);
    isTight = 1 - saturation.excess <= PLACES_TIGHT * <f64>(workers() + 1);
    if (isTight && measured < ceiling) {
      hearOthersNow(nowNs);
      measured = saturation.measure(pool, flow, nowNs);
    }
    if (measured < ceiling) {
      count(stream, ADMITTED_AT_ONCE);
      return ADMITTED;
    }
  }
  if (!isDraining && hold(stream, flow, bytesOf(stream), nowNs)) return HELD;
  count(stream, REFUSED_FULL);
  return FULL;
}

/** Whether something as urgent waits already. */
function isOthersTurn(stream: streams.Stream, nowNs: u64): bool {
  if (queue.waiting != 0) {
    const top = queue.topBand(stream.poolHash);
    if (top != queue.NONE && queue.bandAt(top).priority >= stream.priority) return true;
  }
  return others.count != 0 && others.holdsAtLeast(stream.poolHash, stream.priority, nowNs);
}

function count(stream: streams.Stream, outcome: u32): void {
  const band = bandOf(stream);
  if (band != queue.NONE) tally.count(band, outcome);
}

/** Number of the stream's band in the queue, or NONE when there are too many. */
function bandOf(stream: streams.Stream): u32 {
  const band = queue.openBand(stream.poolHash, stream.priority);
  if (band != queue.NONE && queue.isFresh) tally.begin(band);
  return band;
}

/** Of the body: what has come of it, or what its header says when not all has. */
function bytesOf(stream: streams.Stream): u32 {
  if (stream.isPartial == 0 || !host.getHeader(REQUEST_HEADERS, contentLength)) return stream.received;
  let bytes: u64 = 0;
  for (let i: u32 = 0; i < min<u32>(host.size, 10); ++i) {
    const digit = <u32>load<u8>(host.data + i) - 0x30;
    if (digit > 9) return stream.received;
    bytes = bytes * 10 + digit;
  }
  return <u32>min<u64>(max<u64>(bytes, stream.received), u32.MAX_VALUE);
}

/** Puts the stream in line. False when there is no room for it. */
function hold(stream: streams.Stream, flow: flowSettings.Flow, bytes: u32, nowNs: u64): bool {
  const limits = flowSettings.band(flow, stream.priority);
  const n = bandOf(stream);
  if (n == queue.NONE || !hasRoom(stream, flow, limits, n, bytes)) return false;
  queue.setStrict(n, limits.fairness == FAIRNESS_GLOBAL_STRICT);
  const expiresNs = expiry(stream, flow, limits, nowNs);
  const key = orderKey(stream, limits, expiresNs, nowNs);
  if (!queue.add(streams.slotOf(stream), n, stream.fairness, key, expiresNs, bytes, nowNs)) return false;
  stream.phase = streams.WAITING;
  return true;
}

function hasRoom(stream: streams.Stream, flow: flowSettings.Flow, limits: flowSettings.Band, n: u32, bytes: u32): bool {
  const band = queue.bandAt(n);
  others.sum(stream.poolHash, stream.priority, false);
  if (others.waiting + <f64>band.count + 1 > limits.maxRequests) return false;
  if (others.bytes + <f64>band.bytes + <f64>bytes > limits.maxBytes) return false;
  if (flow.maxRequests == Infinity && flow.maxBytes == Infinity) return true;
  others.sum(stream.poolHash, 0, true);
  let requests = others.waiting + 1;
  let all = others.bytes + <f64>bytes;
  for (let other: u32 = 0; other < queue.bandLimit; ++other) {
    if (queue.bandAt(other).pool != stream.poolHash) continue;
    requests += <f64>queue.bandAt(other).count;
    all += <f64>queue.bandAt(other).bytes;
  }
  return requests <= flow.maxRequests && all <= flow.maxBytes;
}

/** Until when a request may wait that came into the line at `sinceNs`. */
function expiry(stream: streams.Stream, flow: flowSettings.Flow, limits: flowSettings.Band, sinceNs: u64): u64 {
  // What waited when the gate was turned off goes on, however long it waited.
  if ((flow.flags & QUEUES) == 0) return queue.NEVER;
  if (isEmpty) stream.sawEmpty = 1;
  let ttlMs = isEmpty ? flow.emptyTtlMs : limits.ttlMs;
  // Who waited for the first endpoint is not turned away when it comes.
  if (!isEmpty && stream.sawEmpty != 0) ttlMs = longer(ttlMs, flow.emptyTtlMs);
  const own = <f64>stream.ttlMs;
  if (own > 0 && (ttlMs == 0 || own < ttlMs)) ttlMs = own;
  // Beyond what a clock of ns in 64 bits can tell, nobody waits for the end.
  return ttlMs == 0 || ttlMs > 1e12 ? queue.NEVER : sinceNs + <u64>(ttlMs * 1_000_000);
}

/** Of two TTLs, of which 0 is without end. */
function longer(a: f64, b: f64): f64 {
  return a == 0 || b == 0 ? 0 : max<f64>(a, b);
}

function orderKey(stream: streams.Stream, limits: flowSettings.Band, expiresNs: u64, sinceNs: u64): u64 {
  if (limits.ordering == ORDERING_EDF) return expiresNs;
  if (limits.ordering != ORDERING_SLO) return sinceNs;
  return stream.ttftMs == 0 ? queue.NEVER : stream.receivedNs + <u64>stream.ttftMs * 1_000_000;
}

/** A stream was taken out of the line by flow/turns to go on. */
export function noteTaken(stream: streams.Stream, nowNs: u64): void {
  noteEnd(stream, ADMITTED_LATER, nowNs);
}

/** The client of a waiting stream went away. */
export function cancel(stream: streams.Stream, nowNs: u64): void {
  queue.remove(streams.slotOf(stream));
  noteEnd(stream, CANCELLED, nowNs);
}

/** A stream has left the line. */
export function noteEnd(stream: streams.Stream, outcome: u32, nowNs: u64): void {
  const slot = streams.slotOf(stream);
  const band = queue.bandOf(slot);
  tally.count(band, outcome);
  tally.countWaited(band, nowNs - queue.enqueuedNs(slot));
}

/** In how many seconds a request like this may find a place: what is ahead over what ended lately; 1 = not known. */
export function secondsAhead(stream: streams.Stream, nowNs: u64): f64 {
  // Other workers have as many clients as this one.
  const perSecond = rate.perSecond(stream.poolHash, nowNs) * <f64>(workers() + 1);
  return perSecond > 0 ? ahead(stream, nowNs) / perSecond : 1;
}

/** Requests ahead of one of that priority, those that run too many included. */
function ahead(stream: streams.Stream, nowNs: u64): f64 {
  const number = snapshot.findPool(stream.poolHash);
  let waiting: f64 = 1;
  if (number != snapshot.NO_POOL) {
    const pool = snapshot.pool(number);
    saturation.measure(pool, flowSettings.flow(snapshot.program(pool)), nowNs);
    waiting = max<f64>(1, saturation.excess);
  }
  others.sum(stream.poolHash, stream.priority, true);
  waiting += others.waiting;
  for (let n: u32 = 0; n < queue.bandLimit; ++n) {
    const band = queue.bandAt(n);
    if (band.pool == stream.poolHash && band.priority >= stream.priority) waiting += <f64>band.count;
  }
  return waiting;
}

/** New rules are in force: what waits is put in line anew by them. */
export function resettle(): void {
  const limit: u32 = queue.waiting == 0 ? 0 : streams.limit();
  for (let slot: u32 = 0; slot < limit; ++slot) {
    const stream = streams.at(slot);
    if (stream.phase != streams.WAITING) continue;
    const number = snapshot.findPool(stream.poolHash);
    if (number != snapshot.NO_POOL) resettleOne(stream, slot, snapshot.pool(number));
  }
}

/** Its priority by the objects in force now; without an objective the one it had, as its body is not read again. */
function priorityNow(stream: streams.Stream, pool: snapshot.Pool): i32 {
  if (stream.objective == 0) return stream.priority;
  const section = snapshot.models(pool);
  return section == 0 ? 0 : models.objectivePriority(section, stream.objective);
}

function resettleOne(stream: streams.Stream, slot: u32, pool: snapshot.Pool): void {
  const flow = flowSettings.flow(snapshot.program(pool));
  isEmpty = pool.rowCount == 0;
  stream.priority = priorityNow(stream, pool);
  const limits = flowSettings.band(flow, stream.priority);
  const n = bandOf(stream);
  if (n == queue.NONE) return;
  queue.setStrict(n, limits.fairness == FAIRNESS_GLOBAL_STRICT);
  const sinceNs = queue.enqueuedNs(slot);
  const expiresNs = expiry(stream, flow, limits, sinceNs);
  queue.move(slot, n, stream.fairness, orderKey(stream, limits, expiresNs, sinceNs), expiresNs);
}
