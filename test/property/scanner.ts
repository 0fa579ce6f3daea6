// The filter's body scanner alone (assembly/test/scan.ts), compiled for these tests, fed piece by piece.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Imports, instantiateSync } from "@assemblyscript/loader";
import { main } from "assemblyscript/asc";
import { FETCH_BYTES, MODEL_BYTES_MAX } from "../../src/wire/limits.ts";
import type { ScanOutcome, ScanResult } from "../oracle/scan.ts";

export interface Scanned extends ScanResult {
  /** Bytes of the value of `messages` or `prompt`, whichever came last. */
  readonly promptBytes: number;
}

type Exports = {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  reset(): void;
  buffer(): number;
  feed(length: number): number;
  isComplete(): number;
  top(): number;
  model(): number;
  modelPointer(): number;
  modelLength(): number;
  stream(): number;
  maxTokens(): number;
  maxCompletionTokens(): number;
  promptBytes(): number;
};

// What the exports answer, see assembly/request/3_scan.ts
const MORE = 0;
const TOO_DEEP = 2;
const TOP_OBJECT = 1;
const MODEL_TEXT = 1;
const MODEL_TOO_LONG = 3;

const BEHIND = Buffer.from(',"0\\');
const BEHIND_BYTES = 80;
const ROOT = new URL("../..", import.meta.url).pathname;

export class Scanner {
  private readonly exports: Exports;
  private readonly piece: Uint8Array;

  private constructor(module: WebAssembly.Module) {
    // The type knows only the names of env that the loader itself fills.
    const imports = { env: { proxy_log: () => 0 } as object } as Imports;
    this.exports = instantiateSync<Exports>(module, imports).exports;
    this.exports._initialize();
    this.piece = new Uint8Array(this.exports.memory.buffer, this.exports.buffer(), FETCH_BYTES);
  }

  /** Compiles the scanner as the release build does, into memory. */
  static async build(): Promise<Scanner> {
    let wasm: Uint8Array | undefined;
    const options = ["assembly/test/scan.ts", "assembly/trap.ts", "--baseDir", ROOT, "--outFile", "scan.wasm"];
    const release = ["-O3", "--converge", "--runtime", "stub", "--enable", "simd", "--exportStart", "_initialize"];
    const { error, stderr } = await main([...options, ...release, "--use", "abort=assembly/trap/abort"], {
      readFile(name: string, baseDir: string): string | null {
        if (name === "asconfig.json") return null;
        try {
          return readFileSync(join(baseDir, name), "utf8");
        } catch {
          return null;
        }
      },
      writeFile(name: string, contents: Uint8Array | string): void {
        if (name === "scan.wasm") wasm = contents as Uint8Array;
      },
    });
    if (error !== null || wasm === undefined) throw new Error(stderr.toString());
    return new Scanner(new WebAssembly.Module(wasm));
  }

  /** Feeds the body cut before each of `cuts` (ascending). */
  scan(body: Uint8Array, cuts: readonly number[]): Scanned {
    const { exports } = this;
    exports.reset();
    let from = 0;
    let answer = MORE;
    for (const to of [...cuts, body.length]) {
      this.piece.set(body.subarray(from, to));
      // Whoever reads on past the end finds what would carry on or end a value.
      this.piece.fill(BEHIND[(to - from) % BEHIND.length]!, to - from, to - from + BEHIND_BYTES);
      answer = exports.feed(to - from);
      if (answer !== MORE) break;
      from = to;
    }
    const outcome = this.outcome(answer);
    const refused = outcome !== "ok" && outcome !== "no-model";
    return {
      outcome,
      model: outcome === "ok" && exports.model() === MODEL_TEXT ? this.model() : undefined,
      stream: !refused && exports.stream() !== 0,
      maxTokens: refused ? undefined : limit(exports.maxTokens()),
      maxCompletionTokens: refused ? undefined : limit(exports.maxCompletionTokens()),
      promptBytes: exports.promptBytes(),
    };
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
    return Buffer.from(this.exports.memory.buffer, this.exports.modelPointer(), length).toString("utf8");
  }
}

function limit(value: number): number | undefined {
  return value < 0 ? undefined : value;
}
