// Strings of a body, copied to where text goes: decoded, or written again as JSON. Each function goes on from
// `p` as far as it can and answers where it stopped: at the string's end, at what is no JSON, or at
// something whose bytes have not all come. 64 bytes are looked at and copied at a time; what follows
// the first that needs care is written over.

import * as text from "./text";

const BLOCK: usize = 64;
const STEP: usize = 16;

// V8 builds a vector constant anew at each use, in four instructions; one that was loaded stays in a register.
const QUOTE = memory.data<u8>([0x22]);
const BACKSLASH = memory.data<u8>([0x5c]);
const SPACE = memory.data<u8>([0x20]);
const AMPERSAND = memory.data<u8>([0x26]);
/** With the bit that tells < from > masked out. */
const ANGLE = memory.data<u8>([0x3c]);
const ANGLE_MASK = memory.data<u8>([0xfd]);

/** What a byte after a backslash stands for, 0 for all that make no escape of two bytes. */
const DECODED = memory.data(256);
setDecoded();

function setDecoded(): void {
  store<u8>(DECODED, 0x22, 0x22);
  store<u8>(DECODED, 0x2f, 0x2f);
  store<u8>(DECODED, 0x5c, 0x5c);
  store<u8>(DECODED, 0x08, 0x62);
  store<u8>(DECODED, 0x0c, 0x66);
  store<u8>(DECODED, 0x0a, 0x6e);
  store<u8>(DECODED, 0x0d, 0x72);
  store<u8>(DECODED, 0x09, 0x74);
}

/** What the escape of two bytes at `p` stands for; 0: it is none, or has not all come. */
function decoded(p: usize, end: usize): u8 {
  return p + 2 <= end ? load<u8>(DECODED + load<u8>(p, 1)) : 0;
}

/** All bits of each byte that is a quote, a backslash, a control character or, being negative, beyond ASCII. */
function stops(bytes: v128, quote: v128, backslash: v128, space: v128): v128 {
  const mark = v128.or(i8x16.eq(bytes, quote), i8x16.eq(bytes, backslash));
  return v128.or(mark, i8x16.lt_s(bytes, space));
}

/** Up to so many quotes and backslashes of a block are dealt with one by one. */
const FEW: i32 = 6;

/** Copies ASCII, escapes of two bytes decoded. */
export function ascii(p: usize, end: usize): usize {
  const quote = v128.load_splat<u8>(QUOTE);
  const backslash = v128.load_splat<u8>(BACKSLASH);
  const space = v128.load_splat<u8>(SPACE);
  let to = text.out;
  while (p + BLOCK <= end) {
    const bytes0 = v128.load(p);
    const bytes1 = v128.load(p, 16);
    const bytes2 = v128.load(p, 32);
    const bytes3 = v128.load(p, 48);
    v128.store(to, bytes0);
    v128.store(to, bytes1, 16);
    v128.store(to, bytes2, 32);
    v128.store(to, bytes3, 48);
    const stop0 = stops(bytes0, quote, backslash, space);
    const stop1 = stops(bytes1, quote, backslash, space);
    const stop2 = stops(bytes2, quote, backslash, space);
    const stop3 = stops(bytes3, quote, backslash, space);
    if (!v128.any_true(v128.or(v128.or(stop0, stop1), v128.or(stop2, stop3)))) {
      p += BLOCK;
      to += BLOCK;
      continue;
    }
    const low = <u64>i8x16.bitmask(stop0) | ((<u64>i8x16.bitmask(stop1)) << 16);
    const stop = low | ((<u64>(i8x16.bitmask(stop2) | (i8x16.bitmask(stop3) << 16))) << 32);
    let past: usize;
    if (<i32>popcnt(stop) > FEW) {
      text.setOut(to);
      past = decodedBlock(p);
    } else {
      const at = <usize>ctz(stop);
      past = p + at;
      to += at;
      const c = load<u8>(past) == 0x5c ? decoded(past, end) : 0;
      store<u8>(to, c);
      text.setOut(c != 0 ? to + 1 : to);
      if (c == 0) return past;
      past += 2;
    }
    if (past == p) return p;
    p = past;
    to = text.out;
  }
  text.setOut(to);
  return asciiRest(p, end);
}

// For each set of bytes to drop out of eight, the places of the others, one after the other.
const KEPT = memory.data(2048, 16);
/** The same for the upper eight bytes of a vector. */
const KEPT_ABOVE = memory.data(2048, 16);
setKept();

function setKept(): void {
  for (let dropped = 0; dropped < 256; ++dropped) {
    let row = dropped << 3;
    for (let i = 0; i < 8; ++i) {
      if (((dropped >> i) & 1) != 0) continue;
      store<u8>(KEPT + row, <u8>i);
      store<u8>(KEPT_ABOVE + row, <u8>(i + 8));
      ++row;
    }
  }
}

const LETTER_N = memory.data<u8>([0x6e]);
const LETTER_T = memory.data<u8>([0x74]);
/** What turns n into a line feed and t into a tab, by exclusive or. */
const TURN_N = memory.data<u8>([0x64]);
const TURN_T = memory.data<u8>([0x7d]);
/** All bits but those of the first byte. */
const ALL_BUT_FIRST = memory.data<u8>([0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]);

/**
 * The block at `p`, in which something is to be done: \n \" \t are decoded without a branch that depends on
 * where they are, as text has one every few dozen bytes and a mispredicted branch costs as much as a block.
 * Each byte is judged beside the one before it; backslashes are dropped by a shuffle, eight bytes at a time:
 *
 *     before   :  x  \  n  y  "
 *     byte     :  \  n  y  "  …     stops at a quote that follows no backslash, at a control character
 *     becomes  :     LF y            or a byte beyond ASCII, and at whatever else follows a backslash
 *
 * Then what stopped it, if it is another escape of two bytes. Answers where it stopped; `p`: at the first byte.
 */
function decodedBlock(p: usize): usize {
  const first = p;
  const backslash = v128.load_splat<u8>(BACKSLASH);
  const n = v128.load_splat<u8>(LETTER_N);
  const t = v128.load_splat<u8>(LETTER_T);
  let to = text.out;
  let escaped = v128.and(i8x16.eq(v128.load(p - 1), backslash), v128.load(ALL_BUT_FIRST));
  for (let i = 0; i < 4; ++i) {
    const bytes = v128.load(p);
    const isN = v128.and(i8x16.eq(bytes, n), escaped);
    const isT = v128.and(i8x16.eq(bytes, t), escaped);
    const quotes = v128.xor(escaped, i8x16.eq(bytes, v128.load_splat<u8>(QUOTE)));
    const odd = v128.andnot(quotes, v128.or(isN, isT));
    const stop = i8x16.bitmask(v128.or(odd, i8x16.lt_s(bytes, v128.load_splat<u8>(SPACE))));
    const dropped = <u32>i8x16.bitmask(i8x16.eq(bytes, backslash));
    const turned = v128.xor(bytes, v128.and(isN, v128.load_splat<u8>(TURN_N)));
    const decoded = v128.xor(turned, v128.and(isT, v128.load_splat<u8>(TURN_T)));
    store<u64>(to, i64x2.extract_lane(i8x16.swizzle(decoded, v128.load64_zero(KEPT + ((dropped & 0xff) << 3))), 0));
    const half = to + 8 - <usize>popcnt(dropped & 0xff);
    const above = dropped >> 8;
    store<u64>(half, i64x2.extract_lane(i8x16.swizzle(decoded, v128.load64_zero(KEPT_ABOVE + (above << 3))), 0));
    if (stop != 0) {
      const at = <u32>ctz(stop);
      to += <usize>at - <usize>popcnt(dropped & ((1 << at) - 1));
      return stopped(first, p + at, to);
    }
    to = half + 8 - <usize>popcnt(above);
    p += STEP;
    escaped = i8x16.eq(v128.load(p - 1), backslash);
  }
  text.setOut(to);
  // A backslash that ends the block begins an escape of the next.
  return load<u8>(p - 1) == 0x5c ? p - 1 : p;
}

/**
 * Text was copied from `first` to `p`, the next of it goes to `to`. An escape whose second byte is at `p` is
 * decoded here if it is one of two bytes, and else is not begun.
 */
function stopped(first: usize, p: usize, to: usize): usize {
  const c = p != first && load<u8>(p - 1) == 0x5c ? load<u8>(DECODED + load<u8>(p)) : 0;
  text.setOut(to + (c != 0 ? 1 : 0));
  if (c == 0) return p != first && load<u8>(p - 1) == 0x5c ? p - 1 : p;
  store<u8>(to, c);
  return p + 1;
}

/** The same for the last bytes of a piece. */
function asciiRest(p: usize, end: usize): usize {
  const quote = v128.load_splat<u8>(QUOTE);
  const backslash = v128.load_splat<u8>(BACKSLASH);
  const space = v128.load_splat<u8>(SPACE);
  let to = text.out;
  while (p < end) {
    if (p + STEP <= end) {
      const bytes = v128.load(p);
      v128.store(to, bytes);
      const at = min<usize>(STEP, <usize>ctz(i8x16.bitmask(stops(bytes, quote, backslash, space))));
      p += at;
      to += at;
      if (at == STEP) continue;
    }
    let c = load<u8>(p);
    let length: usize = 1;
    if (c == 0x5c) {
      c = decoded(p, end);
      if (c == 0) break;
      length = 2;
    } else if (c == 0x22 || c < 0x20 || c >= 0x80) {
      break;
    }
    store<u8>(to++, c);
    p += length;
  }
  text.setOut(to);
  return p;
}

/** The bytes that stop `ascii`, and those that Go's JSON escapes. */
function jsonStops(bytes: v128, quote: v128, backslash: v128, space: v128): v128 {
  const angle = i8x16.eq(v128.and(bytes, v128.load_splat<u8>(ANGLE_MASK)), v128.load_splat<u8>(ANGLE));
  const html = v128.or(angle, i8x16.eq(bytes, v128.load_splat<u8>(AMPERSAND)));
  return v128.or(html, stops(bytes, quote, backslash, space));
}

/** Copies ASCII of a string that is written as JSON. */
export function jsonAscii(p: usize, end: usize): usize {
  const quote = v128.load_splat<u8>(QUOTE);
  const backslash = v128.load_splat<u8>(BACKSLASH);
  const space = v128.load_splat<u8>(SPACE);
  let to = text.out;
  while (p < end) {
    if (p + STEP <= end) {
      const bytes = v128.load(p);
      v128.store(to, bytes);
      const at = min<usize>(STEP, <usize>ctz(i8x16.bitmask(jsonStops(bytes, quote, backslash, space))));
      p += at;
      to += at;
      if (at == STEP) continue;
    }
    const c = load<u8>(p);
    if (c == 0x22 || c < 0x20 || c >= 0x80) break;
    const meant = c == 0x5c ? decoded(p, end) : c;
    if (meant == 0) break;
    text.setOut(to);
    text.putJsonCharacter(meant);
    to = text.out;
    p += c == 0x5c ? 2 : 1;
  }
  text.setOut(to);
  return p;
}

/** Length of a string that ends within 16 bytes and has nothing in it that needs care; 16: there is none. */
export function lengthOfShort(p: usize): usize {
  const quote = v128.load_splat<u8>(QUOTE);
  const stop = stops(v128.load(p), quote, v128.load_splat<u8>(BACKSLASH), v128.load_splat<u8>(SPACE));
  return quoteAt(p, stop);
}

/** Copies such a string, of which nothing is written otherwise in JSON; 16: it is none, and nothing was copied. */
export function shortJson(p: usize): usize {
  const quote = v128.load_splat<u8>(QUOTE);
  const bytes = v128.load(p);
  v128.store(text.out, bytes);
  const stop = jsonStops(bytes, quote, v128.load_splat<u8>(BACKSLASH), v128.load_splat<u8>(SPACE));
  const length = quoteAt(p, stop);
  if (length != STEP) text.setOut(text.out + length);
  return length;
}

function quoteAt(p: usize, stop: v128): usize {
  const at = min<usize>(STEP, <usize>ctz(i8x16.bitmask(stop)));
  return at < STEP && load<u8>(p + at) == 0x22 ? at : STEP;
}

/** Bytes of \uXXXX. */
const LONG_ESCAPE: usize = 6;

/** Copies a run of \uXXXX: clients that write ASCII only write whole scripts so. */
export function longEscapes(p: usize, end: usize, isJson: bool): usize {
  while (p + LONG_ESCAPE <= end && load<u16>(p) == 0x755c) {
    let c = unitAt(p);
    if (c < 0) return p;
    let length = LONG_ESCAPE;
    if (c >= 0xd800 && c <= 0xdfff) {
      // The half that may follow has not come yet.
      if (c < 0xdc00 && p + 2 * LONG_ESCAPE > end) return p;
      const low = c < 0xdc00 && load<u16>(p, 6) == 0x755c ? unitAt(p + LONG_ESCAPE) : 0;
      const isPair = low >= 0xdc00 && low <= 0xdfff;
      c = isPair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
      if (isPair) length = 2 * LONG_ESCAPE;
    }
    if (isJson) text.putJsonCharacter(c);
    else text.putCharacter(c);
    p += length;
  }
  return p;
}

/** The unit that the four digits of \uXXXX say; below 0: they are none. */
function unitAt(p: usize): i32 {
  const a = digit(load<u8>(p, 2));
  const b = digit(load<u8>(p, 3));
  const c = digit(load<u8>(p, 4));
  const d = digit(load<u8>(p, 5));
  return (a << 12) | (b << 8) | (c << 4) | d;
}

function digit(c: u8): i32 {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Copies characters beyond ASCII from `p` to `past`, which are whole. */
export function wide(p: usize, past: usize, isJson: bool): void {
  let to = text.out;
  // Runs are short, and a call costs as much as a word: four bytes at a time, the last ones too.
  for (; p < past; p += 4, to += 4) store<u32>(to, load<u32>(p));
  to -= p - past;
  const start = text.out;
  text.setOut(to);
  if (isJson) text.escapeFrom(start);
}
