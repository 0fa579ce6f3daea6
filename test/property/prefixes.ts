// The filter's hash chain and prefix index alone (assembly/test/prefix.ts), compiled for these tests.

import { type Imports, instantiateSync } from "@assemblyscript/loader";
import { INSPECTION_BYTES } from "../../src/wire/limits.ts";
import { compileEntry } from "../host/compile.ts";

type Exports = {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  bufferPointer(): number;
  hash(offset: number, length: number): bigint;
  chainSeed(modelLength: number, saltLength: number): bigint;
  chainBegin(): void;
  chainAdd(offset: number, bytes: number, blockTokens: number, seed: bigint, maxBlocks: number): void;
  chainCount(): number;
  chainPointer(): number;
  promptCount(): number;
  promptEnd(n: number): number;
  open(budgetBytes: number): number;
  setEndpoints(idLimit: number): void;
  setCapacity(id: number, blocks: number): void;
  setShare(endpoints: number): void;
  forget(id: number): void;
  renew(): void;
  match(): void;
  matched(id: number): number;
  insert(id: number): number;
  news(): number;
  learn(id: number, count: number): void;
  pairs(): number;
  bytes(): number;
};

/** What the filter gives when a document says nothing. */
const MAX_BLOCKS = 2048;
const BLOCK_TOKENS = 64;
const BLOCK_BYTES = BLOCK_TOKENS * 4;

/** Once for all. */
let compiled: Promise<WebAssembly.Module> | undefined;

export class Prefixes {
  readonly exports: Exports;
  private readonly buffer: number;

  private constructor(module: WebAssembly.Module) {
    // The type knows only the names of env that the loader itself fills.
    const imports = { env: { proxy_log: () => 0 } as object } as Imports;
    this.exports = instantiateSync<Exports>(module, imports).exports;
    this.exports._initialize();
    this.buffer = this.exports.bufferPointer();
  }

  static async build(): Promise<Prefixes> {
    compiled ??= compileEntry("assembly/test/prefix.ts");
    return new Prefixes(await compiled);
  }

  /** With an index of that size, for ids below `endpoints`. */
  static async open(budgetBytes: number, endpoints: number): Promise<Prefixes> {
    const prefixes = await Prefixes.build();
    if (prefixes.exports.open(budgetBytes) === 0) throw new Error(`no index of ${budgetBytes} bytes`);
    prefixes.exports.setEndpoints(endpoints);
    prefixes.exports.setShare(endpoints);
    return prefixes;
  }

  write(bytes: Uint8Array): void {
    if (bytes.length > INSPECTION_BYTES) throw new Error(`${bytes.length} bytes are too many`);
    new Uint8Array(this.exports.memory.buffer).set(bytes, this.buffer);
  }

  hash(bytes: Uint8Array): bigint {
    this.write(bytes);
    return BigInt.asUintN(64, this.exports.hash(0, bytes.length));
  }

  seed(model: Uint8Array, salt: Uint8Array): bigint {
    this.write(Buffer.concat([model, salt]));
    return BigInt.asUintN(64, this.exports.chainSeed(model.length, salt.length));
  }

  /** The chain of these prompts, which the next match or insert is about. */
  chain(prompts: readonly Uint8Array[], blockTokens: number, seed: bigint, maxBlocks: number): bigint[][] {
    const { exports } = this;
    exports.chainBegin();
    for (const prompt of prompts) {
      this.write(prompt);
      exports.chainAdd(0, prompt.length, blockTokens, seed, maxBlocks);
    }
    const ends = Array.from({ length: exports.promptCount() }, (_, n) => exports.promptEnd(n));
    const all = this.hashesAt(exports.chainPointer(), exports.chainCount());
    return ends.map((end, n) => all.slice(n === 0 ? 0 : ends[n - 1], end));
  }

  /** The chain of prompts of whole blocks, each block told apart by a number. */
  chainOfBlocks(prompts: readonly (readonly number[])[]): bigint[][] {
    const bytes = prompts.map((blocks) => {
      const words = new Uint32Array((blocks.length * BLOCK_BYTES) / 4);
      for (const [n, block] of blocks.entries()) words.fill(block, n * BLOCK_TOKENS, (n + 1) * BLOCK_TOKENS);
      return new Uint8Array(words.buffer);
    });
    return this.chain(bytes, BLOCK_TOKENS, 1n, MAX_BLOCKS);
  }

  /** Learns the chain for the endpoint; answers what others must be told. */
  insert(id: number): bigint[] {
    const count = this.exports.insert(id);
    return this.hashesAt(this.exports.news(), count);
  }

  learn(id: number, hashes: readonly bigint[]): void {
    new BigUint64Array(this.exports.memory.buffer, this.buffer, hashes.length).set(hashes);
    this.exports.learn(id, hashes.length);
  }

  private hashesAt(pointer: number, count: number): bigint[] {
    return [...new BigUint64Array(this.exports.memory.buffer, pointer, count)];
  }
}
