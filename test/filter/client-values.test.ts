// What a stream keeps of its client headers (assembly/test/client.ts): names as hashes, times in milliseconds.

import { type Imports, instantiateSync } from "@assemblyscript/loader";
import { beforeAll, describe, expect, test } from "vitest";
import * as names from "../../src/wire/names.ts";
import { compileEntry } from "../host/compile.ts";
import { fnv1a } from "../host/fnv.ts";

type Exports = {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  begin(): void;
  namePointer(): number;
  valuePointer(): number;
  take(nameLength: number, length: number): void;
  ttlMs(): number;
  ttftMs(): number;
  fairness(): bigint;
  objective(): bigint;
};

let exports: Exports;

beforeAll(async () => {
  const module = await compileEntry("assembly/test/client.ts");
  // The type knows only the names of env that the loader itself fills.
  const env = { proxy_log: () => 0, proxy_remove_header_map_value: () => 0, proxy_get_header_map_value: () => 1 };
  exports = instantiateSync<Exports>(module, { env: env as object } as Imports).exports;
  exports._initialize();
});

function take(...headers: readonly (readonly [name: string, value: string])[]): void {
  exports.begin();
  for (const [name, value] of headers) {
    const bytes = Buffer.from(exports.memory.buffer);
    exports.take(bytes.write(name, exports.namePointer()), bytes.write(value, exports.valuePointer()));
  }
}

describe("times", () => {
  const TIMES: readonly (readonly [text: string, ttlMs: number, ttftMs: number])[] = [
    ["30", 30_000, 30],
    ["1.5", 1_500, 2],
    ["0.25s", 250, 250],
    ["1500ms", 1_500, 1_500],
    ["2s", 2_000, 2_000],
    ["1m", 60_000, 60_000],
    ["1h", 3_600_000, 3_600_000],
    ["0", 0, 0],
    ["999999999", 0xffffffff, 999_999_999],
    ["9999999999", 0, 0],
    ["", 0, 0],
    [".", 0, 0],
    ["s", 0, 0],
    ["-1", 0, 0],
    ["1.2.3", 0, 0],
    ["1 s", 0, 0],
    ["1sec", 0, 0],
    ["1e3", 0, 0],
  ];

  test.each(TIMES)("%j", (text, ttlMs, ttftMs) => {
    take([names.HEADER_TTL, text], [names.HEADER_SLO_TTFT, text]);
    expect(exports.ttlMs() >>> 0).toBe(ttlMs);
    expect(exports.ttftMs() >>> 0).toBe(ttftMs);
  });

  test("of two spellings the current one counts, of two headers the first", () => {
    take([names.HEADER_SLO_TTFT_OLD, "7"], [names.HEADER_SLO_TTFT, "8"], [names.HEADER_SLO_TTFT, "9"]);
    expect(exports.ttftMs()).toBe(8);
    take([names.HEADER_SLO_TTFT, "8"], [names.HEADER_SLO_TTFT_OLD, "7"]);
    expect(exports.ttftMs()).toBe(8);
    take([names.HEADER_SLO_TTFT_OLD, "7"]);
    expect(exports.ttftMs()).toBe(7);
  });
});

test("names are kept as their hashes, and not from one request to the next", () => {
  take([names.HEADER_FAIRNESS_OLD, "old"], [names.HEADER_FAIRNESS, "tenant é"], [names.HEADER_OBJECTIVE, "o"]);
  expect(BigInt.asUintN(64, exports.fairness())).toBe(fnv1a("tenant é"));
  expect(BigInt.asUintN(64, exports.objective())).toBe(fnv1a("o"));
  take([names.HEADER_FAIRNESS, "new"], [names.HEADER_FAIRNESS_OLD, "old"]);
  expect(BigInt.asUintN(64, exports.fairness())).toBe(fnv1a("new"));
  expect(exports.objective()).toBe(0n);
  take(["x-other-header-of-another-length", "v"]);
  expect(exports.fairness()).toBe(0n);
});
