// Test entry: the hash chain and the prefix index alone, so that they can be compared with a model.

import { INSPECTION_BYTES } from "../../src/wire/limits";
import * as chain from "../prefix/chain";
import * as index from "../prefix/index";
import * as xxh64 from "../prefix/xxh64";

/** Where tests write what is hashed, or hashes that were told. */
const buffer: usize = heap.alloc(INSPECTION_BYTES);

export function bufferPointer(): usize {
  return buffer;
}

export function hash(offset: u32, length: u32): u64 {
  return xxh64.hash(buffer + offset, length);
}

export function chainSeed(modelLength: u32, saltLength: u32): u64 {
  return chain.seed(buffer, modelLength, buffer + modelLength, saltLength);
}

export function chainBegin(): void {
  chain.begin();
}

export function chainAdd(offset: u32, bytes: u32, blockTokens: u32, seed: u64, maxBlocks: u32): void {
  chain.add(buffer + offset, bytes, blockTokens, seed, maxBlocks);
}

export function chainCount(): u32 {
  return chain.count;
}

export function chainPointer(): usize {
  return chain.pointer();
}

export function promptCount(): u32 {
  return chain.promptCount;
}

export function promptEnd(n: u32): u32 {
  return chain.promptEnd(n);
}

export function open(budgetBytes: u32): bool {
  return index.open(budgetBytes);
}

export function setEndpoints(idLimit: u32): void {
  index.setEndpoints(idLimit);
}

export function setCapacity(id: u32, blocks: u32): void {
  index.setCapacity(id, blocks);
}

export function setShare(endpoints: u32): void {
  index.setShare(endpoints);
}

export function forget(id: u32): void {
  index.forget(id);
}

export function renew(): void {
  index.renew();
}

export function match(): void {
  index.match();
}

export function matched(id: u32): u32 {
  return index.matched(id);
}

export function insert(id: u32): u32 {
  return index.insert(id);
}

export function news(): usize {
  return index.news();
}

export function learn(id: u32, count: u32): void {
  index.learn(id, buffer, count);
}

export function pairs(): u32 {
  return index.pairs();
}

export function bytes(): u32 {
  return index.bytes();
}
