// Puts the caller's name of the model back into an answer: the value of "model":"…", with one space after the
// colon or none, where it is the server's name. The name may be cut anywhere by the end of a piece. Then what
// may be its beginning is held back until the next piece; being the beginning of a known text, only its length
// is kept. Nothing else waits, and no other byte changes.
//
// Should the body end in trailers in the middle of such a beginning, which no JSON does, those bytes are lost:
// Envoy lets a filter add to a body only while a piece of it is at hand.

import { MODEL_BYTES_MAX } from "../../src/wire/limits";
import * as host from "../abi/host";
import { take } from "../abi/scratch";
import { RESPONSE_BODY } from "../abi/status";
import { put, utf8 } from "../abi/text";
import * as renames from "../state/renames";
import { HOLDS_SPACED, Response } from "../state/responses";

/** Eight bytes: one load compares them. */
const beforeName = utf8('"model":');
const BEFORE_BYTES: u32 = 8;
const beforeBits = load<u64>(changetype<usize>(beforeName));
const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const SPACE: u8 = 0x20;

/** A byte of a name is at most six in JSON. */
const NAME_BYTES_MAX: usize = MODEL_BYTES_MAX * 6;
const FORM_BYTES_MAX: usize = BEFORE_BYTES + 3 + NAME_BYTES_MAX;
/** The server's name as it may stand in the answer, from `"model"` to its closing quote: without and with the space. */
const plainForm: usize = heap.alloc(FORM_BYTES_MAX);
const spacedForm: usize = heap.alloc(FORM_BYTES_MAX);
let plainLength: u32 = 0;
/** The names as JSON texts, quotes included. The server's is the end of both forms. */
const caller: usize = heap.alloc(NAME_BYTES_MAX + 2);
let callerLength: u32 = 0;
let server: usize = 0;
let serverLength: u32 = 0;

/** Passes the piece of `size` bytes at `data` on, with the caller's name in it. `isEnd`: no other comes. */
export function pass(row: Response, rename: u16, data: usize, size: u32, isEnd: bool): void {
  setNames(rename);
  const held = <u32>row.held;
  const text = held == 0 ? data : joined(row, data, size);
  if (text == 0) {
    letGo(row);
    return;
  }
  const length = held + size;
  let matches: u32 = 0;
  let from = text;
  const end = text + length;
  for (let found = find(from, end); found != 0; found = find(from, end)) {
    from = found + serverLength;
    ++matches;
  }
  const kept: u32 = isEnd ? 0 : beginning(row, from, end);
  if (matches == 0 && held == 0 && kept == 0) return;
  const out = matches == 0 ? text : replaced(text, end - kept, matches);
  if (out == 0) {
    letGo(row);
    return;
  }
  row.held = <u16>kept;
  const written = matches == 0 ? length - kept : replacedLength;
  host.replaceFront(RESPONSE_BODY, size, out, written);
}

/** There is no room to look at the piece: what was held goes before it, and names stay as they are. */
export function letGo(row: Response): void {
  if (row.held == 0) return;
  host.replaceFront(RESPONSE_BODY, 0, heldForm(row), row.held);
  row.held = 0;
}

/** Of the two ways to write it, the one that what is held back begins. */
function heldForm(row: Response): usize {
  return (row.flags & HOLDS_SPACED) == 0 ? plainForm : spacedForm;
}

/** Sets both names and both forms. */
export function setNames(rename: u16): void {
  callerLength = putJson(renames.callerName(rename), renames.callerLength(rename), caller);
  server = put(plainForm, beforeName);
  serverLength = putJson(renames.serverName(rename), renames.serverLength(rename), server);
  plainLength = BEFORE_BYTES + serverLength;
  const name = put(spacedForm, beforeName);
  store<u8>(name, SPACE);
  memory.copy(name + 1, server, serverLength);
}

/** Writes a text as JSON, quotes included: what must be escaped is, nothing else. Answers its length. */
function putJson(p: usize, length: u32, to: usize): u32 {
  const start = to;
  store<u8>(to++, QUOTE);
  for (let i: u32 = 0; i < length; ++i) {
    const c = load<u8>(p + i);
    if (c == QUOTE || c == BACKSLASH) store<u8>(to++, BACKSLASH);
    if (c >= SPACE) store<u8>(to++, c);
    else to = putEscape(c, to);
  }
  store<u8>(to++, QUOTE);
  return <u32>(to - start);
}

const unicodeEscape = utf8("\\u00");
const hexDigits = utf8("0123456789abcdef");

function putEscape(c: u8, to: usize): usize {
  to = put(to, unicodeEscape);
  store<u8>(to, load<u8>(changetype<usize>(hexDigits) + (c >> 4)));
  store<u8>(to + 1, load<u8>(changetype<usize>(hexDigits) + (c & 15)));
  return to + 2;
}

/** What was held and the piece, in scratch; 0 = no room. */
function joined(row: Response, data: usize, size: u32): usize {
  const held = <u32>row.held;
  const text = take(held + size);
  if (text == 0) return 0;
  memory.copy(text, heldForm(row), held);
  memory.copy(text + held, data, size);
  return text;
}

/** Where the server's name, its opening quote first, stands next as the model; 0 = nowhere. */
function find(from: usize, end: usize): usize {
  for (let p = seekMember(from, end); p < end; p = seekMember(p + 1, end)) {
    let value = p + BEFORE_BYTES;
    if (value < end && load<u8>(value) == SPACE) ++value;
    if (value + serverLength > end) continue;
    if (memory.compare(value, server, serverLength) == 0) return value;
  }
  return 0;
}

/** The next `"model":`, or `end`. Sixteen bytes at a time it looks for a quote and an m. */
function seekMember(p: usize, end: usize): usize {
  for (; p + 17 <= end; p += 16) {
    const quotes = i8x16.eq(v128.load(p), i8x16.splat(QUOTE));
    let found = i8x16.bitmask(v128.and(quotes, i8x16.eq(v128.load(p + 1), i8x16.splat(0x6d))));
    for (; found != 0; found &= found - 1) if (isMember(p + ctz(found), end)) return p + ctz(found);
  }
  for (; p < end; ++p) if (isMember(p, end)) return p;
  return end;
}

function isMember(p: usize, end: usize): bool {
  return p + BEFORE_BYTES <= end && load<u64>(p) == beforeBits;
}

/** How many bytes before `end` may begin one of the forms, and none before `from`. Sets which. */
function beginning(row: Response, from: usize, end: usize): u32 {
  const most = min<u32>(<u32>(end - from), plainLength);
  for (let n = most; n > 0; --n) {
    if (load<u8>(end - n) != QUOTE) continue;
    row.flags &= ~HOLDS_SPACED;
    if (n < plainLength && memory.compare(end - n, plainForm, n) == 0) return n;
    row.flags |= HOLDS_SPACED;
    if (memory.compare(end - n, spacedForm, n) == 0) return n;
  }
  return 0;
}

let replacedLength: u32 = 0;

/** The text with the caller's name for the server's, in scratch; 0 = no room. Sets `replacedLength`. */
function replaced(text: usize, end: usize, matches: u32): usize {
  const out = take(<u32>(end - text) + matches * callerLength);
  if (out == 0) return 0;
  let to = out;
  let from = text;
  for (let found = find(from, end); found != 0; found = find(from, end)) {
    memory.copy(to, from, found - from);
    to += found - from;
    memory.copy(to, caller, callerLength);
    to += callerLength;
    from = found + serverLength;
  }
  memory.copy(to, from, end - from);
  replacedLength = <u32>(to + (end - from) - out);
  return out;
}
