// Takes the event that tells the usage out of a stream whose caller did not ask for it (request/ask_usage): a line
//
//     data: {…,"choices":[],…,"usage":{…}}
//
// with the line ends behind it, wherever pieces of the stream are cut. Every event is passed on as soon as a
// member says that it is another one, which in one with text is the first element of its choices. Until then what
// has come of it is held back (state/holds), and nothing before it is.
//
// Left as they are: an event of several lines before its data, or whose data is cut by line ends; and any event
// for which there is no room to hold what has come of it. A body that ends in trailers in the middle of an event
// loses what is held: Envoy lets a filter add to a body only while a piece of it is at hand.

import * as host from "../abi/host";
import { take } from "../abi/scratch";
import { RESPONSE_BODY } from "../abi/status";
import { equals, pointer, utf8 } from "../abi/text";
import * as holds from "../state/holds";
import { IS_EVENTS, Response } from "../state/responses";
import { ASKS_USAGE, Stream } from "../state/streams";

// What the next byte is (Stream.search)
/** The first of an event. */
const EVENT: u8 = 0;
/** In a line that is passed on. */
const IN_LINE: u8 = 1;
/** The first of another line of an event; the line before it ended in LF. */
const LINE: u8 = 2;
/** The same, or the LF that belongs to the CR before it. */
const AFTER_CR: u8 = 3;
/** In the line to be taken out. */
const TAKEN: u8 = 4;
/** A line end behind it, or the first of the next event. */
const BEHIND_TAKEN: u8 = 5;

// What an event is
const UNDECIDED = 0;
const OTHER = 1;
const USAGE = 2;

const LF: u8 = 0x0a;
const CR: u8 = 0x0d;
const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const dataName = utf8("data:");
const choicesName = utf8("choices");
const usageName = utf8("usage");

/** What `pass` passed on: `length` bytes at `text`. */
export let text: usize = 0;
export let length: u32 = 0;

/** Whether there may be such an event in the answer. */
export function isSought(stream: Stream, response: Response): bool {
  return (stream.flags & ASKS_USAGE) != 0 && (response.flags & IS_EVENTS) != 0;
}

/** Passes the piece of `size` bytes at `data` on, without such an event. `isEnd`: no other piece comes. */
export function pass(stream: Stream, data: usize, size: u32, isEnd: bool): void {
  const held = holds.length(stream);
  text = held == 0 ? data : joined(stream, data, size);
  length = held + size;
  if (text == 0) {
    letGo(stream);
    text = data;
    length = size;
    stream.search = IN_LINE;
    return;
  }
  holds.release(stream);
  const end = text + length;
  const to = cleaned(stream, text, end, isEnd);
  length = <u32>(to - text);
  if (held != 0 || to != end) host.replaceFront(RESPONSE_BODY, size, text, length);
}

/** There is no room to look at the piece at hand: what was held goes before it. */
export function letGo(stream: Stream): void {
  const held = holds.length(stream);
  if (held != 0) host.replaceFront(RESPONSE_BODY, 0, holds.text(stream), held);
  holds.release(stream);
}

/** What was held and the piece, in scratch; 0 = no room. */
function joined(stream: Stream, data: usize, size: u32): usize {
  const held = holds.length(stream);
  const all = take(held + size);
  if (all == 0) return 0;
  memory.copy(all, holds.text(stream), held);
  memory.copy(all + held, data, size);
  return all;
}

/** Moves what is passed on to the front. Answers its end. */
function cleaned(stream: Stream, from: usize, end: usize, isEnd: bool): usize {
  let search = stream.search;
  let to = from;
  let p = from;
  while (p < end) {
    if (search == EVENT) search = begun(stream, p, end, isEnd);
    if (stream.hold != 0) break;
    if (search == TAKEN || search == IN_LINE) {
      const lineEnd = seekLineEnd(p, end);
      if (search == IN_LINE) to = moved(to, p, lineEnd);
      p = lineEnd;
      if (p == end) break;
    }
    const c = load<u8>(p);
    if (search == BEHIND_TAKEN && !isLineEnd(c)) {
      search = EVENT;
      continue;
    }
    if (search < TAKEN) store<u8>(to++, c);
    search = next(search, c);
    ++p;
  }
  stream.search = search;
  return to;
}

/** At the first byte of an event: what follows. Holds what has come of it when it may be either. */
function begun(stream: Stream, p: usize, end: usize, isEnd: bool): u8 {
  if (isLineEnd(load<u8>(p))) return EVENT;
  const told = judge(p, end);
  if (told == USAGE) return TAKEN;
  return told == UNDECIDED && !isEnd && holds.hold(stream, p, <u32>(end - p)) ? EVENT : IN_LINE;
}

/** What follows the byte `c`, which in a line is the one that ends it. */
function next(search: u8, c: u8): u8 {
  if (search >= TAKEN) return BEHIND_TAKEN;
  if (search == IN_LINE) return c == CR ? AFTER_CR : LINE;
  if (search == AFTER_CR && c == LF) return LINE;
  return isLineEnd(c) ? EVENT : IN_LINE;
}

/** Bytes from..end to `to`, which is not behind them. Answers their new end. */
function moved(to: usize, from: usize, end: usize): usize {
  if (to != from) memory.copy(to, from, end - from);
  return to + (end - from);
}

function isLineEnd(c: u8): bool {
  return c == LF || c == CR;
}

/** The first line end from `p` on, or `end`. */
function seekLineEnd(p: usize, end: usize): usize {
  for (; p + 16 <= end; p += 16) {
    const v = v128.load(p);
    const ends = v128.or(i8x16.eq(v, i8x16.splat(LF)), i8x16.eq(v, i8x16.splat(CR)));
    if (v128.any_true(ends)) return p + ctz(i8x16.bitmask(ends));
  }
  while (p < end && !isLineEnd(load<u8>(p))) ++p;
  return p;
}

// ── What event it is ──

/** Of the event that begins at `p`, as far as its first line has come. */
function judge(p: usize, end: usize): i32 {
  const lineEnd = seekLineEnd(p, end);
  const told = judgeLine(p, lineEnd);
  return told == UNDECIDED && lineEnd != end ? OTHER : told;
}

function judgeLine(p: usize, end: usize): i32 {
  const compared = min<usize>(dataName.byteLength, end - p);
  if (memory.compare(p, pointer(dataName), compared) != 0) return OTHER;
  p = pastBlanks(p + compared, end);
  if (p == end) return UNDECIDED;
  return load<u8>(p) == 0x7b ? judgeDocument(p + 1, end) : OTHER;
}

/** The document's members, from the first on, until two of them have told. */
function judgeDocument(p: usize, end: usize): i32 {
  let isEmpty: bool = false;
  let hasUsage: bool = false;
  for (p = pastBlanks(p, end); p != end; p = pastBlanks(p + 1, end)) {
    if (load<u8>(p) != QUOTE) return OTHER;
    const name = p + 1;
    p = pastString(name, end);
    const nameLength = <u32>(p - name);
    const colon = p == end ? end : pastBlanks(p + 1, end);
    if (colon == end) return UNDECIDED;
    if (load<u8>(colon) != 0x3a) return OTHER;
    p = pastBlanks(colon + 1, end);
    if (p == end) return UNDECIDED;
    if (equals(name, nameLength, choicesName)) {
      if (isOther(p, end)) return OTHER;
      isEmpty = true;
    } else if (equals(name, nameLength, usageName)) {
      if (load<u8>(p) != 0x7b) return OTHER;
      hasUsage = true;
    }
    // An array that has just begun is not known to be empty until its value is over.
    if (isEmpty && hasUsage && load<u8>(p) == 0x7b) return USAGE;
    p = pastValue(p, end);
    if (p == end) return UNDECIDED;
    if (isEmpty && hasUsage) return USAGE;
    if (load<u8>(p) != 0x2c) return OTHER;
  }
  return UNDECIDED;
}

/** Whether the choices at `p` are no array, or one with an element. */
function isOther(p: usize, end: usize): bool {
  if (load<u8>(p) != 0x5b) return true;
  const element = pastBlanks(p + 1, end);
  return element != end && load<u8>(element) != 0x5d;
}

function pastBlanks(p: usize, end: usize): usize {
  while (p < end && (load<u8>(p) == 0x20 || load<u8>(p) == 0x09)) ++p;
  return p;
}

/** The quote that ends the string whose text begins at `p`; `end` if it has not come. */
function pastString(p: usize, end: usize): usize {
  while (p < end) {
    const c = load<u8>(p);
    if (c == QUOTE) return p;
    p += c == BACKSLASH ? 2 : 1;
  }
  return end;
}

/** The byte behind the value at `p`: a comma, or what ends the object around it; `end` if it has not come. */
function pastValue(p: usize, end: usize): usize {
  let depth: u32 = 0;
  for (; p < end; ++p) {
    const c = load<u8>(p);
    if (c == QUOTE) {
      p = pastString(p + 1, end);
      if (p == end) return end;
    } else if (c == 0x7b || c == 0x5b) ++depth;
    else if (c == 0x7d || c == 0x5d) {
      if (depth == 0) return p;
      --depth;
    } else if (c == 0x2c && depth == 0) return p;
  }
  return end;
}
