// The scanner against JSON.parse: every body gives the same answer, however it is cut into pieces.
// FC_SEED=<number> tries other bodies.

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { API_COMPLETIONS } from "../../src/wire/program.ts";
import { type ScanResult, scan } from "../oracle/scan.ts";
import { body, deep, object } from "./json.ts";
import { type Scanned, Scanner } from "./scanner.ts";

const SEED = Number(process.env.FC_SEED ?? 42);
/** Up to this length a body is tried at every split point. */
const SHORT = 120;

let scanner: Scanner;
beforeAll(async () => {
  scanner = await Scanner.build();
});

function withoutPrompts({ outcome, model, stream, maxOutput }: Scanned): ScanResult {
  return { outcome, model, stream, maxOutput };
}

/** A lone surrogate has no UTF-8: both sides are compared as what reaches the wire. */
function onTheWire(result: ScanResult): ScanResult {
  return { ...result, model: result.model?.toWellFormed() };
}

/** What `expect` compares, in a fraction of its time: it is asked a million times. */
function isSame(seen: ScanResult, expected: ScanResult): boolean {
  return (
    seen.outcome === expected.outcome &&
    seen.model === expected.model &&
    seen.stream === expected.stream &&
    seen.maxOutput === expected.maxOutput
  );
}

function check(bytes: Buffer, cuts: readonly number[], expected: ScanResult): void {
  const seen = scanner.scan(bytes, cuts);
  if (isSame(seen, expected) && isWhereItSays(bytes, seen)) return;
  const shown = `${bytes.toString("latin1")} cut at ${cuts}`;
  expect(withoutPrompts(seen), shown).toEqual(expected);
  expect.fail(`${shown}: the model does not stand at ${seen.modelBytes}`);
}

/** Whether the bytes that would be replaced are the model's name. */
function isWhereItSays(bytes: Buffer, { outcome, model, modelBytes: [at, end] }: Scanned): boolean {
  if (outcome !== "ok" || model === undefined) return true;
  const written = bytes.toString("utf8", at - 1, end + 1);
  return written.at(-1) === '"' && JSON.parse(written).toWellFormed() === model;
}

function everyCut(bytes: Buffer): number[][] {
  const all = Array.from({ length: bytes.length }, (_, at) => [at]);
  return [[], ...all, everyByte(bytes)];
}

function everyByte(bytes: Buffer): number[] {
  return Array.from({ length: Math.max(0, bytes.length - 1) }, (_, at) => at + 1);
}

const places = fc.array(fc.nat(), { maxLength: 4 });

function checkAll(bytes: Buffer, random: readonly number[]): void {
  const expected = onTheWire(scan(bytes));
  const cuts = random.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b);
  const ways = bytes.length <= SHORT ? everyCut(bytes) : [[], cuts, everyByte(bytes)];
  for (const way of ways) check(bytes, way, expected);
}

describe("the scanner finds what JSON.parse finds", () => {
  test("in bodies of every spelling, whole and damaged", () => {
    fc.assert(fc.property(body, places, checkAll), { numRuns: 6_000, seed: SEED });
  });

  test("in whole objects", () => {
    fc.assert(fc.property(object, places, checkAll), { numRuns: 1_500, seed: SEED });
  });

  test("with every byte in every place", () => {
    const sample = Buffer.from(
      '{"model":"a\\u00E9\\n\\ud83d\\ude00","x":"\\b\\f\\/ é漢 abcdefghijklmnopqrst",' +
        '"max_tokens":10.50e+1,"y":[true,-0,{}]}',
    );
    expect(scan(sample).outcome).toBe("ok");
    for (let at = 0; at < sample.length; at++) {
      for (let byte = 0; byte < 256; byte++) {
        const bytes = Buffer.from(sample);
        bytes[at] = byte;
        const expected = onTheWire(scan(bytes));
        check(bytes, [], expected);
        check(bytes, [at, at + 1], expected);
      }
    }
  });

  test("up to the limit of depth, and refuses what is deeper", () => {
    fc.assert(fc.property(deep, places, checkAll), { numRuns: 100, seed: SEED });
    const outcomes = [510, 511, 512].map((depth) => {
      const text = `{"model":"m","a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
      return scanner.scan(Buffer.from(text), []).outcome;
    });
    expect(outcomes).toEqual(["ok", "ok", "too-deep"]);
  });
});

// Text is read in blocks of 64 bytes, integers in runs: each thing in each place of them.
describe("blocks and runs", () => {
  const ODD = ["\\n", '\\"', "\\\\", "\\/", "\\u00e9", "\\u00e", "\\x", '\\\\\\"', '"', "\t", "é", "漢字", "👩"];

  function checkPlaces(bytes: Buffer, at: number): void {
    const expected = onTheWire(scan(bytes));
    for (const way of [[], [at], [at + 1], [at + 2]]) check(bytes, way, expected);
  }

  test.each(ODD)("%j after and before 0 … 140 bytes of text", (odd) => {
    for (let before = 0; before <= 140; before++) {
      for (const after of [0, 1, 30, 63, 64, 100]) {
        const text = `{"x":"${"a".repeat(before)}${odd}${"n".repeat(after)}","model":"m"}`;
        checkPlaces(Buffer.from(text), 6 + before);
      }
    }
  });

  const RUNS = [
    "1,02",
    "1,0,2",
    "1,02,3",
    "1,0123456789,2",
    "1, 23 ,4",
    "1,  2",
    "1,-2,3",
    "1,2.5,3",
    "1,2e3,4",
    "1,2,",
    "1,,2",
    "12,345,6789",
    "1,x",
  ];

  const BRACKETS = [
    ["[", "]"],
    ["[[", "]]"],
    ['{"x":', "}"],
  ];

  test.each(RUNS)("the numbers %s, in an array and in an object", (run) => {
    for (const [open, close] of BRACKETS) {
      const bytes = Buffer.from(`{"model":"m","prompt":${open}${run}${close}}`);
      const expected = onTheWire(scan(bytes));
      for (const way of everyCut(bytes)) {
        check(bytes, way, expected);
        // There they are tokens that are wanted.
        expect(scanner.scan(bytes, way, API_COMPLETIONS).outcome, `${bytes}`).toBe(expected.outcome);
      }
    }
  });
});

describe("UTF-8", () => {
  const EDGES = [0x22, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
  /** The character in a string nobody wants, far from its end and at its end, in a name and in the model. */
  const around = [
    ['{"model":"m","x":"', 'abcdefgh"}'],
    ['{"model":"m","x":"', '"}'],
    ['{"model":"m","漢', 'ab":1}'],
    ['{"model":"', '"}'],
  ].map(([before, after]) => [Buffer.from(before!), Buffer.from(after!)] as const);

  function checkEverywhere(bytes: readonly number[]): void {
    for (const [before, after] of around) {
      const whole = Buffer.concat([before, Buffer.from(bytes), after]);
      const expected = onTheWire(scan(whole));
      check(whole, [], expected);
      check(whole, [before.length + 1], expected);
      check(whole, [before.length + 2], expected);
    }
  }

  test("every pair of bytes", () => {
    for (let first = 0x7f; first <= 0xff; first++) {
      for (let second = first < 0xc0 ? 0x7e : 0; second <= 0xff; second += first < 0xc0 ? 0x41 : 1) {
        checkEverywhere([first, second]);
      }
    }
  });

  test("three and four bytes at the edges of what is allowed", () => {
    for (const first of [0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef]) {
      for (const second of EDGES) for (const third of EDGES) checkEverywhere([first, second, third]);
    }
    for (const first of [0xf0, 0xf1, 0xf3, 0xf4, 0xf5]) {
      for (const second of EDGES) for (const third of EDGES) checkEverywhere([first, second, third, 0x80]);
      for (const fourth of EDGES) checkEverywhere([first, 0x90, 0x80, fourth]);
    }
  });

  test("a byte order mark is not JSON", () => {
    check(Buffer.from('\ufeff{"model":"m"}'), [], { ...scan(Buffer.from("x")), outcome: "not-json" });
  });
});

// Named because each was once, or could easily be, got wrong.
test.each([
  ["", "not-json"],
  ["   ", "not-json"],
  ["{", "not-json"],
  ['{"model":"m"', "not-json"],
  ['{"model":"m"}}', "not-json"],
  ['{"model":"m"} x', "not-json"],
  ['{"model":"m",}', "not-json"],
  ['{"model":"a\nb"}', "not-json"],
  ['{"model":01}', "not-json"],
  ['{"model":1.}', "not-json"],
  ['{"model":tru}', "not-json"],
  ["[]", "not-object"],
  ['"model"', "not-object"],
  ["12", "not-object"],
  ["-0.5e-3", "not-object"],
  ["null", "not-object"],
  ["{}", "no-model"],
  ['{"model":null}', "no-model"],
  ['{"model":["m"]}', "no-model"],
  ['{"messages":[{"model":"m"}]}', "no-model"],
  ['{"model":"a","model":7}', "no-model"],
  ['{"model":7,"model":"a"}', "ok"],
  ['{"mod\\u0065l":"m"}', "ok"],
  ['{"model":""}', "ok"],
])("%s is %s", (text, outcome) => {
  const bytes = Buffer.from(text);
  expect(scan(bytes).outcome).toBe(outcome);
  for (const cuts of everyCut(bytes)) expect(scanner.scan(bytes, cuts).outcome).toBe(outcome);
});

test.each([
  ["16", 16],
  ["0", 0],
  ["-0", 0],
  ["1e2", 100],
  ["1.5E1", 15],
  ["20.0", 20],
  ["2147483647", 2_147_483_647],
  ["2147483648", undefined],
  ["1.5", undefined],
  ["-1", undefined],
  ['"16"', undefined],
  ["null", undefined],
  ["1e99", undefined],
  ["99999999999999999999999", undefined],
])("a token limit written %s counts as %s", (text, limit) => {
  const bytes = Buffer.from(`{"model":"m","max_tokens":${text}}`);
  expect(scan(bytes).maxOutput).toBe(limit);
  for (const cuts of everyCut(bytes)) expect(scanner.scan(bytes, cuts).maxOutput).toBe(limit);
});
