// The names that the model of the request at hand goes by: what the caller wrote in the body, and what the
// server is asked for. And how the one takes the place of the other in the body.

import { MODEL_BYTES_MAX } from "../../src/wire/limits";
import { pointer, utf8 } from "../abi/text";
import * as decisions from "../state/decisions";
import * as scanner from "./3_scan";
import * as edits from "./body_edits";

/** The caller's name, which has no length when there is none; cut when it is longer than any object's. */
export let caller: usize = 0;
export let callerLength: u32 = 0;
/** The name to ask the server for, the caller's unless another is set. Valid until the callback ends. */
export let target: usize = 0;
export let targetLength: u32 = 0;

/** Name of the rule that chose the target; 0 = none did. Valid as long. */
export let rule: usize = 0;
export let ruleLength: u32 = 0;

/** Of the request that was scanned last: both are the caller's. */
export function begin(): void {
  caller = scanner.modelText();
  callerLength = scanner.modelLength;
  target = caller;
  targetLength = callerLength;
  rule = 0;
  ruleLength = 0;
}

export function setTarget(name: usize, length: u32): void {
  target = name;
  targetLength = length;
}

/** A rule chose the target. */
export function setRule(name: usize, length: u32): void {
  rule = name;
  ruleLength = length;
}

/** What the rule chose is asked for. */
export function countDecision(): void {
  decisions.count(rule, ruleLength, caller, callerLength, target, targetLength);
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

/** Room for a name of which every byte is escaped. */
const escaped: usize = heap.alloc(MODEL_BYTES_MAX * 6);
const HEX_DIGITS = utf8("0123456789abcdef");

/** The target shall take the place of the body's name; every other byte stays. */
export function replaceInBody(): void {
  edits.replace(scanner.modelAt, scanner.modelEnd, escaped, putEscaped(escaped));
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
