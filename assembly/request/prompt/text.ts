// Where text goes as it is read: everything wanted of a body, in the order of its arrival. Nothing here looks
// at bounds: what one body of INSPECTION_BYTES can grow to fits, and a scan reads no more.

import { INSPECTION_BYTES } from "../../../src/wire/limits";
import { pointer, utf8 } from "../../abi/text";

/** A byte of JSON becomes six at most: "<" is written \u003c. Vectors are stored whole, so a few bytes behind. */
const GROWTH: usize = 6;
const ROOM: usize = 4096;
const TEXT_BYTES: usize = GROWTH * INSPECTION_BYTES + ROOM;

const text: usize = heap.alloc(TEXT_BYTES);
/** As large, for what is put in another order. */
export const spare: usize = heap.alloc(TEXT_BYTES);

/** The next byte goes here. */
export let out: usize = text;

export function begin(): void {
  out = text;
}

/** What was written up to `p` counts. */
export function setOut(p: usize): void {
  out = p;
}

/** Zeros up to the next multiple of `size`, a power of two. */
export function pad(size: usize): void {
  while ((out & (size - 1)) != 0) store<u8>(out++, 0);
}

export function put(c: u8): void {
  store<u8>(out++, c);
}

export function putBytes(p: usize, length: u32): void {
  // Numbers are a few bytes: less than a call to copy them costs.
  if (length <= 8) {
    for (let i: u32 = 0; i < length; ++i) store<u8>(out + i, load<u8>(p + i));
  } else {
    memory.copy(out, p, length);
  }
  out += length;
}

export function putText(what: ArrayBuffer): void {
  putBytes(pointer(what), what.byteLength);
}

/** A character in UTF-8. */
export function putCharacter(c: u32): void {
  if (c < 0x80) {
    put(<u8>c);
  } else if (c < 0x800) {
    put(<u8>(0xc0 | (c >> 6)));
    put(<u8>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    put(<u8>(0xe0 | (c >> 12)));
    put(<u8>(0x80 | ((c >> 6) & 0x3f)));
    put(<u8>(0x80 | (c & 0x3f)));
  } else {
    put(<u8>(0xf0 | (c >> 18)));
    put(<u8>(0x80 | ((c >> 12) & 0x3f)));
    put(<u8>(0x80 | ((c >> 6) & 0x3f)));
    put(<u8>(0x80 | (c & 0x3f)));
  }
}

const hexDigits = utf8("0123456789abcdef");

/** A character inside a string of JSON, as Go writes it: <, > and & and the two line separators escaped too. */
export function putJsonCharacter(c: u32): void {
  if (c == 0x22 || c == 0x5c) putEscape(<u8>c);
  else if (c == 0x08) putEscape(0x62);
  else if (c == 0x09) putEscape(0x74);
  else if (c == 0x0a) putEscape(0x6e);
  else if (c == 0x0c) putEscape(0x66);
  else if (c == 0x0d) putEscape(0x72);
  else if (c < 0x20 || c == 0x3c || c == 0x3e || c == 0x26 || c == 0x2028 || c == 0x2029) putUnit(c);
  else putCharacter(c);
}

function putEscape(c: u8): void {
  put(0x5c);
  put(c);
}

function putUnit(c: u32): void {
  putEscape(0x75);
  for (let shift = 12; shift >= 0; shift -= 4) put(load<u8>(pointer(hexDigits) + ((c >> shift) & 15)));
}

/** Bytes of a line separator, U+2028 or U+2029, in UTF-8. */
const SEPARATOR_BYTES: usize = 3;

/** Whether the three bytes at `p` are one. */
function isSeparator(p: usize): bool {
  return load<u16>(p) == 0x80e2 && (load<u8>(p, 2) & 0xfe) == 0xa8;
}

/** The last character, in a string of JSON, is whole: a line separator is written again, escaped. */
export function escapeSeparator(): void {
  if (out < text + SEPARATOR_BYTES || !isSeparator(out - SEPARATOR_BYTES)) return;
  const c = 0x2000 | (<u32>load<u8>(out - 1) & 0x3f);
  out -= SEPARATOR_BYTES;
  putUnit(c);
}

/** Writes the text from `start` on again, with <, >, & and line separators escaped: JSON that is kept as it came. */
export function escapeFrom(start: usize): void {
  const end = out;
  const first = firstToEscape(start, end);
  if (first == end) return;
  const length = end - first;
  memory.copy(spare, first, length);
  out = first;
  const stop = spare + length;
  for (let p = spare; p < stop; ) {
    const c = load<u8>(p);
    if (c == 0x3c || c == 0x3e || c == 0x26) putUnit(c);
    else if (c == 0xe2 && p + SEPARATOR_BYTES <= stop && isSeparator(p)) {
      putUnit(0x2000 | (<u32>load<u8>(p, 2) & 0x3f));
      p += 2;
    } else put(c);
    ++p;
  }
}

function firstToEscape(p: usize, end: usize): usize {
  while (p + 16 <= end) {
    const bytes = v128.load(p);
    const angle = i8x16.eq(v128.and(bytes, i8x16.splat(<i8>0xfd)), i8x16.splat(0x3c));
    const other = v128.or(i8x16.eq(bytes, i8x16.splat(0x26)), i8x16.eq(bytes, i8x16.splat(<i8>0xe2)));
    if (v128.any_true(v128.or(angle, other))) return p;
    p += 16;
  }
  while (p < end) {
    const c = load<u8>(p);
    if (c == 0x3c || c == 0x3e || c == 0x26 || c == 0xe2) return p;
    ++p;
  }
  return p;
}
