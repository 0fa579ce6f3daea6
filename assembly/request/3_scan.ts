// Reads a request body, every byte once: no tree, and no copy but of what is wanted.
//
// A JSON machine (RFC 8259, as JSON.parse accepts it, over UTF-8) that can stop after any byte and go on with
// the next piece. Every value that is wanted has a place (prompt/places.ts); of the others nothing is kept.
// Of equal names the last counts, as with JSON.parse. Inside strings 64 bytes are looked at at a time.

import { INSPECTION_BYTES, JSON_DEPTH_MAX, JSON_KEY_BYTES_MAX, MODEL_BYTES_MAX } from "../../src/wire/limits";
import { utf8 } from "../abi/text";
import * as prompt from "./prompt";
import * as copy from "./prompt/copy";
import * as json from "./prompt/json";
import * as places from "./prompt/places";
import * as records from "./prompt/records";
import * as text from "./prompt/text";

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

// What `stream_options` is
export const OPTIONS_NONE: u8 = 0;
/** An object without members. */
export const OPTIONS_EMPTY: u8 = 1;
/** An object whose members say nothing of usage. */
export const OPTIONS_SILENT: u8 = 2;
/** It says whether usage is wanted, or is no object. */
export const OPTIONS_TOLD: u8 = 3;

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

// What becomes of the characters of a string
const NOWHERE: u8 = 0;
const TO_KEY: u8 = 1;
const TO_MODEL: u8 = 2;
const TO_SALT: u8 = 3;
const TO_KIND: u8 = 4;
/** Decoded. */
const TO_TEXT: u8 = 5;
/** Written again as JSON. */
const TO_JSON: u8 = 6;

let state: u8 = VALUE;
/** Place of the next value, and of the one that is being read. */
let place: u8 = 0;
let isInName: bool = false;
let capture: u8 = NOWHERE;
export let top: u8 = 0;
export let model: u8 = 0;
export let modelLength: u32 = 0;
/** Where the text of `model` stands in the body, as it is written there, without its quotes. */
export let modelAt: u32 = 0;
/** The byte after it; 0 = it has not ended. */
export let modelEnd: u32 = 0;
export let stream: bool = false;
/** Where the first member of the top-level object may stand: behind its bracket. */
export let topAt: u32 = 0;
export let options: u8 = 0;
/** The same of the object that is `stream_options`. */
export let optionsAt: u32 = 0;
/** The output limit of the request. */
export let maxOutput: i32 = -1;
let oldLimit: i32 = NO_LIMIT;
let depth: u32 = 0;
/** Bytes fed. */
let offset: u32 = 0;
/** Where the body's first byte would lie if all of it lay before the piece at hand. */
let bodyAt: usize = 0;
let keyLength: u32 = 0;

/** In a literal: its first letter and how many letters have been seen. */
let literalFirst: u8 = 0;
let literalSeen: u8 = 0;
/** In \u: digits still to come, and their value. */
let hexLeft: u8 = 0;
let hex: u16 = 0;
/** A \u high surrogate whose low half may follow; 0 = none. */
let highSurrogate: u16 = 0;
/** In a character beyond ASCII: bytes still to come, and the bounds of the next one. */
let tailLeft: u8 = 0;
let tailLowest: u8 = 0;
let tailHighest: u8 = 0;

/** Of the number that is being read the value is wanted. */
let isCounting: bool = false;
let negative: bool = false;
let exponentNegative: bool = false;
/** Significant digits so far, at most DIGITS_MAX + 1. */
let digitCount: u8 = 0;
let digits: u64 = 0;
let exponent: i32 = 0;
/** Places after the decimal point. */
let fractionPlaces: i32 = 0;

/** From here on the current piece is kept as it stands; 0: it is not. */
let rawFrom: usize = 0;
/** … but for blanks between its values. */
let isCompact: bool = false;
/** Depth of the value that is kept so. */
let rawDepth: u32 = 0;

const keyText = memory.data(32, 8);
const modelBytes = memory.data(256, 8);
/** Of each open object or array its place, and a bit that says that it is an object. */
const open = memory.data(512, 8);
const OBJECT: u8 = 0x80;
if (JSON_KEY_BYTES_MAX != 32 || MODEL_BYTES_MAX != 256 || JSON_DEPTH_MAX != 512) ERROR("a limit has its bytes here");

/** A new body, of a request to `api`; prompts are left out unless `extract`. */
export function begin(api: u32, extract: bool): void {
  places.begin(api, extract);
  records.begin(api);
  state = VALUE;
  place = places.TOP;
  capture = NOWHERE;
  top = TOP_NONE;
  model = MODEL_NONE;
  modelLength = 0;
  modelAt = 0;
  modelEnd = 0;
  stream = false;
  topAt = 0;
  options = OPTIONS_NONE;
  optionsAt = 0;
  maxOutput = NO_LIMIT;
  oldLimit = NO_LIMIT;
  depth = 0;
  offset = 0;
  rawFrom = 0;
  highSurrogate = 0;
  isCounting = false;
}

/** Text of `model` in UTF-8, modelLength bytes; valid when model is MODEL_TEXT. */
export function modelText(): usize {
  return modelBytes;
}

/** Whether the text that was fed is one whole JSON value. */
export function isComplete(): bool {
  return depth == 0 && top != TOP_NONE && (state == AFTER || isWholeNumber());
}

function isWholeNumber(): bool {
  return state == ZERO || state == INTEGER || state == FRACTION || state == EXPONENT_DIGITS;
}

/** After the last piece. What is still open is taken as far as it has come. */
export function end(): void {
  if (maxOutput == NO_LIMIT) maxOutput = oldLimit;
  if (model == MODEL_TOO_LONG) prompt.truncate();
  if (depth != 0 && depth <= JSON_DEPTH_MAX) endOpen();
  prompt.finish();
}

function endOpen(): void {
  const isText = state == STRING || state == ESCAPE || state == HEX || state == UTF8_TAIL;
  if (isText && !isInName) records.ended(place, true);
  for (let i = depth; i != 0; --i) {
    const at = load<u8>(open + i - 1);
    if (places.isJson(at & ~OBJECT) && (at & OBJECT) != 0) json.close();
    records.closed(at & ~OBJECT, (at & OBJECT) != 0);
  }
}

/** Reads the next `length` bytes at `p`. Answers MORE, or why the text is refused; then for good. */
export function feed(p: usize, length: u32): i32 {
  if (length > INSPECTION_BYTES - offset) {
    prompt.truncate();
    length = INSPECTION_BYTES - offset;
  }
  bodyAt = p - offset;
  offset += length;
  const end = p + length;
  if (rawFrom != 0) rawFrom = p;
  while (p < end) {
    if (state == STRING) p = inString(p, end);
    else if (state <= AFTER) p = structure(p, end);
    else if (state == UTF8_TAIL) p = tail(p, end);
    else if (state == ESCAPE) p = escaped(p);
    else if (state == HEX) p = hexDigit(p);
    else if (state == LITERAL) p = literal(p);
    else if (state < FAILED) p = number(p, end);
    else break;
  }
  if (rawFrom != 0) keepRaw(end);
  if (state != FAILED) return MORE;
  return depth > JSON_DEPTH_MAX ? TOO_DEEP : NOT_JSON;
}

function fail(p: usize): usize {
  state = FAILED;
  return p + 1;
}

/** What of the current piece is kept as it stands, up to `p`. */
function keepRaw(p: usize): void {
  text.putBytes(rawFrom, <u32>(p - rawFrom));
  rawFrom = p;
}

// ── Structure: brackets, commas, colons, and the first byte of every value ──

function structure(p: usize, end: usize): usize {
  const c = load<u8>(p);
  if (c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09) return blank(p);
  if (state == VALUE) return value(p, end, c);
  if (state == AFTER) return after(p, c);
  if (state == COLON) {
    if (c != 0x3a) return fail(p);
    if (place == places.IN_JSON) text.put(c);
    state = VALUE;
    return p + 1;
  }
  if (state == FIRST_ELEMENT) {
    if (c == 0x5d) return close(p, false);
    return value(p, end, c);
  }
  if (c == 0x22) return beginName(p, end);
  if (c == 0x7d && state == FIRST_MEMBER) return close(p, true);
  return fail(p);
}

function blank(p: usize): usize {
  if (rawFrom != 0 && isCompact) {
    keepRaw(p);
    rawFrom = p + 1;
  }
  return p + 1;
}

/** The first byte of a value. */
function value(p: usize, end: usize, c: u8): usize {
  if (depth == 0) {
    top = c == 0x7b ? TOP_OBJECT : TOP_OTHER;
    topAt = behind(p);
  }
  if (place > places.IN_JSON) beginWanted(p, c);
  if (c == 0x22) return beginString(p + 1, end);
  if (c == 0x7b || c == 0x5b) return openBracket(p, c == 0x7b);
  if (c == 0x74 || c == 0x66 || c == 0x6e) {
    state = LITERAL;
    literalFirst = c;
    literalSeen = 1;
    return p + 1;
  }
  if (c == 0x2d || (c >= 0x30 && c <= 0x39)) return beginNumber(p, c);
  return fail(p);
}

/** A wanted value begins with `c`: what an equal name said before no longer counts. */
function beginWanted(p: usize, c: u8): void {
  if (place >> 4 != places.MISC) {
    records.begun(place, c);
    if (place >> 4 == places.RAW) beginRaw(p, place != places.TOOL_INPUT);
  } else if (place == places.MODEL) {
    model = c == 0x22 ? MODEL_TEXT : MODEL_NOT_TEXT;
    modelLength = 0;
    modelAt = behind(p);
    modelEnd = 0;
  } else if (place == places.STREAM) {
    stream = false;
  } else if (place == places.LIMIT || place == places.SAMPLING) {
    maxOutput = NO_LIMIT;
  } else if (place == places.OLD_LIMIT) {
    oldLimit = NO_LIMIT;
  } else if (place == places.SALT) {
    prompt.clearSalt();
  } else if (place == places.STREAM_OPTIONS) {
    options = c == 0x7b ? OPTIONS_SILENT : OPTIONS_TOLD;
    optionsAt = behind(p);
  } else if (place == places.INCLUDE_USAGE) {
    options = OPTIONS_TOLD;
  }
}

/** The byte of the body after the one at `p`. */
function behind(p: usize): u32 {
  return <u32>(p + 1 - bodyAt);
}

function beginRaw(p: usize, isToBeCompact: bool): void {
  rawFrom = p;
  rawDepth = depth;
  isCompact = isToBeCompact;
}

function openBracket(p: usize, isObject: bool): usize {
  if (depth++ >= JSON_DEPTH_MAX) return fail(p);
  store<u8>(open + depth - 1, isObject ? place | OBJECT : place);
  state = isObject ? FIRST_MEMBER : FIRST_ELEMENT;
  if (place != places.IGNORED) openWanted(isObject);
  if (!isObject) place = places.elementOf(place);
  return p + 1;
}

function openWanted(isObject: bool): void {
  if (places.isJson(place)) {
    text.put(isObject ? 0x7b : 0x5b);
    if (isObject) json.open();
  }
  records.opened(place, isObject);
}

function close(p: usize, isObject: bool): usize {
  if (depth == 0) return fail(p);
  const at = load<u8>(open + depth - 1);
  if (((at & OBJECT) != 0) != isObject) return fail(p);
  --depth;
  place = at & ~OBJECT;
  if (place != places.IGNORED) closeWanted(p, isObject);
  endValue();
  return p + 1;
}

function closeWanted(p: usize, isObject: bool): void {
  if (place == places.STREAM_OPTIONS && state == FIRST_MEMBER) options = OPTIONS_EMPTY;
  if (places.isJson(place)) {
    if (isObject) json.close();
    text.put(isObject ? 0x7d : 0x5d);
  }
  endRaw(p + 1);
  records.closed(place, isObject);
}

/** The value that is kept as it stands ends before `p`, if it is the one that ends there. */
function endRaw(p: usize): void {
  if (rawFrom == 0 || depth != rawDepth) return;
  keepRaw(p);
  rawFrom = 0;
}

/** A value has ended: in an array another may follow in the same place. */
function endValue(): void {
  state = AFTER;
  if (depth == 0) return;
  const around = load<u8>(open + depth - 1);
  place = (around & OBJECT) != 0 ? places.IGNORED : places.elementOf(around);
}

function after(p: usize, c: u8): usize {
  if (c == 0x7d) return close(p, true);
  if (c == 0x5d) return close(p, false);
  if (c != 0x2c || depth == 0) return fail(p);
  const around = load<u8>(open + depth - 1);
  if (places.isJson(around & ~OBJECT)) text.put(c);
  state = (around & OBJECT) != 0 ? MEMBER : VALUE;
  return p + 1;
}

// ── Names of members ──

/** Names, and the strings in descriptions of tools, are short: most are found whole in one vector. */
const STEP: usize = 16;

function beginName(p: usize, end: usize): usize {
  const object = load<u8>(open + depth - 1) & ~OBJECT;
  isInName = true;
  state = STRING;
  highSurrogate = 0;
  ++p;
  if (object == places.IGNORED) {
    capture = NOWHERE;
  } else if (places.isJson(object)) {
    capture = TO_JSON;
    json.member();
    text.put(0x22);
    if (p + STEP <= end) return shortName(p);
  } else {
    capture = TO_KEY;
    keyLength = 0;
    if (p + STEP <= end) return wholeName(p, object);
  }
  return p;
}

/** A name that ends within one vector and has no escapes is compared where it stands. */
function wholeName(p: usize, object: u8): usize {
  const length = copy.lengthOfShort(p);
  if (length == STEP) return p;
  state = COLON;
  place = places.memberOf(object, p, <u32>length);
  return p + length + 1;
}

/** The same for one that is written as JSON. */
function shortName(p: usize): usize {
  const length = copy.shortJson(p);
  if (length == STEP) return p;
  text.put(0x22);
  json.named();
  state = COLON;
  place = places.IN_JSON;
  return p + length + 1;
}

function endName(): void {
  state = COLON;
  if (capture == TO_JSON) {
    text.put(0x22);
    json.named();
    place = places.IN_JSON;
  } else if (capture == TO_KEY) {
    const object = load<u8>(open + depth - 1) & ~OBJECT;
    place = keyLength <= JSON_KEY_BYTES_MAX ? places.memberOf(object, keyText, keyLength) : places.IGNORED;
  } else {
    place = places.IGNORED;
  }
}

// ── Strings ──

function beginString(p: usize, end: usize): usize {
  state = STRING;
  isInName = false;
  highSurrogate = 0;
  capture = place == places.IGNORED ? NOWHERE : captureOf(place);
  if (capture != TO_JSON) return p;
  text.put(0x22);
  if (p + STEP > end) return p;
  const length = copy.shortJson(p);
  return length == STEP ? p : endString(p + length);
}

function captureOf(which: u8): u8 {
  const mode = which >> 4;
  if (mode == places.TEXT || mode == places.PROSE) return TO_TEXT;
  if (mode == places.AS_JSON || mode == places.WHOLE || which == places.IN_JSON) return TO_JSON;
  if (mode == places.KIND) return TO_KIND;
  if (which == places.MODEL) return TO_MODEL;
  return which == places.SALT ? TO_SALT : NOWHERE;
}

function inString(p: usize, end: usize): usize {
  if (capture >= TO_TEXT) return copied(p, end);
  if (capture != NOWHERE) return captured(p, end);
  while (p < end) {
    p = pastText(p, end);
    if (p >= end) return end;
    const past = pastOdd(p, end);
    if (past == p) return special(p, load<u8>(p));
    p = past;
  }
  return p;
}

/** A string whose characters go to where text goes. */
function copied(p: usize, end: usize): usize {
  const isJson = capture == TO_JSON;
  if (highSurrogate != 0) {
    if (load<u8>(p) == 0x5c) return special(p, 0x5c);
    endSurrogate();
  }
  while (p < end) {
    p = isJson ? copy.jsonAscii(p, end) : copy.ascii(p, end);
    if (p >= end) return end;
    const c = load<u8>(p);
    let past = p;
    if (c >= 0x80) {
      past = wideText(p, end);
      copy.wide(p, past, isJson);
    } else if (c == 0x5c) {
      past = copy.longEscapes(p, end, isJson);
    }
    if (past == p) return special(p, c);
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

function captured(p: usize, end: usize): usize {
  const stop = plainText(p, end);
  if (stop != p) {
    endSurrogate();
    for (; p < stop; ++p) put(load<u8>(p));
  }
  return p < end ? special(p, load<u8>(p)) : end;
}

function special(p: usize, c: u8): usize {
  if (c == 0x22) return endString(p);
  if (c == 0x5c) {
    state = ESCAPE;
    return p + 1;
  }
  return c < 0x20 ? fail(p) : beginTail(p, c);
}

function endString(p: usize): usize {
  endSurrogate();
  if (isInName) {
    endName();
    return p + 1;
  }
  if (capture == TO_JSON) text.put(0x22);
  else if (capture == TO_MODEL) modelEnd = <u32>(p - bodyAt);
  if (place != places.IGNORED) {
    endRaw(p + 1);
    records.ended(place, true);
  }
  endValue();
  return p + 1;
}

/** The byte after a backslash. */
function escaped(p: usize): usize {
  const c = load<u8>(p);
  state = STRING;
  if (c == 0x75) {
    state = HEX;
    hex = 0;
    hexLeft = 4;
  } else if (c == 0x22 || c == 0x5c || c == 0x2f) keep(c);
  else if (c == 0x62) keep(0x08);
  else if (c == 0x66) keep(0x0c);
  else if (c == 0x6e) keep(0x0a);
  else if (c == 0x72) keep(0x0d);
  else if (c == 0x74) keep(0x09);
  else return fail(p);
  return p + 1;
}

function hexDigit(p: usize): usize {
  const c = load<u8>(p);
  const lower = c | 0x20;
  let digit: u32;
  if (c >= 0x30 && c <= 0x39) digit = c - 0x30;
  else if (lower >= 0x61 && lower <= 0x66) digit = lower - 0x57;
  else return fail(p);
  hex = <u16>(((<u32>hex) << 4) | digit);
  if (--hexLeft == 0) {
    state = STRING;
    if (capture != NOWHERE) keepUnit(hex);
  }
  return p + 1;
}

/** A character beyond ASCII begins, as RFC 3629 §4 allows it: shortest form, no surrogates, ≤ U+10FFFF. */
function beginTail(p: usize, c: u8): usize {
  if (c < 0xc2 || c > 0xf4) return fail(p);
  tailLeft = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
  tailLowest = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  tailHighest = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  state = UTF8_TAIL;
  keep(c);
  return p + 1;
}

function tail(p: usize, end: usize): usize {
  const c = load<u8>(p);
  if (c < tailLowest || c > tailHighest) return fail(p);
  tailLowest = 0x80;
  tailHighest = 0xbf;
  keep(c);
  if (--tailLeft != 0) return p + 1;
  state = STRING;
  if (capture == TO_JSON) text.escapeSeparator();
  return capture == NOWHERE ? wideText(p + 1, end) : p + 1;
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

function keep(c: u8): void {
  if (capture == NOWHERE) return;
  endSurrogate();
  if (capture == TO_JSON && c < 0x80) text.putJsonCharacter(c);
  else put(c);
}

/** A character that was escaped, or a byte of one beyond ASCII. */
function put(c: u8): void {
  if (capture >= TO_TEXT) {
    text.put(c);
  } else if (capture == TO_KEY) {
    if (keyLength < JSON_KEY_BYTES_MAX) store<u8>(keyText + keyLength, c);
    ++keyLength;
  } else if (capture == TO_KIND) {
    records.putKind(c);
  } else if (capture == TO_SALT) {
    prompt.putSalt(c);
  } else if (modelLength < MODEL_BYTES_MAX) {
    store<u8>(modelBytes + modelLength++, c);
  } else {
    model = MODEL_TOO_LONG;
  }
}

/** One UTF-16 unit from \uXXXX. Halves of a pair join; a half alone is U+FFFD, as UTF-8 has no other way. */
function keepUnit(unit: u32): void {
  const high = <u32>highSurrogate;
  if (high != 0 && unit >= 0xdc00 && unit <= 0xdfff) {
    highSurrogate = 0;
    putCharacter(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
    return;
  }
  endSurrogate();
  if (unit >= 0xd800 && unit <= 0xdbff) highSurrogate = <u16>unit;
  else putCharacter(unit >= 0xdc00 && unit <= 0xdfff ? 0xfffd : unit);
}

function endSurrogate(): void {
  if (highSurrogate == 0) return;
  highSurrogate = 0;
  putCharacter(0xfffd);
}

function putCharacter(c: u32): void {
  if (capture == TO_JSON) {
    text.putJsonCharacter(c);
  } else if (capture == TO_TEXT) {
    text.putCharacter(c);
  } else if (c < 0x80) {
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

// ── Literals and numbers ──

const trueText = utf8("true");
const falseText = utf8("false");
const nullText = utf8("null");

function literal(p: usize): usize {
  const first = literalFirst;
  const name = first == 0x74 ? trueText : first == 0x66 ? falseText : nullText;
  if (load<u8>(p) != load<u8>(changetype<usize>(name) + literalSeen)) return fail(p);
  if (<i32>++literalSeen < name.byteLength) return p + 1;
  if (place == places.STREAM) stream = first == 0x74;
  if (place != places.IGNORED) {
    if (captureOf(place) == TO_JSON) text.putText(name);
    endRaw(p + 1);
    records.ended(place, false);
  }
  endValue();
  return p + 1;
}

function isDigit(c: u8): bool {
  return c >= 0x30 && c <= 0x39;
}

function beginNumber(p: usize, c: u8): usize {
  isCounting = false;
  if (place != places.IGNORED) {
    isCounting = isToken(place) || place == places.LIMIT || place == places.OLD_LIMIT;
    if (!isCounting && captureOf(place) == TO_JSON) beginRaw(p, false);
  }
  if (isCounting) {
    digits = 0;
    digitCount = 0;
    fractionPlaces = 0;
    exponent = 0;
    exponentNegative = false;
    negative = c == 0x2d;
  }
  state = c == 0x2d ? MINUS : c == 0x30 ? ZERO : INTEGER;
  if (isCounting && c != 0x2d) addDigit(c);
  return p + 1;
}

function isToken(which: u8): bool {
  return which == places.TOKEN || which == places.PROMPT_ELEMENT || which == places.EMBEDDED_ELEMENT;
}

function addDigit(c: u8): void {
  if (digits == 0 && c == 0x30) return;
  if (digitCount > DIGITS_MAX) return;
  digits = digits * 10 + (c - 0x30);
  ++digitCount;
}

/** Digits of the current part of the number, then whatever follows them. */
function number(p: usize, end: usize): usize {
  let c = load<u8>(p);
  if (state == INTEGER || state == FRACTION || state == EXPONENT_DIGITS) {
    while (isDigit(c)) {
      if (isCounting) countDigit(c);
      if (++p == end) return p;
      c = load<u8>(p);
    }
  }
  const next = nextOfNumber(state, c);
  if (next == FAILED) return fail(p);
  if (next == AFTER) return endNumber(p, end, c);
  state = next;
  if (isCounting) {
    if (isDigit(c)) countDigit(c);
    else if (next == EXPONENT_SIGN) exponentNegative = c == 0x2d;
  }
  return p + 1;
}

/** The number ended before `c` at `p`. */
function endNumber(p: usize, end: usize, c: u8): usize {
  if (isCounting) {
    if (place == places.LIMIT) maxOutput = limit();
    else if (place == places.OLD_LIMIT) oldLimit = limit();
    else records.putToken(<u32>wholeNumber(u32.MAX_VALUE));
  }
  if (place != places.IGNORED) {
    endRaw(p);
    if (state == FRACTION && captureOf(place) == TO_JSON) dropZeros();
    records.ended(place, false);
  }
  endValue();
  if (c != 0x2c || depth == 0 || (load<u8>(open + depth - 1) & OBJECT) != 0) return p;
  if (place == places.IGNORED) return pastIntegers(p, end);
  return isToken(place) ? tokens(p, end) : p;
}

/** A fraction is written without zeros at its end, and not at all if it is none. */
function dropZeros(): void {
  let p = text.out;
  while (load<u8>(p - 1) == 0x30) --p;
  if (load<u8>(p - 1) == 0x2e) --p;
  text.setOut(p);
}

/** Digits of an integer that fits 32 bits whatever they are. */
const SHORT_INTEGER: usize = 9;

/** Takes the tokens that follow the comma at `p`. Leaves the machine at the last comma. */
function tokens(p: usize, end: usize): usize {
  let to = text.out;
  for (;;) {
    let next = p + 1;
    if (next < end && load<u8>(next) == 0x20) ++next;
    const first = next;
    let value: u32 = 0;
    while (next < end && isDigit(load<u8>(next))) value = value * 10 + (load<u8>(next++) - 0x30);
    const length = next - first;
    if (length == 0 || length > SHORT_INTEGER || next == end || load<u8>(next) != 0x2c) break;
    if (length > 1 && load<u8>(first) == 0x30) break;
    store<u32>(to, value);
    to += 4;
    p = next;
  }
  text.setOut(to);
  return p;
}

/**
 * Past the integers that follow the comma at `p` in an array: prompts of token ids are hundreds of
 * thousands of them. Leaves the machine at the last comma, or in the last integer.
 */
function pastIntegers(p: usize, end: usize): usize {
  while (p + 2 < end) {
    let next = p + 1;
    // Blanks between values are left out of what is kept without them.
    if (load<u8>(next) == 0x20 && rawFrom == 0) ++next;
    const first = load<u8>(next);
    if (first < 0x31 || first > 0x39) return p;
    do ++next;
    while (next < end && isDigit(load<u8>(next)));
    if (next == end || load<u8>(next) != 0x2c) {
      state = INTEGER;
      isCounting = false;
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

function countDigit(c: u8): void {
  if (state == EXPONENT_DIGITS) {
    exponent = min<i32>(exponent * 10 + (c - 0x30), EXPONENT_MAX);
    return;
  }
  if (state == FRACTION) ++fractionPlaces;
  addDigit(c);
}

/** The number as a token limit. */
function limit(): i32 {
  const whole = wholeNumber(i32.MAX_VALUE);
  return whole < 0 ? NO_LIMIT : <i32>whole;
}

/** The number, digits × 10^(exponent − places), if it is whole and from 0 to `highest`; else -1. */
function wholeNumber(highest: u64): i64 {
  let power = (exponentNegative ? -exponent : exponent) - fractionPlaces;
  let whole = digits;
  if (whole == 0) return 0;
  if (negative || digitCount > DIGITS_MAX) return -1;
  for (; power > 0 && whole <= highest; --power) whole *= 10;
  for (; power < 0 && whole % 10 == 0; ++power) whole /= 10;
  return power == 0 && whole <= highest ? <i64>whole : -1;
}
