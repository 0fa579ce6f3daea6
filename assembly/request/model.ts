// The names that the model of the request at hand goes by: what the caller wrote in the body, and what the
// server is asked for. And how the one takes the place of the other in the body.

import { MODEL_BYTES_MAX } from "../../src/wire/limits";
import * as host from "../abi/host";
import { mark, release, take } from "../abi/scratch";
import { REQUEST_BODY, REQUEST_HEADERS } from "../abi/status";
import { pointer, putNumber, utf8 } from "../abi/text";
import * as scanner from "./3_scan";

/** The caller's name, which has no length when there is none; cut when it is longer than any object's. */
export let caller: usize = 0;
export let callerLength: u32 = 0;
/** The name to ask the server for, the caller's unless another is set. Valid until the callback ends. */
export let target: usize = 0;
export let targetLength: u32 = 0;

/** Of the request that was scanned last: both are the caller's. */
export function begin(): void {
  caller = scanner.modelText();
  callerLength = scanner.modelLength;
  target = caller;
  targetLength = callerLength;
}

export function setTarget(name: usize, length: u32): void {
  target = name;
  targetLength = length;
}

/** Whether the whole name has been read: else it is not known, and cannot be replaced. */
export function isKnown(): bool {
  return scanner.modelEnd != 0;
}

/** Whether an object may name it. */
export function isNameable(): bool {
  return isKnown() && scanner.model == scanner.MODEL_TEXT;
}

/** Whether the server is to be asked for another model than the caller named. */
export function isRewritten(): bool {
  if (target == caller) return false;
  if (!isNameable() || targetLength != callerLength) return true;
  return memory.compare(target, caller, targetLength) != 0;
}

// ── In the body ──

const contentLength = utf8("content-length");
/** Room for a name of which every byte is escaped. */
const ESCAPED_MAX: u32 = MODEL_BYTES_MAX * 6;
const digits = memory.data(24);
const HEX_DIGITS = utf8("0123456789abcdef");
const DIGITS_MAX: u32 = 15;

/**
 * Puts the target in the place of the body's name and corrects content-length; every other byte stays. The host
 * lets the front of a buffer be replaced, so what stands before the name is fetched and put back with it. False
 * when the host does not let it.
 */
export function replaceInBody(): bool {
  const front = scanner.modelAt;
  const from = mark();
  const isFetched = host.getBuffer(REQUEST_BODY, 0, front) && host.size == front;
  const text = host.data;
  // The arena goes on behind what was fetched, and the name with it.
  if (!isFetched || take(ESCAPED_MAX) == 0) return false;
  const length = putEscaped(text + front);
  const isReplaced = host.replaceFront(REQUEST_BODY, scanner.modelEnd, text, front + length);
  release(from);
  if (isReplaced) correctLength(<i64>length - <i64>(scanner.modelEnd - front));
  return isReplaced;
}

/** Writes the target as the inside of a JSON string. Answers the length. */
function putEscaped(start: usize): u32 {
  let to = start;
  for (let i: u32 = 0; i < targetLength && i < MODEL_BYTES_MAX; ++i) {
    const c = load<u8>(target + i);
    if (c < 0x20) {
      store<u32>(to, 0x3030755c); // \u00
      store<u8>(to, load<u8>(pointer(HEX_DIGITS) + (c >> 4)), 4);
      store<u8>(to, load<u8>(pointer(HEX_DIGITS) + (c & 15)), 5);
      to += 6;
      continue;
    }
    if (c == 0x22 || c == 0x5c) store<u8>(to++, 0x5c);
    store<u8>(to++, c);
  }
  return <u32>(to - start);
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
