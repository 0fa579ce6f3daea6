// The texts of fairness ids, for labels: streams carry their hash. A table that only grows, up to what
// statistics tell apart.

import { LABEL_BYTES_MAX, SERIES_MAX } from "../../src/wire/limits";
import { FAIRNESS_DEFAULT } from "../../src/wire/names";
import { hash, pointer, utf8 } from "../abi/text";

/** A hash u64, the text's length u32, 4 bytes reserved, the text. */
const ROW_BYTES: u32 = 16 + LABEL_BYTES_MAX;
const rows: usize = heap.alloc(SERIES_MAX * ROW_BYTES);
let used: u32 = 0;

/** Open addressing by the hash, u16: a row's number + 1; 0 = empty. Less than half full. */
const CELLS: u32 = 2048;
const index: usize = heap.alloc(CELLS * 2);
if (CELLS < SERIES_MAX * 2) ERROR("the index of fairness ids must stay half empty");

const defaultText = utf8(FAIRNESS_DEFAULT);
const otherText = utf8("other");

/** What `find` found. */
export let text: usize = 0;
export let length: u32 = 0;

/** Remembers the id of `bytes` bytes at `p`, cut at LABEL_BYTES_MAX. Answers its hash, never 0. */
export function note(p: usize, bytes: u32): u64 {
  const hashed = hash(p, bytes);
  const id = hashed == 0 ? 1 : hashed;
  const cell = cellOf(id);
  if (load<u16>(cell) != 0 || used == SERIES_MAX) return id;
  const row = rows + used * ROW_BYTES;
  const kept = min<u32>(bytes, LABEL_BYTES_MAX);
  store<u64>(row, id);
  store<u32>(row, kept, 8);
  memory.copy(row + 16, p, kept);
  store<u16>(cell, <u16>++used);
  return id;
}

/** Sets `text` and `length` to the id's; to "other" when there was no room for it. 0 stands for no id. */
export function find(id: u64): void {
  const entry = <u32>load<u16>(cellOf(id));
  if (id == 0) set(pointer(defaultText), defaultText.byteLength);
  else if (entry == 0) set(pointer(otherText), otherText.byteLength);
  else set(rows + (entry - 1) * ROW_BYTES + 16, load<u32>(rows + (entry - 1) * ROW_BYTES, 8));
}

function set(p: usize, bytes: u32): void {
  text = p;
  length = bytes;
}

/** The id's cell of the index, or the empty one where it would be. */
function cellOf(id: u64): usize {
  let cell = <u32>(id ^ (id >> 32)) & (CELLS - 1);
  for (let entry = entryAt(cell); entry != 0; entry = entryAt(cell)) {
    if (load<u64>(rows + (entry - 1) * ROW_BYTES) == id) break;
    cell = (cell + 1) & (CELLS - 1);
  }
  return index + (cell << 1);
}

function entryAt(cell: u32): u32 {
  return load<u16>(index + (cell << 1));
}
