// Every live stream of this VM, by its context id. No objects: a slot in a table, found by hashing.

import { DESTINATIONS_MAX, STREAMS_MAX } from "../../src/wire/limits";

// Where a stream is on its path
/** Nothing is known of it yet, or it passes through. */
export const PASSING: u8 = 0;
/** Headers are held; the body is being read. */
export const INSPECTING: u8 = 1;
/** On its way to an endpoint, or unsteered. */
export const SENT: u8 = 2;
/** Answered here. */
export const REPLIED: u8 = 3;
/** Held until it has a place (flow/queue). */
export const WAITING: u8 = 4;

export const NO_ENDPOINT: u16 = 0xffff;

// Bits of flags
/** The response shall tell the client its session's token. */
export const TELLS_SESSION: u8 = 1;
/** The destination's port is not the endpoint's own: the address that answers says nothing of the endpoint. */
export const OTHER_PORT: u8 = 2;
/** Wants to know how it would be picked for, instead of being sent. */
export const EXPLAINS: u8 = 4;
/** Its tokens count until its end, not until the response begins: the output is among them. */
export const HOLDS_TOKENS: u8 = 8;
/** Its response has begun. */
export const ANSWERS: u8 = 16;
/** It is being ended for more urgent work. */
export const EVICTED: u8 = 32;
/** It waited, and goes on with the next piece of its body. */
export const GOES_ON_LATER: u8 = 64;
/** Its body was made to ask for usage: the event that tells it is not the caller's (response/usage_event). */
export const ASKS_USAGE: u8 = 128;

/**
 * One stream, 128 bytes. The endpoint ids are those of state/endpoints.ts; u16 because there are at
 * most ENDPOINT_IDS_MAX.
 */
@unmanaged
export class Stream {
  /** FNV-1a of the model's name that is counted in flight on `counted`; 0 = none is. */
  adapter: u64;
  context: u32;
  /** Index of the plugin configuration it runs under. */
  root: u32;
  phase: u8;
  /** API of the body, as request/1_headers.ts tells it. */
  body: u8;
  destinationCount: u8;
  flags: u8;
  /** Endpoint on which this stream is counted as in flight. */
  counted: u16;
  /** Number of the pool it was picked in, in the topology of `topology`. */
  pool: u16;
  destination0: u64;
  destination4: u64;
  /** Bytes of the body that have come, while it is inspected. */
  received: u32;
  /** Next slot of the free list. */
  next: u32;
  /** endpoints.topologies when it was picked for: an id taken by another endpoint since is told apart by it. */
  topology: u32;
  /** Tokens counted in flight on `counted`. */
  tokens: u32;
  /** FNV-1a of the fairness id it wears; 0 = none. */
  fairness: u64;
  /** FNV-1a of the objective it names; 0 = none. */
  objective: u64;
  /** When its headers came. */
  receivedNs: u64;
  /** When it was sent on; 0 = not yet. */
  sentNs: u64;
  priority: i32;
  /** Row of its labels in the statistics of requests, or NO_SERIES. */
  series: u32;
  /** Row of the two names its model goes by (state/renames), or NO_RENAME. */
  rename: u16;
  /** The client headers it came with: bits of request/client_headers. */
  clientHeaders: u16;
  /** Of x-llm-d-inference-ttl; 0 = not given. */
  ttlMs: u32;
  /** Of x-llm-d-slo-ttft-ms; 0 = not given. */
  ttftMs: u32;
  /** Whether its body is on hold incomplete: the rest is still to come. */
  isPartial: u32;
  /** Hash of the name of the pool it waits for, or was picked in; 0 = none. */
  poolHash: u64;
  /** Number of what is held back of an event that may be the one with usage (state/holds); 0 = nothing is. */
  hold: u16;
  /** Where the search for that event stands. */
  search: u8;
  /** Whether it waited while its pool had no endpoint. */
  sawEmpty: u8;
  reserved2: u32;
}

export const NO_SERIES: u32 = 0xffffffff;
export const NO_RENAME: u16 = 0xffff;

const STREAM_BYTES: usize = 128;
if (offsetof<Stream>() != STREAM_BYTES) ERROR("Stream must fill its slot");
if (DESTINATIONS_MAX != 8) ERROR("Stream has room for 8 destinations of 2 bytes");

const slots: usize = heap.alloc(STREAM_BYTES * STREAMS_MAX);

// Open addressing: INDEX_SIZE cells of u32, 0 = empty, else slot + 1. Context ids count up, so their
// low bits hardly collide. At most half full.
const INDEX_SIZE: u32 = STREAMS_MAX * 2;
const INDEX_MASK: u32 = INDEX_SIZE - 1;
const index: usize = heap.alloc(INDEX_SIZE * 4);

let touched: u32 = 0; // slots ever used: the others lie beyond
let free: u32 = 0; // head of the list of given back slots, slot + 1; 0 = none

export let live: u32 = 0;

function entryAt(cell: u32): u32 {
  return load<u32>(index + (cell << 2));
}

function cellOf(context: u32): u32 {
  let cell = context & INDEX_MASK;
  for (let entry = entryAt(cell); entry != 0 && at(entry - 1).context != context; entry = entryAt(cell)) {
    cell = (cell + 1) & INDEX_MASK;
  }
  return cell;
}

/** The stream in a slot. */
export function at(slot: u32): Stream {
  return changetype<Stream>(slots + <usize>slot * STREAM_BYTES);
}

/** The slot's number, as `at` takes it: other tables have a row for each slot too. */
export function slotOf(stream: Stream): u32 {
  return <u32>((changetype<usize>(stream) - slots) / STREAM_BYTES);
}

/** One more than the largest slot ever used. */
export function limit(): u32 {
  return touched;
}

/** The stream of a context, or null (0) when it has none: then it passes through. */
export function find(context: u32): Stream {
  const entry = entryAt(cellOf(context));
  return entry == 0 ? changetype<Stream>(0) : at(entry - 1);
}

export function isNone(stream: Stream): bool {
  return changetype<usize>(stream) == 0;
}

/** A fresh slot for a new context; null (0) when STREAMS_MAX are live. */
export function open(context: u32, root: u32): Stream {
  const cell = cellOf(context);
  if (live >= STREAMS_MAX || entryAt(cell) != 0) return changetype<Stream>(0);
  let slot: u32;
  if (free != 0) {
    slot = free - 1;
    free = at(slot).next;
  } else {
    slot = touched++;
  }
  store<u32>(index + (cell << 2), slot + 1);
  ++live;
  const stream = at(slot);
  memory.fill(changetype<usize>(stream), 0, STREAM_BYTES);
  stream.context = context;
  stream.root = root;
  stream.counted = NO_ENDPOINT;
  stream.series = NO_SERIES;
  stream.rename = NO_RENAME;
  return stream;
}

/** Gives the slot of a context back. */
export function close(stream: Stream): void {
  let hole = cellOf(stream.context);
  const slot = slotOf(stream);
  // Who walks over the slots finds nobody here.
  stream.phase = PASSING;
  stream.next = free;
  free = slot + 1;
  --live;
  // Close the gap: move back each following entry whose own place is at or before the hole.
  let cell = (hole + 1) & INDEX_MASK;
  for (let entry = entryAt(cell); entry != 0; entry = entryAt(cell)) {
    const home = at(entry - 1).context & INDEX_MASK;
    if (((cell - home) & INDEX_MASK) >= ((cell - hole) & INDEX_MASK)) {
      store<u32>(index + (hole << 2), entry);
      hole = cell;
    }
    cell = (cell + 1) & INDEX_MASK;
  }
  store<u32>(index + (hole << 2), 0);
}

/** Id of the n-th destination of the stream's list, n < destinationCount. */
export function destination(stream: Stream, n: u32): u16 {
  return load<u16>(changetype<usize>(stream) + (n << 1), offsetof<Stream>("destination0"));
}

export function addDestination(stream: Stream, endpoint: u16): void {
  const n = <usize>stream.destinationCount;
  stream.destinationCount = <u8>(n + 1);
  store<u16>(changetype<usize>(stream) + (n << 1), endpoint, offsetof<Stream>("destination0"));
}
