// Members of objects in the order that Go's encoding/json writes a map in: by name, bytewise; of equal names
// the last. Members are written as they arrive, and put in order when their object closes. Of the open
// objects nothing is kept but where each member begins and where its name ends.

import { INSPECTION_BYTES, JSON_DEPTH_MAX } from "../../../src/wire/limits";
import * as text from "./text";

/** Members of all open objects together. Tools have a few dozen; an object of more stays as it came. */
const MEMBERS_MAX: u32 = 16_384;
/** Bytes moved for one body. Ordering by depth and size costs their product, which a client chooses. */
const MOVED_MAX: usize = 8 * INSPECTION_BYTES;

@unmanaged
class Member {
  start: u32;
  /** After the quote that ends the name. */
  nameEnd: u32;
}

const MEMBER_BYTES: usize = 8;
const members: usize = heap.alloc(MEMBER_BYTES * MEMBERS_MAX);
/** Of each open object: number of its first member, and whether a member is out of order. */
const objects: usize = heap.alloc(8 * JSON_DEPTH_MAX);
// Numbers of members, for sorting by merging to and fro.
const orderA: usize = heap.alloc(4 * MEMBERS_MAX);
const orderB: usize = heap.alloc(4 * MEMBERS_MAX);

let count: u32 = 0;
let depth: u32 = 0;
let moved: usize = 0;
/** Some object was not put in order: there was too much of it. */
export let isLost: bool = false;

export function begin(): void {
  count = 0;
  depth = 0;
  moved = 0;
  isLost = false;
}

function memberAt(n: u32): Member {
  return changetype<Member>(members + <usize>n * MEMBER_BYTES);
}

function objectAt(n: u32): usize {
  return objects + ((<usize>n) << 3);
}

/** An object opens; its bracket has been written. */
export function open(): void {
  store<u32>(objectAt(depth), count);
  store<u32>(objectAt(depth), 0, 4);
  ++depth;
}

/** A member's name begins at text.out. */
export function member(): void {
  if (count == MEMBERS_MAX) isLost = true;
  if (isLost) return;
  const added = memberAt(count);
  added.start = <u32>text.out;
  // No name yet: a body may end here.
  added.nameEnd = added.start + 1;
  ++count;
}

/** The member's name has been written. */
export function named(): void {
  if (isLost || depth == 0) return;
  const object = objectAt(depth - 1);
  const last = memberAt(count - 1);
  last.nameEnd = <u32>text.out;
  if (count - load<u32>(object) < 2 || load<u32>(object, 4) != 0) return;
  if (compare(memberAt(count - 2), last) >= 0) store<u32>(object, 1, 4);
}

/** An object closes; its bracket has not been written yet. */
export function close(): void {
  if (depth == 0) return;
  const object = objectAt(--depth);
  const first = load<u32>(object);
  if (!isLost && load<u32>(object, 4) != 0) sort(first, count - first);
  if (count > first) count = first;
}

/** Puts the `length` members from `first` on, the last ones written, in order. */
function sort(first: u32, length: u32): void {
  const start = <usize>memberAt(first).start;
  const end = text.out;
  moved += 2 * (end - start);
  if (moved > MOVED_MAX) {
    isLost = true;
    return;
  }
  const order = sorted(first, length);
  const kept = withoutRepeated(order, length);
  memory.copy(text.spare, start, end - start);
  let to = start;
  for (let i: u32 = 0; i < kept; ++i) {
    const n = load<u32>(order + ((<usize>i) << 2));
    const from = <usize>memberAt(n).start;
    // A comma stands between two members.
    const bytes = (n + 1 < first + length ? <usize>memberAt(n + 1).start - 1 : end) - from;
    if (i != 0) store<u8>(to++, 0x2c);
    memory.copy(to, from - start + text.spare, bytes);
    to += bytes;
  }
  text.setOut(to);
}

/** Numbers of the members by name, equal names as they came: merge sort, so that no order takes long. */
function sorted(first: u32, length: u32): usize {
  let from = orderA;
  let to = orderB;
  for (let i: u32 = 0; i < length; ++i) store<u32>(from + ((<usize>i) << 2), first + i);
  for (let width: u32 = 1; width < length; width <<= 1) {
    for (let low: u32 = 0; low < length; low += width << 1) {
      merge(from, to, low, min<u32>(low + width, length), min<u32>(low + (width << 1), length));
    }
    const swapped = from;
    from = to;
    to = swapped;
  }
  return from;
}

/** Merges the sorted runs low … middle - 1 and middle … high - 1 of `from` into `to`. */
function merge(from: usize, to: usize, low: u32, middle: u32, high: u32): void {
  let a = low;
  let b = middle;
  for (let i = low; i < high; ++i) {
    let isFirst = b >= high;
    if (!isFirst && a < middle) {
      const x = load<u32>(from + ((<usize>a) << 2));
      const y = load<u32>(from + ((<usize>b) << 2));
      isFirst = compare(memberAt(x), memberAt(y)) <= 0;
    }
    store<u32>(to + ((<usize>i) << 2), load<u32>(from + ((<usize>(isFirst ? a : b)) << 2)));
    if (isFirst) ++a;
    else ++b;
  }
}

/** Keeps the last of members of one name; answers how many are left. */
function withoutRepeated(order: usize, length: u32): u32 {
  let kept: u32 = 0;
  for (let i: u32 = 0; i < length; ++i) {
    const n = load<u32>(order + ((<usize>i) << 2));
    if (i + 1 < length && compare(memberAt(n), memberAt(load<u32>(order + ((<usize>i + 1) << 2)))) == 0) continue;
    store<u32>(order + ((<usize>kept) << 2), n);
    ++kept;
  }
  return kept;
}

/** Below 0: the name of `x` is before that of `y`, bytewise as UTF-8; 0: they are the same. */
function compare(x: Member, y: Member): i32 {
  let a = <usize>x.start + 1;
  let b = <usize>y.start + 1;
  const aEnd = <usize>x.nameEnd - 1;
  const bEnd = <usize>y.nameEnd - 1;
  while (a + 8 <= aEnd && b + 8 <= bEnd && load<u64>(a) == load<u64>(b) && !hasBackslash(load<u64>(a))) {
    a += 8;
    b += 8;
  }
  while (a < aEnd && b < bEnd) {
    const unitA = unit(a);
    const unitB = unit(b);
    if (unitA != unitB) return unitA < unitB ? -1 : 1;
    a += unitA & 0xff;
    b += unitB & 0xff;
  }
  return a < aEnd ? 1 : b < bEnd ? -1 : 0;
}

function hasBackslash(word: u64): bool {
  const x = word ^ 0x5c5c5c5c5c5c5c5c;
  return ((x - 0x0101010101010101) & ~x & 0x8080808080808080) != 0;
}

/**
 * What is written at `p` of a name: its first bytes in UTF-8, up to three, above the number of bytes it is
 * written in. Line separators are escaped and their neighbours are not, so a character that begins with
 * the same byte is taken whole.
 */
function unit(p: usize): u32 {
  const c = <u32>load<u8>(p);
  if (c == 0xe2) return (c << 24) | ((<u32>load<u8>(p, 1)) << 16) | ((<u32>load<u8>(p, 2)) << 8) | 3;
  if (c != 0x5c) return (c << 24) | 1;
  const kind = load<u8>(p, 1);
  if (kind != 0x75) return ((<u32>shortEscape(kind)) << 24) | 2;
  if (load<u8>(p, 2) == 0x32) return (load<u8>(p, 5) == 0x38 ? 0xe280a800 : 0xe280a900) | 6;
  return ((<u32>hexValue(load<u8>(p, 4))) << 28) | ((<u32>hexValue(load<u8>(p, 5))) << 24) | 6;
}

function shortEscape(kind: u8): u8 {
  if (kind == 0x62) return 0x08;
  if (kind == 0x74) return 0x09;
  if (kind == 0x6e) return 0x0a;
  if (kind == 0x66) return 0x0c;
  return kind == 0x72 ? 0x0d : kind;
}

/** Of a lower-case digit. */
function hexValue(c: u8): u8 {
  return c < 0x3a ? c - 0x30 : c - 0x57;
}
