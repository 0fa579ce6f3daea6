// The hashes of a request's blocks, as the prefix index knows them. Each covers everything before it in
// its prompt, and the model and salt: docs/scheduling.md, "Prefix match".
//
//     h_i = xxh64(LE64(xxh64(block i)) ‖ LE64(h_{i−1})),   h_{−1} = xxh64(model ‖ salt)

import { BLOCKS_MAX, MODEL_BYTES_MAX, PROMPTS_MAX, SALT_BYTES_MAX } from "../../src/wire/limits";
import { hash, hashPair } from "./xxh64";

/** A pseudo-token is 4 bytes. */
const TOKEN_BYTES: u32 = 4;

const hashes: usize = heap.alloc(BLOCKS_MAX * 8);
const ends: usize = heap.alloc(PROMPTS_MAX * 4);
const seedText: usize = heap.alloc(MODEL_BYTES_MAX + SALT_BYTES_MAX);

/** Hashes of all prompts. */
export let count: u32 = 0;
export let promptCount: u32 = 0;

/** Hash n, below `count`. */
export function at(n: u32): u64 {
  return load<u64>(hashes + ((<usize>n) << 3));
}

/** Where the hashes lie, one after the other. */
export function pointer(): usize {
  return hashes;
}

/** The index after the last hash of prompt n. */
export function promptEnd(n: u32): u32 {
  return load<u32>(ends + ((<usize>n) << 2));
}

/** What the first block of every prompt is chained to. */
export function seed(model: usize, modelLength: u32, salt: usize, saltLength: u32): u64 {
  if (saltLength == 0) return hash(model, modelLength);
  modelLength = min(modelLength, MODEL_BYTES_MAX);
  saltLength = min(saltLength, SALT_BYTES_MAX);
  memory.copy(seedText, model, modelLength);
  memory.copy(seedText + modelLength, salt, saltLength);
  return hash(seedText, modelLength + saltLength);
}

/** No hashes. */
export function begin(): void {
  count = 0;
  promptCount = 0;
}

/** Appends the chain of one prompt of whole tokens: its first `maxBlocks` blocks, a shorter last one included. */
export function add(p: usize, bytes: u32, blockTokens: u32, seed: u64, maxBlocks: u32): void {
  if (promptCount >= PROMPTS_MAX || blockTokens == 0) return;
  const blockBytes = <u32>min<u64>(<u64>blockTokens * TOKEN_BYTES, u32.MAX_VALUE);
  const limit = min(maxBlocks, BLOCKS_MAX - count);
  const whole = min(bytes / blockBytes, limit);
  const to = hashes + ((<usize>count) << 3);
  for (let i: u32 = 0; i < whole; ++i) {
    seed = hashPair(hash(p, blockBytes), seed);
    store<u64>(to + ((<usize>i) << 3), seed);
    p += blockBytes;
  }
  count += whole;
  const rest = bytes % blockBytes;
  if (rest != 0 && whole < limit) {
    store<u64>(to + ((<usize>whole) << 3), hashPair(hash(p, rest), seed));
    ++count;
  }
  store<u32>(ends + ((<usize>promptCount) << 2), count);
  ++promptCount;
}
