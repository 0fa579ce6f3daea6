// Reads a request body as it arrives: every byte once, no tree, no copy but of the few values wanted.
//
// A JSON machine (RFC 8259, as JSON.parse accepts it, over UTF-8) that can stop after any byte and
// go on with the next piece; all it remembers is in its Scan. Of the members of the top-level object
// it takes `model`, `stream`, the token limits and the size of the prompt; of equal names the last
// counts, as with JSON.parse. Inside strings nobody wants, 64 bytes are looked at at a time.

import { JSON_DEPTH_MAX, JSON_KEY_BYTES_MAX, MODEL_BYTES_MAX, STREAMS_MAX } from "../../src/wire/limits";
import { equals, utf8 } from "../abi/text";

// What feed answers
export const MORE = 0;
/** The text is not JSON. */
export const NOT_JSON = 1;
export const TOO_DEEP = 2;

// What the top-level value is
export const TOP_NONE: u8 = 0;
export const TOP_OBJECT: u8 = 1;
export const TOP_OTHER: u8 = 2;

// What `model` is
export const MODEL_NONE: u8 = 0;
export const MODEL_TEXT: u8 = 1;
export const MODEL_NOT_TEXT: u8 = 2;
/** Text longer than MODEL_BYTES_MAX: no object can name it. */
export const MODEL_TOO_LONG: u8 = 3;

/** A token limit that is absent, not a whole number from 0 to 2³¹ − 1, or written in over DIGITS_MAX digits. */
export const NO_LIMIT: i32 = -1;
const DIGITS_MAX: u8 = 18;
const EXPONENT_MAX: i32 = 10_000;

// States of the machine
const VALUE: u8 = 0; // a value must come
const FIRST_MEMBER: u8 = 1; // after "{": a name or "}"
const MEMBER: u8 = 2; // after "," in an object: a name
const COLON: u8 = 3;
const FIRST_ELEMENT: u8 = 4; // after "[": a value or "]"
const AFTER: u8 = 5; // after a value: ",", a closing bracket, or the end
const STRING: u8 = 6;
const ESCAPE: u8 = 7; // after a backslash
const HEX: u8 = 8; // the four digits of \u
const UTF8_TAIL: u8 = 9; // inside a character beyond ASCII
const LITERAL: u8 = 10; // true, false, null
const MINUS: u8 = 11;
const ZERO: u8 = 12;
const INTEGER: u8 = 13;
const POINT: u8 = 14;
const FRACTION: u8 = 15;
const EXPONENT: u8 = 16; // after "e"
const EXPONENT_SIGN: u8 = 17;
const EXPONENT_DIGITS: u8 = 18;
const FAILED: u8 = 19;

// Which top-level member the machine is in
const OTHER: u8 = 0;
const MODEL: u8 = 1;
const STREAM: u8 = 2;
const MAX_TOKENS: u8 = 3;
const MAX_COMPLETION_TOKENS: u8 = 4;
const PROMPT: u8 = 5;

// Where the text of a string goes
const NOWHERE: u8 = 0;
const TO_KEY: u8 = 1;
const TO_MODEL: u8 = 2;
/** A number whose value is wanted. */
const TO_LIMIT: u8 = 3;

const modelKey = utf8("model");
const streamKey = utf8("stream");
const maxTokensKey = utf8("max_tokens");
const maxCompletionTokensKey = utf8("max_completion_tokens");
const promptKey = utf8("prompt");
const messagesKey = utf8("messages");

/** All that is remembered between two pieces of a body. */
@unmanaged
export class Scan {
  state: u8;
  /** In a string: whether it is a member's name. */
  isName: u8;
  /** In a string: where its text goes. */
  capture: u8;
  member: u8;
  top: u8;
  model: u8;
  stream: u8;
  /** In a literal: its first letter and how many letters have been seen. */
  literal: u8;
  literalSeen: u8;
  /** In \u: digits still to come. */
  hexLeft: u8;
  /** In a character beyond ASCII: bytes still to come, and the bounds of the next one. */
  tailLeft: u8;
  tailLowest: u8;
  tailHighest: u8;
  negative: u8;
  exponentNegative: u8;
  /** Significant digits of the number so far, at most DIGITS_MAX + 1. */
  digitCount: u8;
  hex: u16;
  /** A \u high surrogate whose low half may follow; 0 = none. */
  highSurrogate: u16;
  depth: u32;
  keyLength: u32;
  modelLength: u32;
  exponent: i32;
  /** Places after the decimal point. */
  places: i32;
  maxTokens: i32;
  maxCompletionTokens: i32;
  /** Bytes fed so far, less those of the current piece while it is fed. */
  offset: u32;
  promptStart: u32;
  promptBytes: u32;
  digits: u64;
}

// A row of the table: the Scan, the text of a name, the text of the model, a bit per open bracket.
const KEY: usize = 96;
const MODEL_TEXT_AT: usize = KEY + JSON_KEY_BYTES_MAX;
const BRACKETS: usize = MODEL_TEXT_AT + MODEL_BYTES_MAX;
const ROW_BYTES: usize = BRACKETS + JSON_DEPTH_MAX / 8;
if (offsetof<Scan>() > KEY) ERROR("Scan must fit before the name's text");

const rows: usize = heap.alloc(ROW_BYTES * STREAMS_MAX);

/** The scan of a stream's slot. */
export function ofSlot(slot: u32): Scan {
  return changetype<Scan>(rows + <usize>slot * ROW_BYTES);
}

export function begin(scan: Scan): void {
  memory.fill(changetype<usize>(scan), 0, KEY);
  scan.maxTokens = NO_LIMIT;
  scan.maxCompletionTokens = NO_LIMIT;
}

/** Text of `model` in UTF-8, scan.modelLength bytes; valid when scan.model is MODEL_TEXT. */
export function modelText(scan: Scan): usize {
  return changetype<usize>(scan) + MODEL_TEXT_AT;
}

/** Whether the text that was fed is one whole JSON value. */
export function isComplete(scan: Scan): bool {
  if (scan.depth != 0 || scan.top == TOP_NONE) return false;
  const s = scan.state;
  return s == AFTER || s == ZERO || s == INTEGER || s == FRACTION || s == EXPONENT_DIGITS;
}

let pieceStart: usize = 0;

/** Reads the next `length` bytes at `p`. Answers MORE, or why the text is refused; then for good. */
export function feed(scan: Scan, p: usize, length: u32): i32 {
  const end = p + length;
  pieceStart = p;
  while (p < end) {
    const state = scan.state;
    if (state == STRING) p = inString(scan, p, end);
    else if (state <= AFTER) p = structure(scan, p);
    else if (state == UTF8_TAIL) p = tail(scan, p, end);
    else if (state == ESCAPE) p = escaped(scan, p);
    else if (state == HEX) p = hexDigit(scan, p);
    else if (state == LITERAL) p = literal(scan, p);
    else if (state < FAILED) p = number(scan, p, end);
    else break;
  }
  scan.offset += length;
  if (scan.state != FAILED) return MORE;
  return scan.depth > JSON_DEPTH_MAX ? TOO_DEEP : NOT_JSON;
}

function fail(scan: Scan, p: usize): usize {
  scan.state = FAILED;
  return p + 1;
}

/** Where a byte of the current piece stands in the body. */
function position(scan: Scan, p: usize): u32 {
  return scan.offset + <u32>(p - pieceStart);
}

// ── Structure: brackets, commas, colons, and the first byte of every value ──

function structure(scan: Scan, p: usize): usize {
  const c = load<u8>(p);
  if (c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09) return p + 1;
  const state = scan.state;
  if (state == VALUE) return value(scan, p, c);
  if (state == AFTER) return after(scan, p, c);
  if (state == COLON) {
    if (c != 0x3a) return fail(scan, p);
    scan.state = VALUE;
    return p + 1;
  }
  if (state == FIRST_ELEMENT) {
    if (c == 0x5d) return close(scan, p, false);
    return value(scan, p, c);
  }
  if (c == 0x22) return beginString(scan, p, true);
  if (c == 0x7d && state == FIRST_MEMBER) return close(scan, p, true);
  return fail(scan, p);
}

/** The first byte of a value. */
function value(scan: Scan, p: usize, c: u8): usize {
  if (scan.depth == 0) {
    scan.top = c == 0x7b ? TOP_OBJECT : TOP_OTHER;
  } else if (scan.depth == 1 && scan.member != OTHER) {
    beginMember(scan, c, position(scan, p));
  }
  if (c == 0x22) return beginString(scan, p, false);
  if (c == 0x7b || c == 0x5b) return open(scan, p, c == 0x7b);
  if (c == 0x74 || c == 0x66 || c == 0x6e) {
    scan.state = LITERAL;
    scan.literal = c;
    scan.literalSeen = 1;
    return p + 1;
  }
  if (c == 0x2d || (c >= 0x30 && c <= 0x39)) return beginNumber(scan, p, c);
  return fail(scan, p);
}

function open(scan: Scan, p: usize, isObject: bool): usize {
  const depth = scan.depth++;
  if (depth >= JSON_DEPTH_MAX) return fail(scan, p);
  const bits = changetype<usize>(scan) + BRACKETS + (depth >> 3);
  const bit = <u8>((<u32>1) << (depth & 7));
  store<u8>(bits, isObject ? load<u8>(bits) | bit : load<u8>(bits) & ~bit);
  scan.state = isObject ? FIRST_MEMBER : FIRST_ELEMENT;
  return p + 1;
}

function isInObject(scan: Scan): bool {
  const depth = scan.depth - 1;
  return (load<u8>(changetype<usize>(scan) + BRACKETS + (depth >> 3)) & (1 << (depth & 7))) != 0;
}

function close(scan: Scan, p: usize, isObject: bool): usize {
  if (scan.depth == 0 || isInObject(scan) != isObject) return fail(scan, p);
  --scan.depth;
  endValue(scan, position(scan, p + 1));
  return p + 1;
}

function after(scan: Scan, p: usize, c: u8): usize {
  if (c == 0x7d) return close(scan, p, true);
  if (c == 0x5d) return close(scan, p, false);
  if (c != 0x2c || scan.depth == 0) return fail(scan, p);
  scan.state = isInObject(scan) ? MEMBER : VALUE;
  return p + 1;
}

// ── Members of the top-level object ──

function endName(scan: Scan): void {
  scan.state = COLON;
  if (scan.depth != 1) return;
  const key = changetype<usize>(scan) + KEY;
  const length = scan.keyLength;
  scan.member = OTHER;
  if (equals(key, length, modelKey)) scan.member = MODEL;
  else if (equals(key, length, streamKey)) scan.member = STREAM;
  else if (equals(key, length, maxTokensKey)) scan.member = MAX_TOKENS;
  else if (equals(key, length, maxCompletionTokensKey)) scan.member = MAX_COMPLETION_TOKENS;
  else if (equals(key, length, messagesKey) || equals(key, length, promptKey)) scan.member = PROMPT;
}

/** A wanted member's value begins with `c`: what an equal name said before no longer counts. */
function beginMember(scan: Scan, c: u8, at: u32): void {
  const member = scan.member;
  if (member == MODEL) {
    scan.model = c == 0x22 ? MODEL_TEXT : MODEL_NOT_TEXT;
    scan.modelLength = 0;
  } else if (member == STREAM) {
    scan.stream = 0;
  } else if (member == MAX_TOKENS) {
    scan.maxTokens = NO_LIMIT;
  } else if (member == MAX_COMPLETION_TOKENS) {
    scan.maxCompletionTokens = NO_LIMIT;
  } else {
    scan.promptStart = at;
    scan.promptBytes = 0;
  }
}

/** A value has ended before the byte `at` of the body. */
function endValue(scan: Scan, at: u32): void {
  scan.state = AFTER;
  if (scan.depth != 1 || scan.member == OTHER) return;
  if (scan.member == PROMPT) scan.promptBytes = at - scan.promptStart;
  scan.member = OTHER;
}

// ── Strings ──

function beginString(scan: Scan, p: usize, isName: bool): usize {
  scan.state = STRING;
  scan.isName = isName ? 1 : 0;
  scan.highSurrogate = 0;
  scan.capture = NOWHERE;
  if (scan.depth != 1) return p + 1;
  if (isName) {
    scan.capture = TO_KEY;
    scan.keyLength = 0;
  } else if (scan.member == MODEL) {
    scan.capture = TO_MODEL;
  }
  return p + 1;
}

function inString(scan: Scan, p: usize, end: usize): usize {
  if (scan.capture != NOWHERE) return captured(scan, p, end);
  while (p < end) {
    p = pastText(p, end);
    if (p >= end) return end;
    const past = pastOdd(p, end);
    if (past == p) return special(scan, p, load<u8>(p));
    p = past;
  }
  return p;
}

/** Past the run of escapes and characters beyond ASCII that begins at `p`; `p` if none does, or is whole. */
function pastOdd(p: usize, end: usize): usize {
  while (p + LONG_ESCAPE <= end) {
    const c = load<u8>(p);
    const past = c >= 0x80 ? wideText(p, end) : c == 0x5c ? pastEscape(p) : p;
    if (past == p) return p;
    p = past;
  }
  return p;
}

/** Bytes of \uXXXX: clients that write ASCII only write whole scripts so. */
const LONG_ESCAPE: usize = 6;

/** Past the escape at `p`, LONG_ESCAPE bytes being there; `p` if it is none. */
function pastEscape(p: usize): usize {
  const c = load<u8>(p + 1);
  if (c != 0x75) return isShortEscape(c) ? p + 2 : p;
  const isLong = isHexDigit(load<u8>(p + 2)) && isHexDigit(load<u8>(p + 3));
  return isLong && isHexDigit(load<u8>(p + 4)) && isHexDigit(load<u8>(p + 5)) ? p + LONG_ESCAPE : p;
}

function isHexDigit(c: u8): bool {
  return isDigit(c) || ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x66);
}

const BLOCK: usize = 64;

// V8 builds a vector constant anew at each use, in four instructions; one that was loaded stays in a register.
const QUOTE = memory.data<u8>([0x22]);
const BACKSLASH = memory.data<u8>([0x5c]);
const SPACE = memory.data<u8>([0x20]);
const LETTER_N = memory.data<u8>([0x6e]);
const LETTER_T = memory.data<u8>([0x74]);
/** All bits but those of the first byte. */
const ALL_BUT_FIRST = memory.data<u8>([0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]);

/**
 * Past plain text and the common escapes \n \" \t, without a branch that depends on where they are:
 * text has one every few dozen bytes, and a mispredicted branch costs as much as a block. So each byte
 * is judged beside the one before it, by a second load one byte earlier:
 *
 *     before   :  x  \  n  y  "
 *     byte     :  \  n  y  "  …     stops at a quote that follows no backslash, at a control character
 *     stops    :  -  -  -  ^        or a byte beyond ASCII, and at whatever else follows a backslash,
 *                                   a second backslash included
 *
 * Answers where the text stops: at the byte itself, or at the backslash before it. The byte before `p`
 * belongs to what was read before and escapes nothing here.
 */
function pastText(p: usize, end: usize): usize {
  const start = p;
  const quote = v128.load_splat<u8>(QUOTE);
  const backslash = v128.load_splat<u8>(BACKSLASH);
  const space = v128.load_splat<u8>(SPACE);
  const n = v128.load_splat<u8>(LETTER_N);
  const t = v128.load_splat<u8>(LETTER_T);
  let escaped = v128.and(i8x16.eq(v128.load(p - 1), backslash), v128.load(ALL_BUT_FIRST));
  while (p + BLOCK <= end) {
    const stop0 = stops(v128.load(p), escaped, quote, space, n, t);
    const stop1 = stops(v128.load(p, 16), i8x16.eq(v128.load(p, 15), backslash), quote, space, n, t);
    const stop2 = stops(v128.load(p, 32), i8x16.eq(v128.load(p, 31), backslash), quote, space, n, t);
    const stop3 = stops(v128.load(p, 48), i8x16.eq(v128.load(p, 47), backslash), quote, space, n, t);
    if (v128.any_true(v128.or(v128.or(stop0, stop1), v128.or(stop2, stop3)))) {
      const low = <u64>i8x16.bitmask(stop0) | ((<u64>i8x16.bitmask(stop1)) << 16);
      const high = <u64>i8x16.bitmask(stop2) | ((<u64>i8x16.bitmask(stop3)) << 16);
      const at = p + <usize>ctz(low | (high << 32));
      return at != start && load<u8>(at - 1) == 0x5c ? at - 1 : at;
    }
    p += BLOCK;
    escaped = i8x16.eq(v128.load(p - 1), backslash);
  }
  // A backslash that ends the last block begins an escape of the rest.
  if (p != start && load<u8>(p - 1) == 0x5c) return p - 1;
  return plainText(p, end);
}

/**
 * All bits of each byte at which text stops. Where the byte before is a backslash (`escaped`), anything but
 * a quote, n or t; elsewhere a quote; anywhere a control character or, being negative, a byte beyond ASCII.
 */
function stops(bytes: v128, escaped: v128, quote: v128, space: v128, n: v128, t: v128): v128 {
  const letter = v128.or(i8x16.eq(bytes, n), i8x16.eq(bytes, t));
  const odd = v128.andnot(v128.xor(escaped, i8x16.eq(bytes, quote)), letter);
  return v128.or(odd, i8x16.lt_s(bytes, space));
}

/** The first byte from `p` on that is a quote, a backslash, a control character or beyond ASCII. */
function plainText(p: usize, end: usize): usize {
  while (p + 16 <= end) {
    const bytes = v128.load(p);
    // Signed: a byte beyond ASCII is below 0, so one comparison finds it and the control characters.
    const low = i8x16.lt_s(bytes, i8x16.splat(0x20));
    const quote = i8x16.eq(bytes, i8x16.splat(0x22));
    const odd = i8x16.bitmask(v128.or(low, v128.or(quote, i8x16.eq(bytes, i8x16.splat(0x5c)))));
    if (odd != 0) return p + <usize>ctz(odd);
    p += 16;
  }
  while (p < end) {
    const c = load<u8>(p);
    if (c == 0x22 || c == 0x5c || c < 0x20 || c >= 0x80) return p;
    ++p;
  }
  return p;
}

/** Whether a backslash and `c` make an escape of two bytes: " \ / b f n r t. */
function isShortEscape(c: u8): bool {
  if (c == 0x22 || c == 0x2f) return true;
  const n = <u32>c - 0x5c;
  return n < 32 && ((ESCAPES >> n) & 1) != 0;
}

/** A bit for each of \ b f n r t, counted from the backslash. */
const ESCAPES: u32 = 1 | (1 << 6) | (1 << 10) | (1 << 18) | (1 << 22) | (1 << 24);

function captured(scan: Scan, p: usize, end: usize): usize {
  const stop = plainText(p, end);
  if (stop != p) {
    endSurrogate(scan);
    for (; p < stop; ++p) put(scan, load<u8>(p));
  }
  return p < end ? special(scan, p, load<u8>(p)) : end;
}

function special(scan: Scan, p: usize, c: u8): usize {
  if (c == 0x22) return endString(scan, p);
  if (c == 0x5c) {
    scan.state = ESCAPE;
    return p + 1;
  }
  return c < 0x20 ? fail(scan, p) : beginTail(scan, p, c);
}

function endString(scan: Scan, p: usize): usize {
  endSurrogate(scan);
  if (scan.isName != 0) endName(scan);
  else endValue(scan, position(scan, p + 1));
  return p + 1;
}

/** The byte after a backslash. */
function escaped(scan: Scan, p: usize): usize {
  const c = load<u8>(p);
  scan.state = STRING;
  if (c == 0x75) {
    scan.state = HEX;
    scan.hex = 0;
    scan.hexLeft = 4;
  } else if (c == 0x22 || c == 0x5c || c == 0x2f) keep(scan, c);
  else if (c == 0x62) keep(scan, 0x08);
  else if (c == 0x66) keep(scan, 0x0c);
  else if (c == 0x6e) keep(scan, 0x0a);
  else if (c == 0x72) keep(scan, 0x0d);
  else if (c == 0x74) keep(scan, 0x09);
  else return fail(scan, p);
  return p + 1;
}

function hexDigit(scan: Scan, p: usize): usize {
  const c = load<u8>(p);
  const lower = c | 0x20;
  let digit: u32;
  if (c >= 0x30 && c <= 0x39) digit = c - 0x30;
  else if (lower >= 0x61 && lower <= 0x66) digit = lower - 0x57;
  else return fail(scan, p);
  scan.hex = <u16>(((<u32>scan.hex) << 4) | digit);
  if (--scan.hexLeft == 0) {
    scan.state = STRING;
    if (scan.capture != NOWHERE) keepUnit(scan, scan.hex);
  }
  return p + 1;
}

/** A character beyond ASCII begins, as RFC 3629 §4 allows it: shortest form, no surrogates, ≤ U+10FFFF. */
function beginTail(scan: Scan, p: usize, c: u8): usize {
  if (c < 0xc2 || c > 0xf4) return fail(scan, p);
  scan.tailLeft = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
  scan.tailLowest = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  scan.tailHighest = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  scan.state = UTF8_TAIL;
  keep(scan, c);
  return p + 1;
}

function tail(scan: Scan, p: usize, end: usize): usize {
  const c = load<u8>(p);
  if (c < scan.tailLowest || c > scan.tailHighest) return fail(scan, p);
  scan.tailLowest = 0x80;
  scan.tailHighest = 0xbf;
  keep(scan, c);
  if (--scan.tailLeft != 0) return p + 1;
  scan.state = STRING;
  return scan.capture == NOWHERE ? wideText(p + 1, end) : p + 1;
}

/** Bytes of the longest character. */
const WIDE_MAX: usize = 4;

/** Past whole characters beyond ASCII, four bytes looked at at a time: scripts other than Latin. */
function wideText(p: usize, end: usize): usize {
  while (p + WIDE_MAX <= end) {
    const w = load<u32>(p);
    // E0 needs A0 … BF next, ED needs 80 … 9F: bit 5 of the second byte with the low bits of the first.
    const edge = w & 0x200f;
    if ((w & 0x00c0c0f0) == 0x008080e0 && edge != 0 && edge != 0x200d) p += 3;
    else if ((w & 0xc0e0) == 0x80c0 && (w & 0x1e) != 0) p += 2;
    else if ((w & 0xc0c0c0f8) == 0x808080f0 && isBeyondPlaneZero(w)) p += 4;
    else break;
  }
  return p;
}

/** F0 needs 90 … BF next, F4 needs 80 … 8F, and F5 … F7 begin nothing. */
function isBeyondPlaneZero(w: u32): bool {
  const first = w & 7;
  const second = w & 0x3000;
  return first == 0 ? second != 0 : first < 4 || (first == 4 && second == 0);
}

// ── Text that is kept ──

function keep(scan: Scan, c: u8): void {
  if (scan.capture == NOWHERE) return;
  endSurrogate(scan);
  put(scan, c);
}

function put(scan: Scan, c: u8): void {
  if (scan.capture == TO_KEY) {
    if (scan.keyLength < JSON_KEY_BYTES_MAX) store<u8>(changetype<usize>(scan) + KEY + scan.keyLength, c);
    ++scan.keyLength;
  } else if (scan.modelLength < MODEL_BYTES_MAX) {
    store<u8>(modelText(scan) + scan.modelLength++, c);
  } else {
    scan.model = MODEL_TOO_LONG;
  }
}

/** One UTF-16 unit from \uXXXX. Halves of a pair join; a half alone is U+FFFD, as UTF-8 has no other way. */
function keepUnit(scan: Scan, unit: u32): void {
  const high = <u32>scan.highSurrogate;
  if (high != 0 && unit >= 0xdc00 && unit <= 0xdfff) {
    scan.highSurrogate = 0;
    putCharacter(scan, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
    return;
  }
  endSurrogate(scan);
  if (unit >= 0xd800 && unit <= 0xdbff) scan.highSurrogate = <u16>unit;
  else putCharacter(scan, unit >= 0xdc00 && unit <= 0xdfff ? 0xfffd : unit);
}

function endSurrogate(scan: Scan): void {
  if (scan.highSurrogate == 0) return;
  scan.highSurrogate = 0;
  putCharacter(scan, 0xfffd);
}

function putCharacter(scan: Scan, c: u32): void {
  if (c < 0x80) {
    put(scan, <u8>c);
  } else if (c < 0x800) {
    put(scan, <u8>(0xc0 | (c >> 6)));
    put(scan, <u8>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    put(scan, <u8>(0xe0 | (c >> 12)));
    put(scan, <u8>(0x80 | ((c >> 6) & 0x3f)));
    put(scan, <u8>(0x80 | (c & 0x3f)));
  } else {
    put(scan, <u8>(0xf0 | (c >> 18)));
    put(scan, <u8>(0x80 | ((c >> 12) & 0x3f)));
    put(scan, <u8>(0x80 | ((c >> 6) & 0x3f)));
    put(scan, <u8>(0x80 | (c & 0x3f)));
  }
}

// ── Literals and numbers ──

const trueText = utf8("true");
const falseText = utf8("false");
const nullText = utf8("null");

function literal(scan: Scan, p: usize): usize {
  const first = scan.literal;
  const text = first == 0x74 ? trueText : first == 0x66 ? falseText : nullText;
  if (load<u8>(p) != load<u8>(changetype<usize>(text) + scan.literalSeen)) return fail(scan, p);
  if (<i32>++scan.literalSeen < text.byteLength) return p + 1;
  if (scan.depth == 1 && scan.member == STREAM) scan.stream = first == 0x74 ? 1 : 0;
  endValue(scan, position(scan, p + 1));
  return p + 1;
}

function isDigit(c: u8): bool {
  return c >= 0x30 && c <= 0x39;
}

function beginNumber(scan: Scan, p: usize, c: u8): usize {
  const member = scan.member;
  const wanted = scan.depth == 1 && (member == MAX_TOKENS || member == MAX_COMPLETION_TOKENS);
  scan.capture = wanted ? TO_LIMIT : NOWHERE;
  if (wanted) {
    scan.digits = 0;
    scan.digitCount = 0;
    scan.places = 0;
    scan.exponent = 0;
    scan.exponentNegative = 0;
    scan.negative = c == 0x2d ? 1 : 0;
  }
  scan.state = c == 0x2d ? MINUS : c == 0x30 ? ZERO : INTEGER;
  if (wanted && c != 0x2d) addDigit(scan, c);
  return p + 1;
}

function addDigit(scan: Scan, c: u8): void {
  if (scan.digits == 0 && c == 0x30) return;
  if (scan.digitCount > DIGITS_MAX) return;
  scan.digits = scan.digits * 10 + (c - 0x30);
  ++scan.digitCount;
}

/** Digits of the current part of the number, then whatever follows them. */
function number(scan: Scan, p: usize, end: usize): usize {
  let c = load<u8>(p);
  const state = scan.state;
  if (state == INTEGER || state == FRACTION || state == EXPONENT_DIGITS) {
    while (isDigit(c)) {
      if (scan.capture == TO_LIMIT) countDigit(scan, c);
      if (++p == end) return p;
      c = load<u8>(p);
    }
  }
  const next = nextOfNumber(state, c);
  if (next == FAILED) return fail(scan, p);
  if (next == AFTER) {
    if (scan.capture == TO_LIMIT) setLimit(scan);
    endValue(scan, position(scan, p));
    return c == 0x2c && scan.depth > 1 && !isInObject(scan) ? pastIntegers(scan, p, end) : p;
  }
  scan.state = next;
  if (scan.capture == TO_LIMIT) {
    if (isDigit(c)) countDigit(scan, c);
    else if (next == EXPONENT_SIGN) scan.exponentNegative = c == 0x2d ? 1 : 0;
  }
  return p + 1;
}

/**
 * Past the integers that follow the comma at `p` in an array: prompts of token ids are hundreds of
 * thousands of them. Leaves the machine at the last comma, or in the last integer.
 */
function pastIntegers(scan: Scan, p: usize, end: usize): usize {
  while (p + 2 < end) {
    let next = p + 1;
    if (load<u8>(next) == 0x20) ++next;
    const first = load<u8>(next);
    if (first < 0x31 || first > 0x39) return p;
    do ++next;
    while (next < end && isDigit(load<u8>(next)));
    if (next == end || load<u8>(next) != 0x2c) {
      scan.state = INTEGER;
      scan.capture = NOWHERE;
      return next;
    }
    p = next;
  }
  return p;
}

/** State after a byte that is not one more digit of the same part. AFTER: the number ended before it. */
function nextOfNumber(state: u8, c: u8): u8 {
  if (state == MINUS) return c == 0x30 ? ZERO : isDigit(c) ? INTEGER : FAILED;
  if (state == POINT) return isDigit(c) ? FRACTION : FAILED;
  if (state == EXPONENT && (c == 0x2b || c == 0x2d)) return EXPONENT_SIGN;
  if (state == EXPONENT || state == EXPONENT_SIGN) return isDigit(c) ? EXPONENT_DIGITS : FAILED;
  if (state != EXPONENT_DIGITS && (c | 0x20) == 0x65) return EXPONENT;
  if ((state == ZERO || state == INTEGER) && c == 0x2e) return POINT;
  return AFTER;
}

function countDigit(scan: Scan, c: u8): void {
  if (scan.state == EXPONENT_DIGITS) {
    scan.exponent = min<i32>(scan.exponent * 10 + (c - 0x30), EXPONENT_MAX);
    return;
  }
  if (scan.state == FRACTION) ++scan.places;
  addDigit(scan, c);
}

/** A token limit's number has ended: digits × 10^(exponent − places), if that is a limit. */
function setLimit(scan: Scan): void {
  let power = (scan.exponentNegative != 0 ? -scan.exponent : scan.exponent) - scan.places;
  let whole = scan.digits;
  let limit = NO_LIMIT;
  if (whole == 0) limit = 0;
  else if (scan.negative == 0 && scan.digitCount <= DIGITS_MAX) {
    for (; power > 0 && whole <= <u64>i32.MAX_VALUE; --power) whole *= 10;
    for (; power < 0 && whole % 10 == 0; ++power) whole /= 10;
    if (power == 0 && whole <= <u64>i32.MAX_VALUE) limit = <i32>whole;
  }
  if (scan.member == MAX_TOKENS) scan.maxTokens = limit;
  else scan.maxCompletionTokens = limit;
}
