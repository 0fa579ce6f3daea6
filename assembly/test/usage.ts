// Test entry: the scan of answers for usage and the renaming of models alone, so that they can be compared with
// an oracle.

import { FETCH_BYTES, MODEL_BYTES_MAX } from "../../src/wire/limits";
import * as scratch from "../abi/scratch";
import * as rename from "../response/rename";
import * as usage from "../response/usage";
import * as renames from "../state/renames";
import * as responses from "../state/responses";
import * as streams from "../state/streams";

const piece: usize = heap.alloc(FETCH_BYTES);
const names: usize = heap.alloc(2 * MODEL_BYTES_MAX);
const stream = streams.open(1, 0);

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.take(size);
}

/** Where to write the next piece, at most FETCH_BYTES. */
export function buffer(): usize {
  return piece;
}

/** Where to write the two names: the caller's, then the server's, MODEL_BYTES_MAX further on. */
export function nameBuffer(): usize {
  return names;
}

/** A new body, of an event stream or one document. */
export function begin(isEvents: bool): void {
  responses.open(stream);
  const row = responses.answerTo(stream);
  row.flags = responses.IS_READ | (isEvents ? responses.IS_EVENTS : 0);
  usage.begin(row);
}

export function setNames(callerLength: u32, serverLength: u32): void {
  renames.release(stream.rename);
  stream.rename = renames.hold(names, callerLength, names + MODEL_BYTES_MAX, serverLength);
}

export function feed(length: u32): void {
  usage.feed(responses.answerTo(stream), piece, length);
}

/** Passes a piece on; the host's buffer is told what becomes of it. */
export function pass(length: u32, isEnd: bool): void {
  scratch.reset();
  rename.setNames(stream.rename);
  if (length == 0 && isEnd) rename.letGo(responses.answerTo(stream));
  else rename.pass(responses.answerTo(stream), stream.rename, piece, length, isEnd);
}

export function held(): u32 {
  return responses.answerTo(stream).held;
}

export function input(): u32 {
  return responses.answerTo(stream).input;
}

export function output(): u32 {
  return responses.answerTo(stream).output;
}

export function cached(): u32 {
  return responses.answerTo(stream).cached;
}
