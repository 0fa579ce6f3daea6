// The hashes of the filter against the oracle's, and against those of the Rust crate xxhash-rust, which
// nobody of this project wrote. FC_SEED=<number> tries other bytes.

import { createRequire } from "node:module";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { locateRefcore } from "../../scripts/rust.ts";
import { BLOCKS_MAX, MODEL_BYTES_MAX } from "../../src/wire/limits.ts";
import { chainOf, seedOf } from "../oracle/chain.ts";
import { xxh64 } from "../oracle/xxh64.ts";
import { Prefixes } from "./prefixes.ts";

const SEED = Number(process.env.FC_SEED ?? 42);

interface Refcore {
  hash(bytes: Uint8Array, seed: bigint): bigint;
  chain(model: Uint8Array, salt: Uint8Array, prompt: Uint8Array, blockBytes: number, most: number): BigUint64Array;
}

let prefixes: Prefixes;
// Compiling takes seconds, and more on a busy machine.
beforeAll(async () => {
  prefixes = await Prefixes.build();
}, 60_000);

interface Prompts {
  readonly model: string;
  readonly salt: string;
  readonly prompts: readonly Uint8Array[];
  readonly blockTokens: number;
  readonly most: number;
}

const name = fc.oneof(
  fc.constantFrom("", "m", "é".repeat(MODEL_BYTES_MAX / 2)),
  fc.string({ unit: "binary", maxLength: 64 }),
);
/** Bytes that a small seed makes: shrinking them by themselves would take ages. */
const tokens = fc
  .tuple(fc.nat(), fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 1_200 })))
  .map(([seed, count]) => bytesOf(seed, count * 4));
const blockTokens = fc.constantFrom(64, 65, 100, 128, 256, 1_056);
const most = fc.oneof({ weight: 3, arbitrary: fc.constant(BLOCKS_MAX) }, fc.nat({ max: 5 }));
const requests: fc.Arbitrary<Prompts> = fc.record({
  model: name,
  salt: name,
  prompts: fc.array(tokens, { maxLength: 4 }),
  blockTokens,
  most,
});

function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed | 1;
  for (let at = 0; at < length; at++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

function ofFilter({ model, salt, prompts, blockTokens, most }: Prompts): readonly (readonly bigint[])[] {
  const seed = prefixes.seed(Buffer.from(model), Buffer.from(salt));
  return prefixes.chain(prompts, blockTokens, seed, most);
}

describe("xxh64", () => {
  test.each([
    ["", 0xef46db3751d8e999n],
    ["a", 0xd24ec4f1a98c6e5bn],
    ["abc", 0x44bc2cf5ad770999n],
    ["hello", 0x26c7827d889f6da3n],
    ["Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1n],
  ])("of %j, as published", (text, hash) => {
    expect(xxh64(Buffer.from(text))).toBe(hash);
    expect(prefixes.hash(Buffer.from(text))).toBe(hash);
  });

  test("of every length up to 300 bytes", () => {
    const bytes = bytesOf(SEED, 300);
    for (let length = 0; length <= bytes.length; length++) {
      expect(prefixes.hash(bytes.subarray(0, length)), `${length} bytes`).toBe(xxh64(bytes.subarray(0, length)));
    }
  });
});

describe("the chain of prefix hashes", () => {
  test("is the oracle's", () => {
    const property = fc.property(requests, (request) => {
      const seed = seedOf(request.model, request.salt);
      const { blockTokens, most } = request;
      expect(ofFilter(request)).toEqual(request.prompts.map((prompt) => chainOf(prompt, blockTokens, seed, most)));
    });
    fc.assert(property, { numRuns: 500, seed: SEED });
  });
});

describe("xxhash-rust", () => {
  const found = locateRefcore();
  const refcore = "path" in found ? (createRequire(import.meta.url)(found.path) as Refcore) : undefined;
  if ("problem" in found) console.warn(`Hashes are not checked against xxhash-rust: ${found.problem}`);
  /** Left out where there is no Rust, but not where nobody would see it. */
  const testWithRust = test.skipIf(refcore === undefined && process.env.CI !== "true");

  testWithRust("gives the same hashes of bytes", () => {
    const property = fc.property(fc.nat(), fc.nat({ max: 5_000 }), (seed, length) => {
      const bytes = bytesOf(seed, length);
      expect(prefixes.hash(bytes)).toBe(built(refcore).hash(bytes, 0n));
    });
    fc.assert(property, { numRuns: 1_000, seed: SEED });
  });

  testWithRust("gives the same chains", () => {
    const property = fc.property(requests, (request) => {
      const { model, salt, prompts, blockTokens, most } = request;
      const [modelBytes, saltBytes] = [Buffer.from(model), Buffer.from(salt)];
      const chains = prompts.map((prompt) =>
        built(refcore).chain(modelBytes, saltBytes, prompt, blockTokens * 4, most),
      );
      expect(ofFilter(request)).toEqual(chains.map((chain) => [...chain]));
    });
    fc.assert(property, { numRuns: 2_000, seed: SEED });
  });

  function built(core: Refcore | undefined): Refcore {
    if (core === undefined) throw new Error("problem" in found ? found.problem : "");
    return core;
  }
});
