// Test entry: the body scanner alone, so that what it extracts can be compared with an oracle.

import { FETCH_BYTES } from "../../src/wire/limits";
import * as scanner from "../request/3_scan";

const piece: usize = heap.alloc(FETCH_BYTES);
const scan = scanner.ofSlot(0);

export function reset(): void {
  scanner.begin(scan);
}

/** Where to write the next piece, at most FETCH_BYTES. */
export function buffer(): usize {
  return piece;
}

export function feed(length: u32): i32 {
  return scanner.feed(scan, piece, length);
}

export function isComplete(): bool {
  return scanner.isComplete(scan);
}

export function top(): i32 {
  return scan.top;
}

export function model(): i32 {
  return scan.model;
}

export function modelPointer(): usize {
  return scanner.modelText(scan);
}

export function modelLength(): u32 {
  return scan.modelLength;
}

export function stream(): bool {
  return scan.stream != 0;
}

export function maxTokens(): i32 {
  return scan.maxTokens;
}

export function maxCompletionTokens(): i32 {
  return scan.maxCompletionTokens;
}

export function promptBytes(): u32 {
  return scan.promptBytes;
}
