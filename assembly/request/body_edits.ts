// Changes to the body of the request at hand, made in one go: bytes of it give way to others, all else stays as it
// is, and content-length with it. The host lets the front of a buffer be replaced, so what stands before the last
// change is fetched and put back with it.

import * as host from "../abi/host";
import { mark, release, take } from "../abi/scratch";
import { REQUEST_BODY, REQUEST_HEADERS } from "../abi/status";
import { putNumber, utf8 } from "../abi/text";

/** Bytes from..end of the body become the `length` bytes at `text`. */
@unmanaged
class Edit {
  from: u32;
  end: u32;
  text: usize;
  length: u32;
}
const EDITS_MAX: u32 = 2;
const edits = memory.data(32, 4);
if (offsetof<Edit>() * EDITS_MAX != 32) ERROR("the changes have their bytes here");
let count: u32 = 0;

const contentLength = utf8("content-length");
const digits = memory.data(24);
const DIGITS_MAX: u32 = 15;

function at(n: u32): Edit {
  return changetype<Edit>(edits + n * offsetof<Edit>());
}

/** Of another body: no changes yet. */
export function begin(): void {
  count = 0;
}

/** One change more, apart from the others; at most EDITS_MAX. The text must stay until `make`. */
export function replace(from: u32, end: u32, text: usize, length: u32): void {
  if (count == EDITS_MAX) return;
  // In the order in which they stand.
  const isFirst = count != 0 && from < at(0).from;
  if (isFirst) memory.copy(edits + offsetof<Edit>(), edits, offsetof<Edit>());
  const edit = at(isFirst ? 0 : count);
  edit.from = from;
  edit.end = end;
  edit.text = text;
  edit.length = length;
  ++count;
}

/** Makes the changes. False when the host does not let it: then none is made. */
export function make(): bool {
  if (count == 0) return true;
  const used = mark();
  const isMade = makeAll();
  release(used);
  return isMade;
}

function makeAll(): bool {
  const last = at(count - 1);
  if (!host.getBuffer(REQUEST_BODY, 0, last.from) || host.size != last.from) return false;
  let grown: i64 = 0;
  for (let n: u32 = 0; n < count; ++n) grown += <i64>at(n).length - <i64>(at(n).end - at(n).from);
  const length = <u32>(<i64>last.end + grown);
  const out = take(length);
  if (out == 0) return false;
  let to = out;
  let kept: u32 = 0;
  for (let n: u32 = 0; n < count; ++n) {
    const edit = at(n);
    memory.copy(to, host.data + kept, edit.from - kept);
    to += edit.from - kept;
    memory.copy(to, edit.text, edit.length);
    to += edit.length;
    kept = edit.end;
  }
  if (!host.replaceFront(REQUEST_BODY, last.end, out, length)) return false;
  correctLength(grown);
  return true;
}

/** A request without content-length needs none. */
function correctLength(by: i64): void {
  if (by == 0 || !host.getHeader(REQUEST_HEADERS, contentLength)) return;
  if (host.size == 0 || host.size > DIGITS_MAX) return;
  let length: i64 = 0;
  for (let i: u32 = 0; i < host.size; ++i) {
    const c = load<u8>(host.data + i);
    if (c < 0x30 || c > 0x39) return;
    length = length * 10 + <i64>(c - 0x30);
  }
  if (length + by < 0) return;
  const end = putNumber(digits, <u64>(length + by));
  host.setHeader(REQUEST_HEADERS, contentLength, digits, <u32>(end - digits));
}
