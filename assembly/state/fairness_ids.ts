// The texts of fairness ids, for labels: streams carry their hash. A table that only grows, up to what
// statistics tell apart.

import { LABEL_BYTES_MAX, SERIES_MAX } from "../../src/wire/limits";
import { FAIRNESS_DEFAULT } from "../../src/wire/names";
import { hash, pointer, utf8 } from "../abi/text";

/** A hash u64, the text's length u32, 4 bytes reserved, the text. */
const ROW_BYTES: u32 = 16 + LABEL_BYTES_MAX;
const rows: usize = heap.alloc(SERIES_MAX * ROW_BYTES);
let used: u32 = 0;

const defaultText = utf8(FAIRNESS_DEFAULT);
const otherText = utf8("other");

/** What `find` found. */
export let text: usize = 0;
export let length: u32 = 0;

/** Remembers the id of `bytes` bytes at `p`, cut at LABEL_BYTES_MAX. Answers its hash, never 0. */
export function note(p: usize, bytes: u32): u64 {
  const hashed = hash(p, bytes);
  const id = hashed == 0 ? 1 : hashed;
  if (rowOf(id) != used || used == SERIES_MAX) return id;
  const row = rows + used * ROW_BYTES;
  const kept = min<u32>(bytes, LABEL_BYTES_MAX);
  store<u64>(row, id);
  store<u32>(row, kept, 8);
  memory.copy(row + 16, p, kept);
  ++used;
  return id;
}

/** Sets `text` and `length` to the id's; to "other" when there was no room for it. 0 stands for no id. */
export function find(id: u64): void {
  const row = rowOf(id);
  if (id == 0) set(pointer(defaultText), defaultText.byteLength);
  else if (row == used) set(pointer(otherText), otherText.byteLength);
  else set(rows + row * ROW_BYTES + 16, load<u32>(rows + row * ROW_BYTES, 8));
}

function set(p: usize, bytes: u32): void {
  text = p;
  length = bytes;
}

/** The row of an id, or `used`. Clients with an id of their own are few, so the rows are walked. */
function rowOf(id: u64): u32 {
  let row: u32 = 0;
  while (row < used && load<u64>(rows + row * ROW_BYTES) != id) ++row;
  return row;
}
