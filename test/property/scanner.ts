// The filter's body scanner alone (assembly/test/scan.ts), compiled for these tests, fed piece by piece.

import { type Imports, instantiateSync } from "@assemblyscript/loader";
import { FETCH_BYTES, MODEL_BYTES_MAX } from "../../src/wire/limits.ts";
import { API_CHAT } from "../../src/wire/program.ts";
import { compileEntry } from "../host/compile.ts";
import type { ScanOutcome } from "../oracle/scan.ts";

export interface Scanned {
  readonly outcome: ScanOutcome;
  /** Text of `model`; undefined unless ok, and when it is longer than MODEL_BYTES_MAX. */
  readonly model: string | undefined;
  /** Where it stands in the body, without its quotes: the first byte, and the one after the last. */
  readonly modelBytes: readonly [number, number];
  readonly stream: boolean;
  /** The API's limit of output tokens. */
  readonly maxOutput: number | undefined;
  /** Of each prompt whole pseudo-tokens. */
  readonly prompts: readonly Buffer[];
  readonly tokens: number;
  readonly truncated: boolean;
  readonly salt: string;
}

type Exports = {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  proxy_on_memory_allocate(size: number): number;
  begin(api: number, extract: boolean): void;
  buffer(): number;
  feed(length: number): number;
  end(): void;
  isComplete(): number;
  top(): number;
  model(): number;
  modelPointer(): number;
  modelLength(): number;
  modelAt(): number;
  modelEnd(): number;
  stream(): number;
  maxOutput(): number;
  promptCount(): number;
  promptPointer(n: number): number;
  promptBytes(n: number): number;
  promptTokens(): number;
  isTruncated(): number;
  saltPointer(): number;
  saltLength(): number;
};

// What the exports answer, see assembly/request/3_scan.ts
const MORE = 0;
const TOO_DEEP = 2;
/** The host's status for a header that is not there. */
const NOT_FOUND = 1;
const TOP_OBJECT = 1;
const MODEL_TEXT = 1;
const MODEL_TOO_LONG = 3;

const BEHIND = Buffer.from(',"0\\');
const BEHIND_BYTES = 80;

export class Scanner {
  /** Request headers that a scan may ask for, by name in lower case. */
  readonly headers = new Map<string, string>();
  private readonly exports: Exports;
  private readonly piece: Uint8Array;

  private constructor(module: WebAssembly.Module) {
    // The type knows only the names of env that the loader itself fills.
    const env = { proxy_log: () => 0, proxy_get_header_map_value: this.getHeader.bind(this) };
    this.exports = instantiateSync<Exports>(module, { env: env as object } as Imports).exports;
    this.exports._initialize();
    this.piece = new Uint8Array(this.exports.memory.buffer, this.exports.buffer(), FETCH_BYTES);
  }

  /** Compiles the scanner as the release build does, into memory. */
  static async build(): Promise<Scanner> {
    return new Scanner(await compileEntry("assembly/test/scan.ts"));
  }

  /** Feeds the body cut before each of `cuts` (ascending), and in pieces that fit. */
  scan(body: Uint8Array, cuts: readonly number[] = [], api: number = API_CHAT, extract = true): Scanned {
    const { exports } = this;
    exports.begin(api, extract);
    let from = 0;
    let answer = MORE;
    for (const to of [...cuts, body.length]) {
      for (; answer === MORE && to - from > FETCH_BYTES; from += FETCH_BYTES) {
        answer = this.feed(body.subarray(from, from + FETCH_BYTES));
      }
      if (answer === MORE) answer = this.feed(body.subarray(from, to));
      if (answer !== MORE) break;
      from = to;
    }
    exports.end();
    const outcome = this.outcome(answer);
    const refused = outcome !== "ok" && outcome !== "no-model";
    return {
      outcome,
      model: outcome === "ok" && exports.model() === MODEL_TEXT ? this.model() : undefined,
      modelBytes: [exports.modelAt(), exports.modelEnd()],
      stream: !refused && exports.stream() !== 0,
      maxOutput: refused ? undefined : limit(exports.maxOutput()),
      prompts: Array.from({ length: exports.promptCount() }, (_, n) => this.prompt(n)),
      tokens: exports.promptTokens() >>> 0,
      truncated: exports.isTruncated() !== 0,
      salt: this.text(exports.saltPointer(), exports.saltLength()).toString("utf8"),
    };
  }

  private getHeader(_map: number, key: number, keyLength: number, outPointer: number, outSize: number): number {
    const value = this.headers.get(this.text(key, keyLength).toString("utf8"));
    if (value === undefined) return NOT_FOUND;
    const bytes = Buffer.from(value);
    const start = this.exports.proxy_on_memory_allocate(bytes.length);
    const { buffer } = this.exports.memory;
    new Uint8Array(buffer).set(bytes, start);
    new DataView(buffer).setUint32(outPointer, start, true);
    new DataView(buffer).setUint32(outSize, bytes.length, true);
    return 0;
  }

  private feed(piece: Uint8Array): number {
    this.piece.set(piece);
    // Whoever reads on past the end finds what would carry on or end a value.
    const behind = BEHIND[piece.length % BEHIND.length]!;
    this.piece.fill(behind, piece.length, piece.length + BEHIND_BYTES);
    return this.exports.feed(piece.length);
  }

  private prompt(n: number): Buffer {
    const start = this.exports.promptPointer(n);
    const bytes = this.exports.promptBytes(n);
    if (start % 8 !== 0 || bytes % 4 !== 0) throw new Error(`prompt ${n} of ${bytes} bytes at ${start}`);
    return this.text(start, bytes);
  }

  /** A copy: the next scan writes over what it finds there. */
  private text(start: number, length: number): Buffer {
    return Buffer.from(Buffer.from(this.exports.memory.buffer, start, length));
  }

  private outcome(answer: number): ScanOutcome {
    if (answer === TOO_DEEP) return "too-deep";
    if (answer !== MORE || this.exports.isComplete() === 0) return "not-json";
    if (this.exports.top() !== TOP_OBJECT) return "not-object";
    const model = this.exports.model();
    return model === MODEL_TEXT || model === MODEL_TOO_LONG ? "ok" : "no-model";
  }

  private model(): string {
    const length = this.exports.modelLength();
    if (length > MODEL_BYTES_MAX) throw new Error(`a model of ${length} bytes`);
    return this.text(this.exports.modelPointer(), length).toString("utf8");
  }
}

function limit(value: number): number | undefined {
  return value < 0 ? undefined : value;
}
