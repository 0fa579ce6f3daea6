// What is known of the answer to each live stream: a row for each slot of state/streams. First the figures,
// then where the scan of its body stands (response/usage) and what of a name that may have to be replaced is
// held back (response/rename). A row is one cache line: with thousands of streams each piece finds it cold.

import { STREAMS_MAX } from "../../src/wire/limits";
import { Stream, slotOf } from "./streams";

/** In the place of a count of tokens: the answer has not named it. */
export const NO_TOKENS: u32 = u32.MAX_VALUE;

// Bits of flags
/** The body is an event stream. */
export const IS_EVENTS: u8 = 1;
/** The body is a JSON document or an event stream, not encoded: it is read. */
export const IS_READ: u8 = 2;
/** The caller's name of the model is put back. */
export const IS_RENAMED: u8 = 4;
/** What is held back of the server's name begins the form with a space. */
export const HOLDS_SPACED: u8 = 8;

@unmanaged
export class Response {
  /** Of the body, as the server sent it. */
  bytes: u64;
  /** When the first and the last piece of the body came; 0 = none yet. */
  firstNs: u64;
  lastNs: u64;
  /** Tokens, or NO_TOKENS. */
  input: u32;
  output: u32;
  cached: u32;
  /** HTTP status; 0 = no answer yet. */
  status: u16;
  flags: u8;
  // The scan (response/usage)
  /** What the next byte belongs to. */
  step: u8;
  /** Unwanted arrays and objects that are open. */
  skipped: u32;
  /** FNV-1a of the name being read. */
  nameHash: u32;
  number: u32;
  /** Kinds of the wanted objects that are open, a byte for each level from 1. */
  kinds: u32;
  level: u8;
  /** The member whose value comes next. */
  member: u8;
  /** After a member's colon. */
  inValue: u8;
  /** The number is a string. */
  isQuoted: u8;
  /** Bytes of the line's "data:" that have come. */
  matched: u8;
  hasDigits: u8;
  /** Bytes held back: so many of the beginning of what may turn out to be the server's name (response/rename). */
  held: u16;
}

const ROW_BYTES: usize = 64;
if (offsetof<Response>() != ROW_BYTES) ERROR("Response must fill its row");

const rows: usize = (heap.alloc(ROW_BYTES * (STREAMS_MAX + 1)) + ROW_BYTES - 1) & ~(ROW_BYTES - 1);

export function answerTo(stream: Stream): Response {
  return changetype<Response>(rows + slotOf(stream) * ROW_BYTES);
}

/** The stream begins: nothing has been answered. */
export function open(stream: Stream): void {
  const row = answerTo(stream);
  memory.fill(changetype<usize>(row), 0, ROW_BYTES);
  row.input = NO_TOKENS;
  row.output = NO_TOKENS;
  row.cached = NO_TOKENS;
}
