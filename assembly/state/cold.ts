// Which endpoints were given requests that nobody had anything cached for, longest ago first. A short list
// moved by hand: 1024 entries of two bytes are one copy of 2 KiB.

import { ENDPOINTS_MAX } from "../../src/wire/limits";

const IDS_MAX: u32 = ENDPOINTS_MAX * 2;
const SIZE_MAX: u32 = ENDPOINTS_MAX;
/** Endpoint ids, u16, longest ago first. */
const order: usize = heap.alloc(SIZE_MAX * 2);
/** Of each id: its place in `order`, u16, as countPlaces found it. */
const places: usize = heap.alloc(IDS_MAX * 2);
let count: u32 = 0;

export const NEVER: u32 = 0xffff;

function remove(place: u32): void {
  const at = order + (place << 1);
  memory.copy(at, at + 2, (count - place - 1) << 1);
  --count;
}

/** Forgets an endpoint that left the topology. */
export function forget(id: u32): void {
  for (let n: u32 = 0; n < count; ++n) {
    if (<u32>load<u16>(order + (n << 1)) != id) continue;
    remove(n);
    return;
  }
}

/** The endpoint was given a cold request; `size` endpoints are remembered. */
export function touch(id: u32, size: u32): void {
  forget(id);
  const room = min<u32>(max<u32>(size, 1), SIZE_MAX);
  while (count >= room) remove(0);
  store<u16>(order + (count++ << 1), <u16>id);
}

/** Before places are asked for. */
export function countPlaces(): void {
  memory.fill(places, 0xff, IDS_MAX * 2);
  for (let n: u32 = 0; n < count; ++n) store<u16>(places + ((<u32>load<u16>(order + (n << 1))) << 1), <u16>n);
}

/** 0 = longest ago; NEVER. */
export function place(id: u32): u32 {
  return load<u16>(places + (id << 1));
}
