// Bytes of answers that wait for what comes next: the beginning of an event that may be the one with usage
// (response/usage_event). A row for each stream that has such; few do, and for a moment only. Only the build with
// response bodies has the table.

import { READS_RESPONSES } from "../build";
import { Stream } from "./streams";

/** Streams that hold something at once. */
const HOLDS_MAX: u32 = 256;
/** What tells an event with usage is in its first 300 bytes, or behind the usage itself. */
const HOLD_BYTES: u32 = 1020;
const TEXT_AT: usize = 4;
const ROW_BYTES: usize = TEXT_AT + HOLD_BYTES;
const rows: usize = READS_RESPONSES ? heap.alloc(ROW_BYTES * HOLDS_MAX) : 0;
let used: u32 = 0;
/** Numbers of rows that were given back. */
const free: usize = READS_RESPONSES ? heap.alloc(HOLDS_MAX << 1) : 0;
let freed: u32 = 0;

/** Row of the number that streams have: 0 stands for none. */
function row(n: u32): usize {
  return rows + <usize>(n - 1) * ROW_BYTES;
}

/** Holds a copy of the `size` bytes at `p`, at least one, for a stream that holds nothing. False: there is no room. */
export function hold(stream: Stream, p: usize, size: u32): bool {
  if (size > HOLD_BYTES || (freed == 0 && used == HOLDS_MAX)) return false;
  const n = freed == 0 ? ++used : <u32>load<u16>(free + (--freed << 1));
  stream.hold = <u16>n;
  store<u32>(row(n), size);
  memory.copy(row(n) + TEXT_AT, p, size);
  return true;
}

export function text(stream: Stream): usize {
  return row(stream.hold) + TEXT_AT;
}

/** Bytes held for the stream. */
export function length(stream: Stream): u32 {
  return stream.hold == 0 ? 0 : load<u32>(row(stream.hold));
}

/** What was held for the stream is held no more; its text stays until another stream holds something. */
export function release(stream: Stream): void {
  if (stream.hold == 0) return;
  store<u16>(free + (freed++ << 1), stream.hold);
  stream.hold = 0;
}
