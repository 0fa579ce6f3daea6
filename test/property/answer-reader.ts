// The filter's reading of answers alone (assembly/test/usage.ts), compiled for these tests, fed piece by piece.

import { type Imports, instantiateSync } from "@assemblyscript/loader";
import { FETCH_BYTES, MODEL_BYTES_MAX } from "../../src/wire/limits.ts";
import { BodyBuffer } from "../host/body-buffer.ts";
import { compileEntry } from "../host/compile.ts";
import type { Usage } from "../oracle/usage.ts";

type Exports = {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  buffer(): number;
  nameBuffer(): number;
  begin(isEvents: boolean): void;
  setNames(callerLength: number, serverLength: number): void;
  feed(length: number): void;
  pass(length: number, isEnd: boolean): void;
  held(): number;
  input(): number;
  output(): number;
  cached(): number;
};

const NO_TOKENS = 0xffff_ffff;

export class AnswerReader {
  readonly #exports: Exports;
  readonly #piece: Uint8Array;
  #buffer = new BodyBuffer();

  private constructor(module: WebAssembly.Module) {
    // The rest of the host is imported too, and not called.
    const env = new Proxy<Record<string, unknown>>(
      { proxy_set_buffer_bytes: this.#setBuffer.bind(this) },
      { get: (known, name: string) => known[name] ?? (() => 1), has: () => true },
    );
    this.#exports = instantiateSync<Exports>(module, { env, wasi_snapshot_preview1: env } as Imports).exports;
    this.#exports._initialize();
    this.#piece = new Uint8Array(this.#exports.memory.buffer, this.#exports.buffer(), FETCH_BYTES);
  }

  static async build(): Promise<AnswerReader> {
    return new AnswerReader(await compileEntry("assembly/test/usage.ts"));
  }

  /** The usage that a body names, cut before each of `cuts` (ascending). */
  usage(body: Uint8Array, cuts: readonly number[], isEvents: boolean): Usage {
    const { input, output, cached, begin } = this.#exports;
    begin(isEvents);
    for (const piece of pieces(body, cuts)) this.#exports.feed(this.#write(piece));
    const named = (count: number) => (count >>> 0 === NO_TOKENS ? undefined : count >>> 0);
    const found = { input: named(input()), output: named(output()), cached: named(cached()) };
    return Object.fromEntries(Object.entries(found).filter(([, count]) => count !== undefined));
  }

  /** The pieces that a client gets; the last is what comes with the end. `heldMax`: the most that was held back. */
  renamed(body: Uint8Array, cuts: readonly number[], caller: string, server: string) {
    const { memory, nameBuffer, setNames, begin, pass, held } = this.#exports;
    const names = new Uint8Array(memory.buffer, nameBuffer(), 2 * MODEL_BYTES_MAX);
    const [from, to] = [Buffer.from(caller), Buffer.from(server)];
    names.set(from);
    names.set(to, MODEL_BYTES_MAX);
    setNames(from.length, to.length);
    begin(false);
    const sent: Buffer[] = [];
    let heldMax = 0;
    for (const [piece, isEnd] of [
      ...pieces(body, cuts).map((each) => [each, false] as const),
      [NOTHING, true] as const,
    ]) {
      this.#buffer = new BodyBuffer();
      this.#buffer.append(piece);
      pass(this.#write(piece), isEnd);
      heldMax = Math.max(heldMax, held());
      sent.push(Buffer.from(this.#buffer.drain()));
    }
    return { sent, heldMax };
  }

  #write(piece: Uint8Array): number {
    this.#piece.set(piece);
    return piece.length;
  }

  #setBuffer(_type: number, start: number, length: number, pointer: number, size: number): number {
    const bytes = new Uint8Array(this.#exports.memory.buffer, pointer, size).slice();
    const status = this.#buffer.set(start, length, bytes);
    if (status !== 0) throw new Error(`set_buffer_bytes(${start}, ${length}) with ${this.#buffer.size} bytes there`);
    return status;
  }
}

const NOTHING = new Uint8Array();

function pieces(body: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts.filter((cut) => cut > 0 && cut < body.length), body.length];
  return ends.map((end, i) => body.subarray(i === 0 ? 0 : ends[i - 1], end)).filter((piece) => piece.length > 0);
}
