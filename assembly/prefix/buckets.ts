// The table of the prefix index: buckets of 8 slots in one cache line. A slot knows a hash by its tag,
// the lower half of it; the upper half chose the bucket. A second slot with the same tag is a second
// endpoint that holds the hash.
//
//     0         4         8   …   28        32        36        …   60
//     tag 0     tag 1     …       tag 7     pair 0    pair 1        pair 7       u32 each
//
//     pair:  holder u14 | SPILT | 0 | generation u16;  or WIDE | a row's number, when many endpoints hold
//            the hash (rows.ts);  0: nobody
//
// A hash has two buckets. What looks for it looks in the first, and in the second if it found nobody or
// a pair of the hash that is SPILT: then there are pairs in both. What adds to it looks for room in both,
// so that hardly ever a bucket overflows while half of the slots are live.

import * as ages from "./ages";

export const BUCKET_BYTES: u32 = 64;
export const SLOTS: u32 = 8;
const PAIRS: usize = 32;
/** In a pair: it is the number of a row. */
const WIDE: u32 = 0x8000;
/** In the live pairs of a hash in its first bucket: there are some in its second bucket too. */
export const SPILT: u32 = 0x4000;
/** A bucket with more empty slots takes a new hash without a look at the other one. */
const ROOMY: u32 = 6;
/** A bucket with more empty slots takes one more pair of its hash so. */
const BESIDE: u32 = 2;
if (ages.IDS_MAX >= SPILT) ERROR("a holder has 14 bits");
const SECOND: u64 = 0x9e3779b97f4a7c15;

let buckets: usize = 0;
export let count: u32 = 0;

export function open(p: usize, bytes: u32): void {
  buckets = p;
  count = bytes / BUCKET_BYTES;
}

export function at(n: u32): usize {
  return buckets + ((<usize>n) << 6);
}

export function first(hash: u64): usize {
  return buckets + ((<usize>(((hash >> 32) * <u64>count) >> 32)) << 6);
}

export function second(hash: u64): usize {
  return buckets + ((<usize>((((hash * SECOND) >> 32) * <u64>count) >> 32)) << 6);
}

/** A bit for each slot with the tag of the hash, whether anything lives there or not. */
export function tagged(bucket: usize, hash: u64): u32 {
  const tag = i32x4.splat(<i32>hash);
  const low = i32x4.eq(v128.load(bucket), tag);
  const high = i32x4.eq(v128.load(bucket, 16), tag);
  return <u32>i32x4.bitmask(low) | ((<u32>i32x4.bitmask(high)) << 4);
}

/** A bit for each slot that nobody is in. */
export function empty(bucket: usize): u32 {
  const none = i32x4.splat(0);
  const low = i32x4.eq(v128.load(bucket, 32), none);
  const high = i32x4.eq(v128.load(bucket, 48), none);
  return <u32>i32x4.bitmask(low) | ((<u32>i32x4.bitmask(high)) << 4);
}

/** The slots of `mask` in which a pair or a row is live. */
export function live(bucket: usize, mask: u32): u32 {
  let found: u32 = 0;
  for (; mask != 0; mask &= mask - 1) {
    const slot = ctz(mask);
    if (isLive(pairIn(bucket, slot))) found |= 1 << slot;
  }
  return found;
}

// ── Pairs ──

export function pairIn(bucket: usize, slot: u32): u32 {
  return load<u32>(bucket + ((<usize>slot) << 2), PAIRS);
}

export function setPair(bucket: usize, slot: u32, pair: u32): void {
  store<u32>(bucket + ((<usize>slot) << 2), pair, PAIRS);
}

export function pairOf(holder: u32, generation: u32): u32 {
  return holder | (generation << 16);
}

export function holderOf(pair: u32): u32 {
  return pair & (SPILT - 1);
}

/** Whether it is a pair of that holder, not the row of the hash. */
export function isOf(pair: u32, holder: u32): bool {
  return (pair & 0xffff & ~SPILT) == holder;
}

export function generationOf(pair: u32): u32 {
  return pair >> 16;
}

export function isWide(pair: u32): bool {
  return (pair & WIDE) != 0;
}

export function wideOf(row: u32): u32 {
  return WIDE | (row << 16) | (row >> 16);
}

export function rowOf(pair: u32): u32 {
  return (pair >> 16) | ((pair & (WIDE - 1)) << 16);
}

export function isLive(pair: u32): bool {
  return isWide(pair) || ages.isLive(holderOf(pair), generationOf(pair));
}

/** The slot of `mask` with the row of the hash or a pair of that holder; SLOTS if there is none. */
export function slotOf(bucket: usize, mask: u32, holder: u32): u32 {
  for (; mask != 0; mask &= mask - 1) {
    const pair = pairIn(bucket, ctz(mask));
    if (isWide(pair) || holderOf(pair) == holder) return ctz(mask);
  }
  return SLOTS;
}

/** Whether a pair in the slots of `mask` is SPILT. */
export function isSpilt(bucket: usize, mask: u32): bool {
  let pairs: u32 = 0;
  for (; mask != 0; mask &= mask - 1) {
    const pair = pairIn(bucket, ctz(mask));
    if (!isWide(pair)) pairs |= pair;
  }
  return (pairs & SPILT) != 0;
}

/** Marks the pairs in the slots of `mask` as SPILT. */
export function spill(bucket: usize, mask: u32): void {
  for (; mask != 0; mask &= mask - 1) setPair(bucket, ctz(mask), pairIn(bucket, ctz(mask)) | SPILT);
}

// ── Slots ──

/** Where a slot lies: what owns a row. */
export function slotAt(bucket: usize, slot: u32): usize {
  return bucket + ((<usize>slot) << 2);
}

/** Writes a slot whose pair is live. */
export function set(bucket: usize, slot: u32, hash: u64, pair: u32): void {
  store<u32>(slotAt(bucket, slot), <u32>hash);
  setPair(bucket, slot, pair);
}

export function clear(slot: usize): void {
  store<u32>(slot, 0);
  store<u32>(slot, 0, PAIRS);
}

/** Empties the slots of the dead. */
export function sweep(bucket: usize): void {
  for (let mask = empty(bucket) ^ 0xff; mask != 0; mask &= mask - 1) {
    const slot = ctz(mask);
    if (!isLive(pairIn(bucket, slot))) clear(slotAt(bucket, slot));
  }
}

/** How many slots are empty, in the bucket or in `other`; swept when there seems to be none in both. */
function room(bucket: usize, other: usize): u32 {
  if ((empty(bucket) | empty(other)) == 0) {
    sweep(bucket);
    sweep(other);
  }
  return popcnt(empty(bucket));
}

/** The bucket that takes a new hash. It may be full. */
export function choose(hash: u64): usize {
  const one = first(hash);
  if (popcnt(empty(one)) > ROOMY) return one;
  const other = second(hash);
  return room(one, other) >= room(other, one) ? one : other;
}

/** The bucket that takes one more pair of a hash that lives in `home`: that, or `other`. It may be full. */
export function chooseBeside(home: usize, other: usize): usize {
  const atHome = room(home, other);
  return atHome > BESIDE || atHome >= room(other, home) ? home : other;
}

/** Whether a slot is empty, or that of a dead pair: then it is empty after this. */
export function hasRoom(bucket: usize): bool {
  if (empty(bucket) == 0) sweep(bucket);
  return empty(bucket) != 0;
}

/**
 * A slot for one more pair in that bucket: an empty one, or that of the pair nearest to death, which is
 * given up. SLOTS if all are rows.
 */
export function makeSlot(bucket: usize): u32 {
  if (hasRoom(bucket)) return ctz(empty(bucket));
  const oldest = mostWorn(bucket, 0xff);
  if (oldest != SLOTS) giveUp(bucket, oldest);
  return oldest;
}

/** Of the live pairs in the slots of `mask` the nearest to death; SLOTS if there is none. */
export function mostWorn(bucket: usize, mask: u32): u32 {
  let found = SLOTS;
  let most: i32 = -1;
  for (; mask != 0; mask &= mask - 1) {
    const slot = ctz(mask);
    const pair = pairIn(bucket, slot);
    if (isWide(pair)) continue;
    const wear = <i32>ages.wear(holderOf(pair), generationOf(pair));
    if (wear <= most) continue;
    most = wear;
    found = slot;
  }
  return found;
}

/** A live pair goes. */
export function giveUp(bucket: usize, slot: u32): void {
  const pair = pairIn(bucket, slot);
  ages.remove(holderOf(pair) - 1, generationOf(pair));
  clear(slotAt(bucket, slot));
}
