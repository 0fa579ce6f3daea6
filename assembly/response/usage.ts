// The tokens that an answer says it took, read from its body as it passes: each byte once, in the pieces in
// which it comes, nothing kept but where the scan stands. A JSON document, or an event stream whose lines
// "data: {…}" hold a JSON document each.
//
// Wanted are the members of
//
//     { "usage": {…} }                   OpenAI, and Anthropic's message_delta
//     { "response": { "usage": {…} } }   response.completed of the Responses API
//     { "message": { "usage": {…} } }    Anthropic's message_start
//     { "meta_info": {…} }               SGLang's /generate
//
// whatever else is nested anywhere is skipped by its brackets and quotes, sixteen bytes at a time. A count that
// is named again counts as named last: streams repeat what they have used so far.

import { utf8 } from "../abi/text";
import { IS_EVENTS, NO_TOKENS, Response } from "../state/responses";

// What the next byte belongs to (Response.step)
/** A document, between its strings and numbers. */
const BETWEEN: u8 = 0;
/** A string that nobody asks for. */
const TEXT: u8 = 1;
/** … behind a backslash in it. */
const ESCAPED: u8 = 2;
/** The name of a member of a wanted object. */
const NAME: u8 = 3;
/** A count of tokens. */
const NUMBER: u8 = 4;
/** The beginning of a line of an event stream. */
const LINE: u8 = 5;
/** A line that holds no data. */
const OTHER_LINE: u8 = 6;

// Kinds of wanted objects
const NOT_WANTED: u8 = 0;
const DOCUMENT: u8 = 1;
const AROUND: u8 = 2;
const USAGE: u8 = 3;
const DETAILS: u8 = 4;
const LEVELS_MAX: u8 = 4;

// Members, as Response.member has them. Those with a count come last.
const OTHER_MEMBER: u8 = 0;
const AROUND_MEMBER: u8 = 1;
const USAGE_MEMBER: u8 = 2;
const DETAILS_MEMBER: u8 = 3;
const INPUT: u8 = 4;
const OUTPUT: u8 = 5;
const CACHED: u8 = 6;

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const BLANK: u8 = 0x20;
const COLON: u8 = 0x3a;
const COMMA: u8 = 0x2c;
/** The closing one is 2 more; a square bracket is a curly one without this bit. */
const OPEN_CURLY: u8 = 0x7b;
const CURLY_BIT: u8 = 0x20;

const FNV_OFFSET: u32 = 0x811c9dc5;
const FNV_PRIME: u32 = 0x01000193;

const dataName = utf8("data:");
const usageName = nameOf("usage");
const metaInfoName = nameOf("meta_info");
const responseName = nameOf("response");
const messageName = nameOf("message");
const promptTokensName = nameOf("prompt_tokens");
const inputTokensName = nameOf("input_tokens");
const completionTokensName = nameOf("completion_tokens");
const outputTokensName = nameOf("output_tokens");
const cachedTokensName = nameOf("cached_tokens");
const cacheReadName = nameOf("cache_read_input_tokens");
const promptDetailsName = nameOf("prompt_tokens_details");
const inputDetailsName = nameOf("input_tokens_details");

function nameOf(text: string): u32 {
  const bytes = utf8(text);
  let h = FNV_OFFSET;
  for (let i = 0; i < bytes.byteLength; ++i) h = hashed(h, load<u8>(changetype<usize>(bytes) + i));
  return h;
}

function hashed(h: u32, c: u8): u32 {
  return (h ^ c) * FNV_PRIME;
}

/** The body begins; `IS_EVENTS` of the row's flags says how it is to be read. */
export function begin(row: Response): void {
  row.step = (row.flags & IS_EVENTS) != 0 ? LINE : BETWEEN;
}

/** The next `length` bytes of the body. */
export function feed(row: Response, p: usize, length: u32): void {
  const end = p + length;
  while (p < end) {
    const step = row.step;
    if (step == BETWEEN) p = between(row, p, end);
    else if (step == TEXT) p = text(row, p, end);
    else if (step == NAME) p = name(row, p, end);
    else if (step == NUMBER) p = number(row, p, end);
    else if (step == LINE) p = line(row, p, end);
    else if (step == OTHER_LINE) p = otherLine(row, p, end);
    else {
      row.step = TEXT;
      if (load<u8>(p) >= BLANK) ++p; // an event's document does not go on in the next line
    }
  }
}

// ── Lines of an event stream ──

function line(row: Response, p: usize, end: usize): usize {
  for (; p < end; ++p) {
    const c = load<u8>(p);
    if (isLineEnd(c)) {
      row.matched = 0;
      continue;
    }
    if (c != load<u8>(changetype<usize>(dataName) + row.matched)) {
      row.step = OTHER_LINE;
      return p;
    }
    if (++row.matched == <u8>dataName.byteLength) {
      beginDocument(row);
      return p + 1;
    }
  }
  return p;
}

function isLineEnd(c: u8): bool {
  return c == 0x0a || c == 0x0d;
}

function otherLine(row: Response, p: usize, end: usize): usize {
  while (p < end && !isLineEnd(load<u8>(p))) ++p;
  if (p < end) beginLine(row);
  return p;
}

function beginLine(row: Response): void {
  row.step = LINE;
  row.matched = 0;
}

function beginDocument(row: Response): void {
  row.step = BETWEEN;
  row.skipped = 0;
  row.level = 0;
  row.inValue = 0;
  row.member = OTHER_MEMBER;
}

/** At a line's end within a document: of an event stream it is the document's end too. */
function endsDocument(row: Response, c: u8): bool {
  if ((row.flags & IS_EVENTS) == 0 || !isLineEnd(c)) return false;
  beginLine(row);
  return true;
}

// ── A document ──

function between(row: Response, p: usize, end: usize): usize {
  while (p < end) {
    if (row.skipped != 0) p = seekBracket(p, end);
    if (p == end) return p;
    const c = load<u8>(p);
    if (c <= BLANK) {
      if (endsDocument(row, c)) return p;
    } else if (c == QUOTE) {
      beginString(row);
      return p + 1;
    } else if ((c | CURLY_BIT) == OPEN_CURLY) open(row, c);
    else if ((c | CURLY_BIT) == OPEN_CURLY + 2) close(row);
    else if (row.skipped == 0) {
      if (c == COLON) row.inValue = 1;
      else if (c == COMMA) endMember(row);
      else if (isDigit(c) && row.member >= INPUT) {
        beginNumber(row, 0);
        return p;
      } else row.member = OTHER_MEMBER; // -1, null, …: no count of tokens
    }
    ++p;
  }
  return p;
}

function isDigit(c: u8): bool {
  return <u8>(c - 0x30) < 10;
}

function endMember(row: Response): void {
  row.inValue = 0;
  row.member = OTHER_MEMBER;
}

function beginString(row: Response): void {
  if (row.skipped != 0 || row.level == 0) row.step = TEXT;
  else if (row.inValue == 0) {
    row.step = NAME;
    row.nameHash = FNV_OFFSET;
  } else if (row.member >= INPUT) beginNumber(row, 1);
  else row.step = TEXT;
}

function open(row: Response, bracket: u8): void {
  const kind = row.skipped == 0 && bracket == OPEN_CURLY ? kindOpened(row) : NOT_WANTED;
  if (kind == NOT_WANTED) {
    ++row.skipped;
    return;
  }
  const shift = row.level++ << 3;
  row.kinds = (row.kinds & ~((<u32>0xff) << shift)) | ((<u32>kind) << shift);
  endMember(row);
}

/** What the object is that opens here. */
function kindOpened(row: Response): u8 {
  if (row.level == 0) return DOCUMENT;
  if (row.level == LEVELS_MAX) return NOT_WANTED;
  if (row.member == USAGE_MEMBER) return USAGE;
  if (row.member == AROUND_MEMBER) return AROUND;
  return row.member == DETAILS_MEMBER ? DETAILS : NOT_WANTED;
}

function close(row: Response): void {
  if (row.skipped != 0) --row.skipped;
  else if (row.level != 0) --row.level;
  row.inValue = 1;
  row.member = OTHER_MEMBER;
}

function name(row: Response, p: usize, end: usize): usize {
  let h = row.nameHash;
  for (; p < end; ++p) {
    const c = load<u8>(p);
    if (c == QUOTE) {
      row.member = memberNamed(h, <u8>(row.kinds >> ((row.level - 1) << 3)));
      row.step = BETWEEN;
      return p + 1;
    }
    if (c == BACKSLASH || c < BLANK) {
      row.step = TEXT; // none of the wanted names is written so
      return p;
    }
    h = hashed(h, c);
  }
  row.nameHash = h;
  return p;
}

/** The member of that name in an object of that kind. */
function memberNamed(h: u32, kind: u8): u8 {
  if (kind == DETAILS) return h == cachedTokensName ? CACHED : OTHER_MEMBER;
  if (kind == USAGE) {
    if (h == promptTokensName || h == inputTokensName) return INPUT;
    if (h == completionTokensName || h == outputTokensName) return OUTPUT;
    if (h == cachedTokensName || h == cacheReadName) return CACHED;
    return h == promptDetailsName || h == inputDetailsName ? DETAILS_MEMBER : OTHER_MEMBER;
  }
  if (h == usageName) return USAGE_MEMBER;
  if (kind == AROUND) return OTHER_MEMBER;
  if (h == metaInfoName) return USAGE_MEMBER;
  return h == responseName || h == messageName ? AROUND_MEMBER : OTHER_MEMBER;
}

function beginNumber(row: Response, isQuoted: u8): void {
  row.step = NUMBER;
  row.number = 0;
  row.hasDigits = 0;
  row.isQuoted = isQuoted;
}

function number(row: Response, p: usize, end: usize): usize {
  for (; p < end; ++p) {
    const c = load<u8>(p);
    if (!isDigit(c)) {
      endNumber(row, c);
      return p;
    }
    const next = <u64>row.number * 10 + (c - 0x30);
    row.number = <u32>min<u64>(next, NO_TOKENS - 1);
    row.hasDigits = 1;
  }
  return p;
}

/** At the first byte `c` that is no digit. A string must end there to be a number. */
function endNumber(row: Response, c: u8): void {
  const isWhole = row.isQuoted == 0 || c == QUOTE;
  if (isWhole && row.hasDigits != 0) take(row);
  row.member = OTHER_MEMBER;
  row.step = row.isQuoted != 0 ? TEXT : BETWEEN;
}

function take(row: Response): void {
  if (row.member == INPUT) row.input = row.number;
  else if (row.member == OUTPUT) row.output = row.number;
  else row.cached = row.number;
}

function text(row: Response, p: usize, end: usize): usize {
  while (p < end) {
    p = seekTextEnd(p, end);
    if (p == end) return p;
    const c = load<u8>(p);
    if (c == QUOTE) {
      row.step = BETWEEN;
      return p + 1;
    }
    if (c == BACKSLASH) {
      row.step = ESCAPED;
      return p + 1;
    }
    if (endsDocument(row, c)) return p;
    ++p;
  }
  return p;
}

// ── Sixteen bytes at a time ──

/** The first quote, backslash or control character. */
function seekTextEnd(p: usize, end: usize): usize {
  for (; p + 16 <= end; p += 16) {
    const v = v128.load(p);
    const quoted = v128.or(i8x16.eq(v, i8x16.splat(QUOTE)), i8x16.eq(v, i8x16.splat(BACKSLASH)));
    const found = i8x16.bitmask(v128.or(quoted, i8x16.lt_u(v, i8x16.splat(BLANK))));
    if (found != 0) return p + ctz(found);
  }
  for (; p < end; ++p) {
    const c = load<u8>(p);
    if (c == QUOTE || c == BACKSLASH || c < BLANK) break;
  }
  return p;
}

/** The first bracket, quote or control character. */
function seekBracket(p: usize, end: usize): usize {
  for (; p + 16 <= end; p += 16) {
    const v = v128.load(p);
    const curly = v128.or(v, i8x16.splat(CURLY_BIT));
    const bracket = v128.or(i8x16.eq(curly, i8x16.splat(OPEN_CURLY)), i8x16.eq(curly, i8x16.splat(OPEN_CURLY + 2)));
    const other = v128.or(i8x16.eq(v, i8x16.splat(QUOTE)), i8x16.lt_u(v, i8x16.splat(BLANK)));
    const found = i8x16.bitmask(v128.or(bracket, other));
    if (found != 0) return p + ctz(found);
  }
  for (; p < end; ++p) {
    const c = load<u8>(p);
    const curly = c | CURLY_BIT;
    if (curly == OPEN_CURLY || curly == OPEN_CURLY + 2 || c == QUOTE || c < BLANK) break;
  }
  return p;
}
