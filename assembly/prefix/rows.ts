// Rows: the hashes that more endpoints hold than fit in a bucket, a system prompt for one. A row has a
// generation per endpoint id, u16; of one that does not hold the hash the generation is a dead one.
// So a request is matched with 32 endpoints in a few instructions per block.

import * as ages from "./ages";
import * as buckets from "./buckets";

/** A cache line, and the ids whose cells are in it. */
const LINE_BYTES: u32 = 64;
const LINE_IDS: u32 = LINE_BYTES / 2;
const OWNER_BYTES: u32 = 4;
/** No row is left. */
export const NO_ROW: u32 = u32.MAX_VALUE;
if (ages.IDS_MAX % LINE_IDS != 0) ERROR("the widest rows must be whole lines");
/** When none is free, so many rows are asked whether they are still needed. */
const ASKED: u32 = 4;
/** … and is not when no more endpoints hold the hash. */
const LEFT_MAX: u32 = 1;

/** Of each row, u32: the slot that names it; of a free one the number of the next free one × 2 + 1. */
let owners: usize = 0;
let rows: usize = 0;
let space: u32 = 0;
let rowIds: u32 = LINE_IDS;
export let count: u32 = 0;
/** Rows from here on were never used. */
let fresh: u32 = 0;
let firstFree: u32 = NO_ROW;
let asked: u32 = 0;

export function open(p: usize, bytes: u32): void {
  const most = bytes / (LINE_BYTES + OWNER_BYTES);
  const ownersBytes = (most * OWNER_BYTES + LINE_BYTES - 1) & ~(LINE_BYTES - 1);
  owners = p;
  rows = p + ownersBytes;
  space = bytes > ownersBytes ? bytes - ownersBytes : 0;
  count = min(most, space / LINE_BYTES);
}

export function at(row: u32): usize {
  return rows + <usize>row * (rowIds << 1);
}

function ownerAt(row: u32): usize {
  return owners + ((<usize>row) << 2);
}

export function isUsed(row: u32): bool {
  return row < fresh && (load<u32>(ownerAt(row)) & 1) == 0;
}

/** Whether half of the rows were never needed. */
export function arePlenty(): bool {
  return fresh < count / 2;
}

/** The cell of the endpoint in the row. */
export function cell(row: u32, id: u32): usize {
  return at(row) + ((<usize>id) << 1);
}

/** A row in which nothing is live, or NO_ROW. */
export function take(slot: usize): u32 {
  let row = firstFree;
  if (row != NO_ROW) firstFree = nextFree(row);
  else if (fresh < count) row = fresh++;
  else row = askForRow();
  if (row == NO_ROW) return row;
  store<u32>(ownerAt(row), <u32>slot);
  bury(row, 0);
  return row;
}

function nextFree(row: u32): u32 {
  const next = load<u32>(ownerAt(row)) >> 1;
  return next == NO_ROW >> 1 ? NO_ROW : next;
}

/** A row with hardly a live pair, which is given up. */
function askForRow(): u32 {
  for (let i: u32 = 0; i < min(ASKED, count); ++i) {
    asked = asked + 1 < count ? asked + 1 : 0;
    if (liveIn(asked) > LEFT_MAX) continue;
    giveUp(asked);
    firstFree = nextFree(asked);
    return asked;
  }
  return NO_ROW;
}

/** Frees the row, and the slot that names it. What is live in it is given up. */
function giveUp(row: u32): void {
  for (let id: u32 = 0; id < rowIds; ++id) {
    const generation: u32 = load<u16>(cell(row, id));
    if (ages.isLive(id + 1, generation)) ages.remove(id, generation);
  }
  buckets.clear(<usize>load<u32>(ownerAt(row)));
  free(row);
}

function free(row: u32): void {
  store<u32>(ownerAt(row), (firstFree << 1) | 1);
  firstFree = row;
}

function liveIn(row: u32): u32 {
  let live: u32 = 0;
  for (let id: u32 = 0; id < rowIds; id += 8) live += popcnt(i16x8.bitmask(liveAt(at(row), id)));
  return live;
}

/** All bits of each of the 8 endpoints from `id` on that is live in the row at `p`. */
function liveAt(p: usize, id: u32): v128 {
  const ago = i16x8.sub(v128.load(ages.currentsFrom(id)), v128.load(p + ((<usize>id) << 1)));
  return i16x8.le_u(ago, v128.load(ages.spansFrom(id)));
}

/** All that is in the row from `id` on is dead. */
function bury(row: u32, id: u32): void {
  const opposite = i16x8.splat(<i16>ages.OPPOSITE);
  for (; id < rowIds; id += 8) {
    v128.store(cell(row, id), v128.xor(v128.load(ages.currentsFrom(id)), opposite));
  }
}

/** Keeps the dead in the row from coming round to life again; frees the row when nothing in it is live. */
export function sweep(row: u32): void {
  if (!isUsed(row)) return;
  const opposite = i16x8.splat(<i16>ages.OPPOSITE);
  const p = at(row);
  let some = opposite;
  some = v128.xor(some, some);
  for (let id: u32 = 0; id < rowIds; id += 8) {
    const live = liveAt(p, id);
    some = v128.or(some, live);
    const dead = v128.xor(v128.load(ages.currentsFrom(id)), opposite);
    const to = p + ((<usize>id) << 1);
    v128.store(to, v128.bitselect(v128.load(to), dead, live));
  }
  if (v128.any_true(some)) return;
  buckets.clear(<usize>load<u32>(ownerAt(row)));
  free(row);
}

/**
 * Makes room in each row for ids below `idLimit`. There are fewer rows then: those beyond are given up,
 * the others stay.
 */
export function widen(idLimit: u32): void {
  if (idLimit <= rowIds) return;
  const oldIds = rowIds;
  let ids = rowIds;
  while (ids < idLimit) ids <<= 1;
  ids = min(ids, ages.IDS_MAX);
  const kept = min(count, space / (ids << 1));
  for (let row = kept; row < fresh; ++row) {
    if (isUsed(row)) giveUp(row);
  }
  fresh = min(fresh, kept);
  count = kept;
  rowIds = ids;
  // From the last row on, so that none is written over before it has moved.
  for (let row = fresh; row-- > 0; ) {
    memory.copy(at(row), rows + <usize>row * (oldIds << 1), oldIds << 1);
    bury(row, oldIds);
  }
  relinkFree();
}

/** Links the free rows again, when some are no rows any more. */
function relinkFree(): void {
  firstFree = NO_ROW;
  for (let row = fresh; row-- > 0; ) {
    if (!isUsed(row)) free(row);
  }
}

// ── Matching ──

/** Rows of blocks one after the other, u32 each: where they lie. */
export const LIST_MAX: u32 = 64;
export const list: usize = heap.alloc(LIST_MAX * 4);

/**
 * Matches `n` blocks from `position` on, whose rows are in the list, with the endpoints below `idLimit`:
 * those that hold all before, as `last` says, or all if these are the first of a prompt. Counts in
 * `matched`. Answers whether anybody holds them all. An endpoint mostly holds all of a system prompt or
 * nothing, so only where neither is so is it asked where the gap is.
 */
export function walk(n: u32, position: u32, isFirst: bool, idLimit: u32, matched: usize, last: usize): bool {
  const start = i16x8.splat(<i16>position);
  const all = i16x8.splat(<i16>n);
  let isSomebodyThrough: bool = false;
  for (let id: u32 = 0; id < idLimit; id += LINE_IDS) {
    if (!isHeld(id)) continue;
    const gaps = findGaps(n, id);
    for (let part: u32 = 0; part < LINE_IDS; part += 8) {
      const at = (<usize>(id + part)) << 1;
      const before = v128.load(last + at);
      let on = liveAt(load<u32>(list), id + part);
      if (!isFirst) on = v128.and(on, i16x8.eq(before, start));
      const blocks = (gaps >> part) & 0xff ? consecutive(n, id + part, on) : v128.and(all, on);
      v128.store(matched + at, i16x8.add(v128.load(matched + at), blocks));
      v128.store(last + at, v128.bitselect(i16x8.add(start, blocks), before, on));
      if (v128.any_true(v128.and(on, i16x8.eq(blocks, all)))) isSomebodyThrough = true;
    }
  }
  return isSomebodyThrough;
}

/** Whether any of the 32 endpoints from `id` on holds the first of the list. */
function isHeld(id: u32): bool {
  const row: usize = load<u32>(list);
  const low = v128.or(liveAt(row, id), liveAt(row, id + 8));
  return v128.any_true(v128.or(low, v128.or(liveAt(row, id + 16), liveAt(row, id + 24))));
}

/** A bit for each of the 32 endpoints from `id` on that does not hold the whole list. */
function findGaps(n: u32, id: u32): u32 {
  const currents = ages.currentsFrom(id);
  const spans = ages.spansFrom(id);
  const at = (<usize>id) << 1;
  const now0 = v128.load(currents);
  const now1 = v128.load(currents, 16);
  const now2 = v128.load(currents, 32);
  const now3 = v128.load(currents, 48);
  const span0 = v128.load(spans);
  const span1 = v128.load(spans, 16);
  const span2 = v128.load(spans, 32);
  const span3 = v128.load(spans, 48);
  let gap0 = v128.xor(now0, now0);
  let gap1 = gap0;
  let gap2 = gap0;
  let gap3 = gap0;
  for (let p = list, end = list + ((<usize>n) << 2); p < end; p += 4) {
    const row = <usize>load<u32>(p) + at;
    // By how much it is older than what is live.
    gap0 = v128.or(gap0, i16x8.sub_sat_u(i16x8.sub(now0, v128.load(row)), span0));
    gap1 = v128.or(gap1, i16x8.sub_sat_u(i16x8.sub(now1, v128.load(row, 16)), span1));
    gap2 = v128.or(gap2, i16x8.sub_sat_u(i16x8.sub(now2, v128.load(row, 32)), span2));
    gap3 = v128.or(gap3, i16x8.sub_sat_u(i16x8.sub(now3, v128.load(row, 48)), span3));
  }
  const low = <u32>i16x8.bitmask(isNotZero(gap0)) | ((<u32>i16x8.bitmask(isNotZero(gap1))) << 8);
  return low | ((<u32>i16x8.bitmask(isNotZero(gap2))) << 16) | ((<u32>i16x8.bitmask(isNotZero(gap3))) << 24);
}

function isNotZero(bits: v128): v128 {
  return i16x8.ne(bits, v128.xor(bits, bits));
}

/** How many blocks of the list each of the 8 endpoints from `id` on holds before its first gap, of those `on`. */
function consecutive(n: u32, id: u32, on: v128): v128 {
  let blocks = v128.xor(on, on);
  for (let i: u32 = 0; i < n && v128.any_true(on); ++i) {
    on = v128.and(on, liveAt(load<u32>(list + ((<usize>i) << 2)), id));
    // All bits are −1.
    blocks = i16x8.sub(blocks, on);
  }
  return blocks;
}
