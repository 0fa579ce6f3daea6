// Test entry: the body scanner alone, so that what it extracts can be compared with an oracle.

import { FETCH_BYTES } from "../../src/wire/limits";
import * as scratch from "../abi/scratch";
import * as scanner from "../request/3_scan";
import * as prompt from "../request/prompt";

const piece: usize = heap.alloc(FETCH_BYTES);

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  scratch.reset();
  return scratch.take(size);
}

export function begin(api: u32, extract: bool): void {
  scanner.begin(api, extract);
}

/** Where to write the next piece, at most FETCH_BYTES. */
export function buffer(): usize {
  return piece;
}

export function feed(length: u32): i32 {
  return scanner.feed(piece, length);
}

export function end(): void {
  scanner.end();
}

export function isComplete(): bool {
  return scanner.isComplete();
}

export function top(): i32 {
  return scanner.top;
}

export function model(): i32 {
  return scanner.model;
}

export function modelPointer(): usize {
  return scanner.modelText();
}

export function modelLength(): u32 {
  return scanner.modelLength;
}

export function modelAt(): u32 {
  return scanner.modelAt;
}

export function modelEnd(): u32 {
  return scanner.modelEnd;
}

export function stream(): bool {
  return scanner.stream;
}

export function maxOutput(): i32 {
  return scanner.maxOutput;
}

export function promptCount(): u32 {
  return prompt.count;
}

export function promptPointer(n: u32): usize {
  return prompt.at(n);
}

export function promptBytes(n: u32): u32 {
  return prompt.bytes(n);
}

export function promptTokens(): u32 {
  return prompt.tokens;
}

export function isTruncated(): bool {
  return prompt.truncated;
}

export function saltPointer(): usize {
  return prompt.salt();
}

export function saltLength(): u32 {
  return prompt.saltLength;
}
