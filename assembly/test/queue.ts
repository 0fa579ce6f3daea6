// Benchmark entry (bench/queue.ts): the line of waiting requests alone. One leaves and one comes, over and over,
// while a given number waits.

import { STREAMS_MAX } from "../../src/wire/limits";
import * as scratch from "../abi/scratch";
import * as queue from "../flow/queue";

const POOL: u64 = 1;
const PRIORITY: i32 = 0;
const BODY_BYTES: u32 = 1024;
const STEP_NS: u64 = 1_000;
const TTL_NS: u64 = 60_000_000_000;

let band: u32 = 0;
let waiting: u32 = 0;
let flowCount: u32 = 1;
let isOrdered: bool = true;
let nowNs: u64 = 1_000_000_000;
let state: u64 = 0x2545f4914f6cdd1d;
/** Of each slot: the flow its requests are of. */
const flows: usize = heap.alloc(4 * STREAMS_MAX);

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.take(size);
}

/** Marsaglia's xorshift64: the same numbers each time. */
function random(): u64 {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/** First come first served, or in the order of random deadlines. */
function come(slot: u32): void {
  nowNs += STEP_NS;
  const key = isOrdered ? nowNs : nowNs + (random() >> 30);
  const fairness = <u64>load<u32>(flows + ((<usize>slot) << 2));
  queue.add(slot, band, fairness, key, key + TTL_NS, BODY_BYTES, nowNs);
}

/** Empties the line and puts `count` requests of `ids` flows into it. Answers how many wait. */
export function fill(count: u32, ids: u32, ordered: bool): u32 {
  for (let slot: u32 = 0; slot < waiting; ++slot) queue.remove(slot);
  band = queue.openBand(POOL, PRIORITY);
  waiting = count;
  flowCount = ids;
  isOrdered = ordered;
  for (let slot: u32 = 0; slot < count; ++slot) {
    store<u32>(flows + ((<usize>slot) << 2), (slot % flowCount) + 1);
    come(slot);
  }
  return queue.waiting;
}

/** `times`: the one whose turn it is goes on, and another comes in its place. */
export function serve(times: u32): void {
  for (let n: u32 = 0; n < times; ++n) {
    const slot = queue.next(band);
    queue.serve(slot, nowNs);
    come(slot);
  }
}

/** `times`: any one leaves, and another comes in its place. */
export function leave(times: u32): void {
  for (let n: u32 = 0; n < times; ++n) {
    const slot = <u32>(random() % <u64>waiting);
    queue.remove(slot);
    come(slot);
  }
}
