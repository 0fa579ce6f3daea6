// What a prompt is made of, in order: runs of text and assets (images, video, audio). Text lies where it was
// written when it arrived; runs that adjoin are one. A list that is full loses what comes next.

/** A message whose members are in the wrong order needs two, and takes 26 bytes of the body at least. */
const SEGMENTS_MAX: u32 = 65_536;

@unmanaged
class Segment {
  /** Of text; 0: an asset. */
  start: u32;
  /** Bytes of text; pseudo-tokens of an asset. */
  size: u32;
  /** What each pseudo-token of an asset is. */
  hash: u32;
  reserved: u32;
}

@unmanaged
export class List {
  count: u32;
  /** Number of the first segment that may grow: those before belong to something else. */
  floor: u32;
}

const LIST_BYTES: usize = 16;
const SEGMENT_BYTES: usize = 16;

/** For module-level constants. */
export function allocate(): List {
  return changetype<List>(heap.alloc(LIST_BYTES + SEGMENT_BYTES * SEGMENTS_MAX));
}

/** Some list was full. */
export let isLost: bool = false;

export function begin(): void {
  isLost = false;
}

export function at(list: List, n: u32): Segment {
  return changetype<Segment>(changetype<usize>(list) + LIST_BYTES + <usize>n * SEGMENT_BYTES);
}

export function clear(list: List): void {
  list.count = 0;
  list.floor = 0;
}

export function add(list: List, start: usize, size: u32): void {
  if (size == 0) return;
  const count = list.count;
  if (count > list.floor) {
    const last = at(list, count - 1);
    if (last.start != 0 && last.start + last.size == <u32>start) {
      last.size += size;
      return;
    }
  }
  push(list, <u32>start, size, 0);
}

export function addAsset(list: List, hash: u32, tokens: u32): void {
  push(list, 0, tokens, hash);
}

function push(list: List, start: u32, size: u32, hash: u32): void {
  if (list.count == SEGMENTS_MAX) {
    isLost = true;
    return;
  }
  const segment = at(list, list.count);
  segment.start = start;
  segment.size = size;
  segment.hash = hash;
  ++list.count;
}

export function append(list: List, more: List): void {
  for (let i: u32 = 0; i < more.count; ++i) {
    const segment = at(more, i);
    if (segment.start != 0) add(list, segment.start, segment.size);
    else addAsset(list, segment.hash, segment.size);
  }
}
