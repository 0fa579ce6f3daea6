// Benchmark entry (bench/throughput.ts): reading a body as the filter does, scan, prompt and hash chain, step by step.

import { FETCH_BYTES, INSPECTION_BYTES } from "../../src/wire/limits";
import { API_CHAT } from "../../src/wire/program";
import * as scratch from "../abi/scratch";
import * as chain from "../prefix/chain";
import * as scanner from "../request/3_scan";
import * as prompt from "../request/prompt";

/** Room behind a body for loads that reach beyond its end. */
const PADDING: u32 = 64;
const BLOCK_TOKENS: u32 = 64;

const body: usize = heap.alloc(INSPECTION_BYTES + PADDING);

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  scratch.reset();
  return scratch.take(size);
}

/** Where to write the body, at most INSPECTION_BYTES. */
export function bodyPointer(): usize {
  return body;
}

/** Reads the body for its model and limits alone, or also for its prompt. False: it is no JSON. */
export function scan(length: u32, extract: bool): bool {
  scanner.begin(API_CHAT, extract);
  for (let offset: u32 = 0; offset < length; offset += FETCH_BYTES) {
    if (scanner.feed(body + offset, min(length - offset, FETCH_BYTES)) != scanner.MORE) return false;
  }
  scanner.end();
  return scanner.isComplete();
}

/** Hashes the blocks of the prompt read last. Answers how many there are. */
export function chainPrompt(): u32 {
  const seed = chain.seed(scanner.modelText(), scanner.modelLength, prompt.salt(), prompt.saltLength);
  chain.begin();
  for (let n: u32 = 0; n < prompt.count; ++n)
    chain.add(prompt.at(n), prompt.bytes(n), BLOCK_TOKENS, seed, u32.MAX_VALUE);
  return chain.count;
}
