// Tells the other workers what this one learns, as it happens, and learns what they tell
// (src/wire/broadcast.ts). Each worker reads one queue, named by its slot.
//
// A queue without a reader keeps what is sent to it for ever, and who registers its name takes over what
// lies in it. So messages go to workers that are heard of only, and name the generation they are for.

import {
  B_LENGTH,
  B_MAGIC,
  B_SENT_NS,
  B_TO,
  B_VERSION,
  BYTES_PER_CALLBACK,
  COLD,
  D_ADDRESS_HASH,
  D_COLD_SIZE,
  D_COUNT,
  D_FLAGS,
  D_KIND,
  D_ROW,
  FLUSH_NS_MAX,
  FLUSH_NS_MIN,
  FLUSH_NS_PER_READER,
  KIND_BINDING,
  KIND_LEARNED,
  KIND_PLACE,
  MESSAGE_BYTES,
  MESSAGE_BYTES_MAX,
  MESSAGE_MAGIC,
  MESSAGE_VERSION,
  MESSAGES_PER_CALLBACK,
  RECORD_BYTES,
} from "../../src/wire/broadcast";
import { BLOCKS_MAX, WORKERS_MAX } from "../../src/wire/limits";
import { KEY_QUEUE } from "../../src/wire/names";
import { data, dequeue, enqueue, NO_QUEUE, registerQueue, resolveQueue, size } from "../abi/host";
import { mark, release } from "../abi/scratch";
import { put, putNumber, utf8 } from "../abi/text";
import * as prefixes from "../prefix/index";
import * as cold from "../state/cold";
import * as endpoints from "../state/endpoints";
import * as sessions from "../state/sessions";
import * as column from "./column";

if (MESSAGE_BYTES + RECORD_BYTES + BLOCKS_MAX * 8 > MESSAGE_BYTES_MAX) ERROR("a request's hashes must fit a message");

const prefix = utf8(KEY_QUEUE);
const nameBuffer = memory.data(32);

function nameLength(slot: u32): u32 {
  return <u32>(putNumber(put(nameBuffer, prefix), slot) - nameBuffer);
}

// ── Telling ──

const message: usize = heap.alloc(MESSAGE_BYTES_MAX);
let length: u32 = MESSAGE_BYTES;
/** Hashes in the message. */
let hashes: u32 = 0;
let flushedNs: u64 = 0;
/** When this worker last looked who is there. */
let heardNs: u64 = 0;

/** Of each slot: the queue of its worker, which never changes while Envoy runs; NO_QUEUE = not yet looked up. */
const queues: usize = heap.alloc(WORKERS_MAX * 4);
// The workers that are heard of: slots u32 and generations u64.
const readerSlots: usize = heap.alloc(WORKERS_MAX * 4);
const readerGenerations: usize = heap.alloc(WORKERS_MAX * 8);
let readers: u32 = 0;
/** Of each slot, u64: the generation that was a reader when this worker last looked; now. 0 = none. */
const before: usize = heap.alloc(WORKERS_MAX * 8);
const present: usize = heap.alloc(WORKERS_MAX * 8);
let hasNewcomer: bool = false;

/** Forgets who is there, before those who are heard of are added. */
export function beginReaders(nowNs: u64): void {
  readers = 0;
  heardNs = nowNs;
  hasNewcomer = false;
  memory.copy(before, present, WORKERS_MAX * 8);
  memory.fill(present, 0, WORKERS_MAX * 8);
}

export function addReader(slot: u32, generation: u64): void {
  store<u32>(readerSlots + (readers << 2), slot);
  store<u64>(readerGenerations + (readers << 3), generation);
  ++readers;
  store<u64>(present + (slot << 3), generation);
  if (load<u64>(before + (slot << 3)) != generation) hasNewcomer = true;
}

/** How many other workers are heard of. */
export function others(): u32 {
  return readers;
}

/** After the last reader. One that comes, or comes back, missed what was told before. */
export function endReaders(): void {
  if (hasNewcomer) prefixes.renew();
}

/**
 * Tells what prefixes.insert(id) left as news, `count` hashes as it answered, and whether the request was a
 * cold one, under a program that remembers `coldSize` endpoints.
 */
export function tellLearned(id: u32, count: u32, isCold: bool, coldSize: u32): void {
  if (readers == 0 || (count == 0 && !isCold)) return;
  const words = begin(KIND_LEARNED, id, count);
  store<u16>(words - RECORD_BYTES, isCold ? <u16>COLD : 0, D_FLAGS);
  store<u32>(words - RECORD_BYTES, coldSize, D_COLD_SIZE);
  memory.copy(words, prefixes.news(), count << 3);
  hashes += count;
}

/** Tells that a session belongs to the endpoint, as state/sessions has it. */
export function tellBinding(session: u64, id: u32): void {
  if (readers == 0) return;
  const words = begin(KIND_BINDING, id, 2);
  store<u64>(words, session);
  store<u64>(words, sessions.boundNs(session), 8);
}

/** A new record about an endpoint, of `count` words; where they go. */
function begin(kind: u32, id: u32, count: u32): usize {
  const bytes = RECORD_BYTES + (count << 3);
  if (length + bytes > MESSAGE_BYTES_MAX) flush(heardNs);
  const record = message + length;
  length += bytes;
  const endpoint = endpoints.at(id);
  store<u16>(record, <u16>kind, D_KIND);
  store<u16>(record, 0, D_FLAGS);
  store<u32>(record, count, D_COUNT);
  store<u32>(record, endpoint.row, D_ROW);
  store<u32>(record, 0, D_COLD_SIZE);
  store<u64>(record, endpoint.addressHash, D_ADDRESS_HASH);
  return record + RECORD_BYTES;
}

/** Sends what is to be told, unless that was done a moment ago. False: something waits for the next tick. */
export function flushIfDue(nowNs: u64): bool {
  if (length == MESSAGE_BYTES) return true;
  if (nowNs - flushedNs < min<u32>(max<u32>(readers * FLUSH_NS_PER_READER, FLUSH_NS_MIN), FLUSH_NS_MAX)) return false;
  flush(nowNs);
  return true;
}

function flush(nowNs: u64): void {
  flushedNs = nowNs;
  store<u32>(message, MESSAGE_MAGIC, B_MAGIC);
  store<u32>(message, MESSAGE_VERSION, B_VERSION);
  store<u32>(message, length, B_LENGTH);
  store<u64>(message, nowNs, B_SENT_NS);
  for (let n: u32 = 0; n < readers; ++n) {
    store<u64>(message, load<u64>(readerGenerations + (n << 3)), B_TO);
    const queue = queueOf(load<u32>(readerSlots + (n << 2)));
    if (queue == NO_QUEUE || !enqueue(queue, message, length)) column.countUnlearned(hashes);
  }
  if (readers != 0) column.countTold(hashes);
  length = MESSAGE_BYTES;
  hashes = 0;
}

const placeMessage: usize = heap.alloc(MESSAGE_BYTES + RECORD_BYTES);

/** Tells one worker, at once, that a request which waits there for the pool may have a place. */
export function tellPlace(pool: u64, slot: u32, reader: u64, nowNs: u64): void {
  const bytes = MESSAGE_BYTES + RECORD_BYTES;
  memory.fill(placeMessage, 0, bytes);
  store<u32>(placeMessage, MESSAGE_MAGIC, B_MAGIC);
  store<u32>(placeMessage, MESSAGE_VERSION, B_VERSION);
  store<u64>(placeMessage, reader, B_TO);
  store<u32>(placeMessage, bytes, B_LENGTH);
  store<u64>(placeMessage, nowNs, B_SENT_NS);
  store<u16>(placeMessage + MESSAGE_BYTES, <u16>KIND_PLACE, D_KIND);
  store<u64>(placeMessage + MESSAGE_BYTES, pool, D_ADDRESS_HASH);
  const queue = queueOf(slot);
  // One that is lost costs a tick: the worker looks for itself then.
  if (queue != NO_QUEUE) enqueue(queue, placeMessage, bytes);
}

function queueOf(slot: u32): u32 {
  const known = queues + (slot << 2);
  if (load<u32>(known) == NO_QUEUE) store<u32>(known, resolveQueue(nameBuffer, nameLength(slot)));
  return load<u32>(known);
}

// ── Learning ──

let ownQueue: u32 = NO_QUEUE;
let ownGeneration: u64 = 0;

/**
 * Makes this worker the reader of its slot's queue. Done again at each tick: Envoy announces messages to the
 * root context that registered last, and to nobody once that one is gone.
 */
export function open(slot: u32, generation: u64): void {
  ownQueue = registerQueue(nameBuffer, nameLength(slot));
  ownGeneration = generation;
}

/** Envoy announces a message. */
export function onReady(queue: u32, nowNs: u64): void {
  // A queue of the VM that was on this thread before, or of a slot that was lost: what was meant for them is dropped.
  if (queue == ownQueue) drain(nowNs);
  else drop(queue);
}

/** Learns what lies in the own queue; false when a part of it is left, so that no callback takes too long. */
export function drain(nowNs: u64): bool {
  if (ownQueue == NO_QUEUE) return true;
  let bytes: u32 = 0;
  for (let n: u32 = 0; n < MESSAGES_PER_CALLBACK && bytes < BYTES_PER_CALLBACK; ++n) {
    const from = mark();
    const found = dequeue(ownQueue);
    if (found) read(data, size, nowNs);
    release(from);
    if (!found) return true;
    bytes += size;
  }
  return false;
}

function drop(queue: u32): void {
  const from = mark();
  dequeue(queue);
  release(from);
}

/** Learns from the message at `p`. What cannot be read is counted, and no more of it is taken. */
function read(p: usize, bytes: u32, nowNs: u64): void {
  if (bytes < MESSAGE_BYTES || load<u32>(p, B_MAGIC) != MESSAGE_MAGIC || load<u32>(p, B_LENGTH) != bytes) {
    column.countUnlearned(1);
    return;
  }
  if (load<u32>(p, B_VERSION) != MESSAGE_VERSION) {
    column.countUnlearned(1);
    return;
  }
  if (load<u64>(p, B_TO) != ownGeneration) return;
  // The sender may have read its clock after this callback did.
  const sentNs = load<u64>(p, B_SENT_NS);
  column.countMessage(nowNs > sentNs ? nowNs - sentNs : 0);
  const end = p + bytes;
  let record = p + MESSAGE_BYTES;
  while (record + RECORD_BYTES <= end) {
    const next = <u64>record + RECORD_BYTES + ((<u64>load<u32>(record, D_COUNT)) << 3);
    if (next > <u64>end) break;
    learn(record, nowNs);
    record = <usize>next;
  }
  if (record != end) column.countUnlearned(1);
}

/** Whether another worker has told of a place since it was last asked. */
export function takePlace(): bool {
  const told = isPlaceTold;
  isPlaceTold = false;
  return told;
}

let isPlaceTold: bool = false;

/** Learns one record, whose words lie within the message. Kinds of later versions pass. */
function learn(record: usize, nowNs: u64): void {
  const kind = <u32>load<u16>(record, D_KIND);
  const count = load<u32>(record, D_COUNT);
  const addressHash = load<u64>(record, D_ADDRESS_HASH);
  const words = record + RECORD_BYTES;
  if (kind == KIND_BINDING && count == 2) {
    sessions.learn(load<u64>(words), addressHash, load<u64>(words, 8), nowNs);
    return;
  }
  if (kind == KIND_PLACE) isPlaceTold = true;
  if (kind != KIND_LEARNED) return;
  const id = column.idOf(addressHash, load<u32>(record, D_ROW));
  // One that left the topology here a moment before it did there holds nothing any more.
  if (id == endpoints.NO_ID || endpoints.at(id).row == endpoints.NO_ROW) {
    column.countUnlearned(count);
    return;
  }
  prefixes.learn(id, words, count);
  column.countLearned(count);
  if ((<u32>load<u16>(record, D_FLAGS) & COLD) != 0) cold.touch(id, load<u32>(record, D_COLD_SIZE));
}
