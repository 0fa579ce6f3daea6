// The prefix index: which endpoints are believed to hold which blocks of prompts, one per VM. It looks up
// and learns the hashes that chain.ts has. A hash and an endpoint that holds it are a pair; pairs lie in
// buckets.ts, those of hashes that many endpoints hold in rows.ts; ages.ts says which of them are live.
//
//     budget:  buckets, 7/8 │ rows, 1/8
//
// The tables of ages.ts lie beside it, as do all others that have an entry for each endpoint.

import { BLOCKS_MAX } from "../../src/wire/limits";
import * as ages from "./ages";
import * as buckets from "./buckets";
import * as chain from "./chain";
import * as rows from "./rows";
import { keepUp } from "./sweep";

/** Pairs that a hash has in buckets, before it gets a row; … when few rows are left. */
const NARROW: u32 = 4;
const NARROW_MAX: u32 = 10;
/** Of 8 slots so many are live at most: with more, buckets overflow, and each hash lost cuts a prompt short. */
const SLOTS_USED: u32 = 4;
const LINE_BYTES: u32 = 64;
const PAGE_BYTES: u32 = 65_536;
/** The allocator takes less than 1 GiB at a time. */
const BUDGET_MAX: u32 = (1 << 30) - PAGE_BYTES;
/** Hashes whose buckets are fetched together, as memory serves a few dozen at once. */
const AHEAD: u32 = 32;

const PADDED_IDS: u32 = ages.IDS_MAX + 32;
/** Blocks matched, u16 per id, as of the last match(). */
const matches: usize = heap.alloc(PADDED_IDS * 2);
/** The position after the last block an endpoint matched without a gap, u16 per id. */
const lasts: usize = heap.alloc(PADDED_IDS * 2);
/** What others must be told. */
const newsHashes: usize = heap.alloc(BLOCKS_MAX * 8);

let budget: u32 = 0;
let ids: u32 = 0;
/** What was read ahead; kept so that the reading is not left out. */
export let readAhead: u32 = 0;

// ── Set-up ──

/** Takes the memory, at the first call only. False: it cannot be had, or is too little for anything. */
export function open(budgetBytes: u32): bool {
  if (budget != 0) return true;
  const all = min(budgetBytes, BUDGET_MAX);
  if (all < PAGE_BYTES || !grow(all + ages.BYTES)) return false;
  const base = allocateLines(all);
  const bucketBytes = (all - all / 8) & ~(LINE_BYTES - 1);
  ages.open(allocateLines(ages.BYTES));
  buckets.open(base, bucketBytes);
  rows.open(base + bucketBytes, all - bucketBytes);
  rows.widen(ids);
  budget = all;
  setShare(1);
  return true;
}

/** Memory that begins where a cache line does. */
function allocateLines(bytes: u32): usize {
  return (heap.alloc(bytes + LINE_BYTES) + LINE_BYTES - 1) & ~(<usize>LINE_BYTES - 1);
}

/** Grows the memory, since an allocation that fails would trap. */
function grow(bytes: u32): bool {
  const pages = bytes / PAGE_BYTES + 2;
  return memory.grow(<i32>pages) >= 0;
}

/** Ids 0 … idLimit − 1 are in use. Rows are laid out anew when that takes wider ones. */
export function setEndpoints(idLimit: u32): void {
  ids = min(idLimit, ages.IDS_MAX);
  if (budget != 0) rows.widen(ids);
}

/** How many endpoints share the budget. */
export function setShare(endpoints: u32): void {
  if (budget == 0) return;
  if (!ages.setShare((buckets.count * SLOTS_USED) / max<u32>(endpoints, 1))) return;
  for (let id: u32 = 0; id < ages.IDS_MAX; ++id) keepUp(id);
}

/** What the endpoint itself can hold; without a word about it only the share counts. */
export function setCapacity(id: u32, blocks: u32): void {
  if (!isId(id)) return;
  ages.setCapacity(id, blocks);
  keepUp(id);
}

/** The endpoint is gone: all it holds dies, and its id may be another's. */
export function forget(id: u32): void {
  if (!isId(id)) return;
  ages.forget(id);
  keepUp(id);
}

/** Somebody is there who was told nothing of all this: what is used again from now on is news once more. */
export function renew(): void {
  if (budget == 0) return;
  for (let id: u32 = 0; id < ids; ++id) {
    ages.renew(id);
    keepUp(id);
  }
}

function isId(id: u32): bool {
  return budget != 0 && id < ages.IDS_MAX;
}

function isInUse(id: u32): bool {
  return budget != 0 && id < ids;
}

/** Live pairs of all endpoints. */
export function pairs(): u32 {
  return ages.pairs();
}

/** What the index takes, whatever it holds. */
export function bytes(): u32 {
  return budget;
}

// ── Matching ──

/** Consecutive blocks from the start that the endpoint is believed to hold, over all prompts of the chain. */
export function matched(id: u32): u32 {
  return id < ids ? <u32>load<u16>(matches + ((<usize>id) << 1)) : 0;
}

/** Whether the last match() found anybody who holds anything. */
export let isHeld: bool = false;

/** Finds who holds the blocks of the chain. */
export function match(): void {
  isHeld = false;
  memory.fill(matches, 0, ((<usize>ids) << 1) + LINE_BYTES);
  memory.fill(lasts, 0, ((<usize>ids) << 1) + LINE_BYTES);
  if (budget == 0) return;
  let from: u32 = 0;
  for (let n: u32 = 0; n < chain.promptCount; ++n) {
    const end = chain.promptEnd(n);
    matchPrompt(from, end);
    from = end;
  }
}

function matchPrompt(from: u32, end: u32): void {
  let ahead = from;
  for (let position = from; position < end; ) {
    if (position == ahead) {
      ahead = min(position + AHEAD, end);
      fetch(chain.pointer() + ((<usize>position) << 3), ahead - position);
    }
    const hash = chain.at(position);
    const isFirst = position == from;
    const found = holders(hash, position, isFirst);
    if (found == NOBODY) return;
    isHeld = true;
    if (!buckets.isWide(found)) {
      ++position;
      continue;
    }
    const n = listRows(found, position, ahead);
    if (!rows.walk(n, position, isFirst, ids, matches, lasts)) return;
    position += n;
  }
}

/** Reads the buckets of some hashes, none of which waits for another. */
function fetch(hashes: usize, count: u32): void {
  let sum: u32 = 0;
  const end = hashes + ((<usize>count) << 3);
  for (let p = hashes; p < end; p += 8) sum += load<u32>(buckets.first(load<u64>(p)));
  // In a table with much room hardly a hash is in its second bucket.
  for (let p = ages.pairs() > buckets.count ? hashes : end; p < end; p += 8) {
    const hash = load<u64>(p);
    if (buckets.tagged(buckets.first(hash), hash) == 0) sum += load<u32>(buckets.second(hash));
  }
  readAhead = sum;
}

const NOBODY: u32 = 0;
const SOMEBODY: u32 = 1;

/** Counts the block for its holders. SOMEBODY held all before it too, or NOBODY; or the pair of a row. */
function holders(hash: u64, position: u32, isFirst: bool): u32 {
  const one = buckets.first(hash);
  const found = holdersIn(one, hash, position, isFirst);
  if (found == SOMEBODY || buckets.isWide(found)) return found;
  const other = buckets.second(hash);
  if (other == one) return found & SOMEBODY;
  const more = holdersIn(other, hash, position, isFirst);
  return buckets.isWide(more) ? more : (found | more) & SOMEBODY;
}

/** The same for one bucket; SPILT is in the answer when there may be holders in the other one. */
function holdersIn(bucket: usize, hash: u64, position: u32, isFirst: bool): u32 {
  let found = NOBODY;
  for (let mask = buckets.tagged(bucket, hash); mask != 0; mask &= mask - 1) {
    const pair = buckets.pairIn(bucket, ctz(mask));
    if (buckets.isWide(pair)) return pair;
    const holder = buckets.holderOf(pair);
    if (!ages.isLive(holder, buckets.generationOf(pair))) continue;
    found |= pair & buckets.SPILT;
    const at = (<usize>holder - 1) << 1;
    if (!isFirst && load<u16>(lasts + at) != <u16>position) continue;
    store<u16>(lasts + at, <u16>(position + 1));
    store<u16>(matches + at, load<u16>(matches + at) + 1);
    found |= SOMEBODY;
  }
  return found;
}

/** Lists the row of `pair`, and those of the blocks after it as long as they have rows. Answers how many. */
function listRows(pair: u32, position: u32, end: u32): u32 {
  let n: u32 = 0;
  while (true) {
    store<u32>(rows.list + ((<usize>n) << 2), <u32>rows.at(buckets.rowOf(pair)));
    ++n;
    if (n == rows.LIST_MAX || position + n == end) return n;
    pair = wideIn(chain.at(position + n));
    if (pair == 0) return n;
  }
}

/** The pair of the row of that hash; 0 if it has none. */
function wideIn(hash: u64): u32 {
  const pair = wideInBucket(buckets.first(hash), hash);
  return pair != 0 ? pair : wideInBucket(buckets.second(hash), hash);
}

function wideInBucket(bucket: usize, hash: u64): u32 {
  for (let mask = buckets.tagged(bucket, hash); mask != 0; mask &= mask - 1) {
    const pair = buckets.pairIn(bucket, ctz(mask));
    if (buckets.isWide(pair)) return pair;
  }
  return 0;
}

// ── Learning ──

/**
 * Learns that the endpoint holds the chain. Answers how many hashes are news. The end of a prompt is
 * learned before its beginning, so that what is forgotten is the end.
 */
export function insert(id: u32): u32 {
  if (!isInUse(id)) return 0;
  let count: u32 = 0;
  let ahead = min(chain.count, ages.boundOf(id));
  for (let i = ahead; i-- > 0; ) {
    if (i + 1 == ahead) {
      ahead = i + 1 > AHEAD ? i + 1 - AHEAD : 0;
      fetch(chain.pointer() + ((<usize>ahead) << 3), i + 1 - ahead);
    }
    const hash = chain.at(i);
    if (!put(hash, id)) continue;
    store<u64>(newsHashes + ((<usize>count) << 3), hash);
    ++count;
  }
  return count;
}

/** What the last insert() learned: hashes, u64 each. */
export function news(): usize {
  return newsHashes;
}

/** Learns what another worker learned. */
export function learn(id: u32, hashes: usize, count: u32): void {
  if (!isInUse(id)) return;
  for (let i: u32 = 0; i < count; ++i) {
    const p = hashes + ((<usize>i) << 3);
    if (i % AHEAD == 0) fetch(p, min(AHEAD, count - i));
    put(load<u64>(p), id);
  }
}

/** Notes that the endpoint holds that hash now. Answers whether that is news. */
function put(hash: u64, id: u32): bool {
  const bucket = buckets.first(hash);
  const mask = buckets.tagged(bucket, hash);
  if (isHeldBy(bucket, mask, id) || ages.boundOf(id) == 0) return false;
  const before = ages.current(id);
  const isNews = place(hash, bucket, mask, id);
  if (ages.current(id) != before) keepUp(id);
  return isNews;
}

/** Whether a slot of `mask` has a pair of the endpoint that needs no renewal. */
function isHeldBy(bucket: usize, mask: u32, id: u32): bool {
  for (; mask != 0; mask &= mask - 1) {
    const pair = buckets.pairIn(bucket, ctz(mask));
    if (buckets.isOf(pair, id + 1)) return ages.isYoung(id + 1, buckets.generationOf(pair));
  }
  return false;
}

/** `tagged`: the slots of `one`, the hash's first bucket, that have its tag. */
function place(hash: u64, one: usize, tagged: u32, id: u32): bool {
  const mask = buckets.live(one, tagged);
  let slot = buckets.slotOf(one, mask, id + 1);
  if (slot != buckets.SLOTS) return placeInSlot(one, slot, id);
  const other = buckets.second(hash);
  let otherMask: u32 = 0;
  if (other != one && (mask == 0 || buckets.isSpilt(one, mask))) {
    otherMask = buckets.live(other, buckets.tagged(other, hash));
    slot = buckets.slotOf(other, otherMask, id + 1);
    if (slot != buckets.SLOTS) return placeInSlot(other, slot, id);
  }
  ages.makeRoom(id);
  if ((mask | otherMask) == 0) return placeIn(buckets.choose(hash), hash, pairNow(id));
  if (needsRow(one, other, popcnt(mask) + popcnt(otherMask)) && moveToRow(hash, one, mask, other, otherMask, id)) {
    return true;
  }
  return placeBeside(hash, one, mask, other, otherMask, id);
}

/** The slot has the endpoint's own pair, or the row of the hash. */
function placeInSlot(bucket: usize, slot: u32, id: u32): bool {
  const pair = buckets.pairIn(bucket, slot);
  if (buckets.isWide(pair)) return placeInRow(buckets.rowOf(pair), id);
  const generation = buckets.generationOf(pair);
  if (ages.isYoung(id + 1, generation)) return false;
  ages.touch(id, generation);
  buckets.setPair(bucket, slot, (pair & buckets.SPILT) | pairNow(id));
  return true;
}

function pairNow(id: u32): u32 {
  return buckets.pairOf(id + 1, ages.current(id));
}

/** Puts one more pair of the endpoint, whose room is made, into that bucket. */
function placeIn(bucket: usize, hash: u64, pair: u32): bool {
  const slot = buckets.makeSlot(bucket);
  if (slot == buckets.SLOTS) return false;
  ages.add(buckets.holderOf(pair) - 1);
  buckets.set(bucket, slot, hash, pair);
  return true;
}

function placeInRow(row: u32, id: u32): bool {
  const cell = rows.cell(row, id);
  const generation: u32 = load<u16>(cell);
  if (ages.isYoung(id + 1, generation)) return false;
  ages.touch(id, generation);
  store<u16>(cell, <u16>ages.current(id));
  return true;
}

/** One more holder of a hash that those in the slots of the masks hold. */
function placeBeside(hash: u64, one: usize, mask: u32, other: usize, otherMask: u32, id: u32): bool {
  let bucket = mask != 0 ? buckets.chooseBeside(one, other) : buckets.chooseBeside(other, one);
  if (popcnt(mask) + popcnt(otherMask) >= NARROW_MAX) {
    bucket = popcnt(mask) >= popcnt(otherMask) ? one : other;
    buckets.giveUp(bucket, buckets.mostWorn(bucket, bucket == one ? mask : otherMask));
  }
  if (bucket == one) return placeIn(one, hash, pairNow(id) | (otherMask != 0 ? buckets.SPILT : 0));
  if (!placeIn(other, hash, pairNow(id))) return false;
  buckets.spill(one, buckets.live(one, buckets.tagged(one, hash)));
  return true;
}

/** Whether a hash that has so many pairs in its buckets should have a row before it has one more. */
function needsRow(one: usize, other: usize, pairs: u32): bool {
  if (pairs >= (rows.arePlenty() ? NARROW : NARROW_MAX)) return true;
  return !buckets.hasRoom(one) && !buckets.hasRoom(other);
}

/** Moves the pairs of a hash to a row and adds the endpoint there. False: there is no row. */
function moveToRow(hash: u64, one: usize, mask: u32, other: usize, otherMask: u32, id: u32): bool {
  const bucket = mask != 0 ? one : other;
  const slot = ctz(mask != 0 ? mask : otherMask);
  const row = rows.take(buckets.slotAt(bucket, slot));
  if (row == rows.NO_ROW) return false;
  moveSlots(row, one, mask);
  moveSlots(row, other, otherMask);
  buckets.set(bucket, slot, hash, buckets.wideOf(row));
  ages.add(id);
  store<u16>(rows.cell(row, id), <u16>ages.current(id));
  return true;
}

function moveSlots(row: u32, bucket: usize, mask: u32): void {
  for (; mask != 0; mask &= mask - 1) {
    const pair = buckets.pairIn(bucket, ctz(mask));
    store<u16>(rows.cell(row, buckets.holderOf(pair) - 1), <u16>buckets.generationOf(pair));
    buckets.clear(buckets.slotAt(bucket, ctz(mask)));
  }
}
