// Which endpoints were given requests that nobody had anything cached for, longest ago first. A short list
// moved by hand: 1024 entries of two bytes are one copy of 2 KiB.

import { ENDPOINTS_MAX } from "../../src/wire/limits";
import * as endpoints from "./endpoints";
import * as snapshot from "./snapshot";

const SIZE_MAX: u32 = ENDPOINTS_MAX;
/** Endpoint ids, u16, longest ago first. */
const order: usize = heap.alloc(SIZE_MAX * 2);
/** Of each id: its place among those that were entered, u16. */
const places: usize = heap.alloc(endpoints.IDS_MAX * 2);
let count: u32 = 0;

export const NEVER: u32 = 0xffff;
/** Twice the same byte. */
const NOT_ENTERED: u32 = 0xfefe;

function idAt(n: u32): u32 {
  return load<u16>(order + (n << 1));
}

function remove(n: u32): void {
  const at = order + (n << 1);
  memory.copy(at, at + 2, (count - n - 1) << 1);
  --count;
}

/** Forgets the endpoints that left the topology. */
export function forgetGone(): void {
  let kept: u32 = 0;
  for (let n: u32 = 0; n < count; ++n) {
    const id = idAt(n);
    if (endpoints.at(id).row == endpoints.NO_ROW) continue;
    store<u16>(order + (kept++ << 1), <u16>id);
  }
  count = kept;
}

/** The endpoint was given a cold request; `size` endpoints of its pool are remembered. */
export function touch(id: u32, size: u32): void {
  const number = snapshot.poolOfRow(endpoints.at(id).row);
  const isNone = number == snapshot.poolCount;
  const firstRow: u32 = isNone ? 0 : snapshot.pool(number).firstRow;
  const rows: u32 = isNone ? u32.MAX_VALUE : snapshot.pool(number).rowCount;
  let room = max<u32>(size, 1) - 1;
  for (let n = count; n-- > 0; ) {
    const other = idAt(n);
    if (endpoints.at(other).row - firstRow >= rows) continue;
    if (other == id || room == 0) remove(n);
    else --room;
  }
  if (count == SIZE_MAX) remove(0);
  store<u16>(order + (count++ << 1), <u16>id);
}

// ── Places: what is asked for is entered first, then all are counted ──

export function beginPlaces(): void {
  memory.fill(places, <u8>NOT_ENTERED, endpoints.IDS_MAX * 2);
}

export function enter(id: u32): void {
  if (id < endpoints.IDS_MAX) store<u16>(places + (id << 1), <u16>NEVER);
}

export function countPlaces(): void {
  let next: u32 = 0;
  for (let n: u32 = 0; n < count; ++n) {
    const at = places + (idAt(n) << 1);
    if (<u32>load<u16>(at) == NOT_ENTERED) continue;
    store<u16>(at, <u16>next);
    ++next;
  }
}

/** Of one that was entered: 0 = longest ago; NEVER. */
export function place(id: u32): u32 {
  return id < endpoints.IDS_MAX ? <u32>load<u16>(places + (id << 1)) : NEVER;
}
