// What becomes of requests that wait, in whatever callback something happens: they go on, time runs out, the
// client goes away, or the proxy ends. Their streams are acted for in the place of the callback's own.

import { DISPATCHES_MAX } from "../../src/wire/limits";
import { EVICTED, EXPIRED, EXPIRED_EMPTY, SHUT_DOWN } from "../../src/wire/report";
import { monotonicNs } from "../abi/clock";
import * as host from "../abi/host";
import { mark, release } from "../abi/scratch";
import * as configs from "../config";
import * as accessLog from "../explain/access_log";
import * as evict from "../flow/evict";
import * as others from "../flow/others";
import * as queue from "../flow/queue";
import * as tally from "../flow/tally";
import * as turns from "../flow/turns";
import * as column from "../share/column";
import * as sync from "../share/sync";
import * as flowSettings from "../state/flow_settings";
import * as snapshot from "../state/snapshot";
import * as stats from "../state/stats";
import * as streams from "../state/streams";
import * as body from "./2_body";
import * as admission from "./5_admit";
import * as dispatcher from "./dispatch";
import { readsPrompt } from "./pool";
import * as refusals from "./refusals";

/** Requests that end waiting in one go. */
const ENDS_MAX: u32 = 256;

/** Epoch of the rules by which what waits stands in line. */
let settledEpoch: u64 = 0;

/** Whether anything waits, here or, as far as heard, elsewhere. */
function isAny(): bool {
  return queue.waiting != 0 || others.count != 0;
}

/** At a tick, and when another worker tells of a place: all pools. `own`: the context of the callback. */
export function look(own: u32, nowNs: u64): void {
  if (!isAny()) return;
  settle();
  expire(nowNs);
  for (let n: u32 = 0; n < queue.bandLimit; ++n) if (isFirstOfPool(n)) sendOn(queue.bandAt(n).pool, nowNs);
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    endRunning(n, nowNs);
  }
  host.actFor(own);
}

/** Whether requests of the pool wait here, or may wait anywhere. */
function mayWait(pool: u64): bool {
  if (queue.waiting != 0) return true;
  const number = snapshot.findPool(pool);
  return number != snapshot.NO_POOL && flowSettings.queues(snapshot.program(snapshot.pool(number)));
}

/** Whether no band before the n-th is of its pool, so that each pool is looked at once. */
function isFirstOfPool(n: u32): bool {
  const pool = queue.bandAt(n).pool;
  for (let before: u32 = 0; before < n; ++before) if (queue.bandAt(before).pool == pool) return false;
  return true;
}

/** A request of that pool (by its hash) has ended here, or what it takes has become less. */
export function fillPlaces(pool: u64, own: u32): void {
  if (pool == 0 || !mayWait(pool)) return;
  const nowNs = monotonicNs();
  // Who has only requests that end hears of nobody otherwise.
  sync.hearIfDue(nowNs);
  if (!isAny()) return;
  settle();
  sendOn(pool, nowNs);
  host.actFor(own);
}

function settle(): void {
  if (settledEpoch == snapshot.epoch) return;
  settledEpoch = snapshot.epoch;
  admission.resettle();
}

/** Sends on what has a place in the pool, and tells the worker whose turn it is when that is another one. */
function sendOn(pool: u64, nowNs: u64): void {
  let sent: u32 = 0;
  while (sent < DISPATCHES_MAX) {
    const slot = turns.take(pool, nowNs);
    if (slot == queue.NONE) break;
    ++sent;
    admission.noteTaken(streams.at(slot), nowNs);
    resume(streams.at(slot), nowNs);
  }
  if (turns.otherBand != queue.NONE) {
    sync.tellPlace(pool, others.slotOf(turns.otherBand), others.generationOf(turns.otherBand), nowNs);
  } else if (sent != 0) sync.tell(nowNs);
}

/** Reads a held request again, picks for it as if it came now, and lets it go on. */
function resume(stream: streams.Stream, nowNs: u64): void {
  const config = configs.at(stream.root);
  const from = mark();
  host.actFor(stream.context);
  body.setExtract(readsPrompt(config));
  const goesOn = body.readAgain(stream, config) && dispatcher.dispatchAdmitted(stream, config, nowNs);
  release(from);
  stream.phase = goesOn ? streams.SENT : streams.REPLIED;
  if (goesOn) goOn(stream);
}

/**
 * A request of which more is to come goes on with the next piece: Envoy would append that to what it had sent on,
 * and send both.
 */
function goOn(stream: streams.Stream): void {
  if (stream.isPartial == 0) host.continueRequest();
  else stream.flags |= streams.GOES_ON_LATER;
}

/** Answers those whose time has run out; all of them when the proxy is about to end. */
function expire(nowNs: u64): void {
  for (let ended: u32 = 0; ended < ENDS_MAX; ++ended) {
    const slot = sync.isDraining ? anyWaiting() : queue.expired(nowNs);
    if (slot == queue.NONE) return;
    end(streams.at(slot), nowNs);
  }
}

function anyWaiting(): u32 {
  for (let n: u32 = 0; n < queue.bandLimit; ++n) if (queue.bandAt(n).count != 0) return queue.next(n);
  return queue.NONE;
}

function end(stream: streams.Stream, nowNs: u64): void {
  const number = snapshot.findPool(stream.poolHash);
  const isEmpty = number == snapshot.NO_POOL || snapshot.pool(number).rowCount == 0;
  queue.remove(streams.slotOf(stream));
  host.actFor(stream.context);
  stream.phase = streams.REPLIED;
  if (sync.isDraining) {
    admission.noteEnd(stream, SHUT_DOWN, nowNs);
    refusals.shuttingDown();
  } else {
    admission.noteEnd(stream, isEmpty ? EXPIRED_EMPTY : EXPIRED, nowNs);
    refusals.expired(isEmpty, admission.secondsAhead(stream, nowNs));
  }
  column.countRequest();
  stats.countEnd(number, stats.EXPIRED);
  if (configs.at(stream.root).accessLogFields != 0) accessLog.tell(false);
}

/** Ends running requests of negative priority where more urgent ones wait and the configuration says so. */
function endRunning(number: u32, nowNs: u64): void {
  for (let left = evict.wanted(number, nowNs); left > 0; --left) {
    const slot = evict.victim(snapshot.poolHash(number));
    if (slot == queue.NONE) return;
    const stream = streams.at(slot);
    stream.flags |= streams.EVICTED;
    const band = queue.findBand(stream.poolHash, stream.priority);
    if (band != queue.NONE) tally.count(band, EVICTED);
    host.actFor(stream.context);
    if ((stream.flags & streams.ANSWERS) == 0) refusals.evicted(admission.secondsAhead(stream, nowNs));
    else host.resetStream();
  }
}
