// The prefix hashes of a prompt, from docs/scheduling.md "Prefix match", the slow and obvious way.

import { xxh64 } from "./xxh64.ts";

const TOKEN_BYTES = 4;

/** p: what the first block's hash is chained to. */
export function seedOf(model: string, salt: string): bigint {
  return xxh64(Buffer.from(model + salt));
}

/** h_0, h_1, … of one prompt, given as the bytes of its tokens; at most `most` of them. */
export function chainOf(prompt: Uint8Array, blockTokens: number, seed: bigint, most: number): readonly bigint[] {
  const hashes: bigint[] = [];
  let previous = seed;
  const blockBytes = blockTokens * TOKEN_BYTES;
  for (let at = 0; at < prompt.length && hashes.length < most; at += blockBytes) {
    const block = xxh64(prompt.subarray(at, at + blockBytes));
    previous = pairHash(block, previous);
    hashes.push(previous);
  }
  return hashes;
}

/** The hash of two hashes, one behind the other, little-endian. */
function pairHash(first: bigint, second: bigint): bigint {
  const pair = Buffer.alloc(16);
  pair.writeBigUInt64LE(first, 0);
  pair.writeBigUInt64LE(second, 8);
  return xxh64(pair);
}
