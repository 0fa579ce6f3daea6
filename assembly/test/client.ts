// Test entry: the client headers alone, so that what a stream keeps of them can be looked at.

import * as scratch from "../abi/scratch";
import * as client from "../request/client_headers";
import * as streams from "../state/streams";

const name: usize = heap.alloc(64);
const value: usize = heap.alloc(256);
const stream = streams.open(1, 0);

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.take(size);
}

export function begin(): void {
  client.begin(client.ALL);
}

export function namePointer(): usize {
  return name;
}

export function valuePointer(): usize {
  return value;
}

export function take(nameLength: u32, length: u32): void {
  client.take(name, nameLength, value, length);
  client.keep(stream);
}

export function ttlMs(): u32 {
  return stream.ttlMs;
}

export function ttftMs(): u32 {
  return stream.ttftMs;
}

export function fairness(): u64 {
  return stream.fairness;
}

export function objective(): u64 {
  return stream.objective;
}
