// What the objects say about models, in the snapshot: damaged sections are refused whole, and whatever passes the
// checks can be served by.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as wire from "../../src/wire/models.ts";
import { ENDPOINT_BYTES, HEADER_BYTES, P_MODELS, P_MODELS_BYTES, POOL_BYTES } from "../../src/wire/snapshot.ts";
import { encodeModels, type ModelsSpec } from "../host/models.ts";
import { encodeTopology, type PoolSpec, resum } from "../host/snapshot.ts";
import { CHAT, Gateway, IDLE, POOL } from "./gateway.ts";
import { sent } from "./resolved.ts";

const A = "10.0.0.1:8000";
const models: ModelsSpec = {
  objectives: { high: 9, low: -9 },
  models: [{ name: "llama", targets: [{ name: "llama-a", weight: 3 }, { name: "llama-b" }], priority: 4 }],
  generic: { targets: [{ name: "base" }] },
};
const pool: PoolSpec = { name: POOL, models, endpoints: [{ address: A }] };

const MODELS_AT = HEADER_BYTES + POOL_BYTES + ENDPOINT_BYTES;
const OBJECTIVE_AT = wire.MODELS_BYTES;
const MODEL_AT = OBJECTIVE_AT + 2 * wire.OBJECTIVE_BYTES;
const TARGET_AT = MODEL_AT + 2 * wire.MODEL_BYTES;
const SECTION_BYTES = TARGET_AT + 3 * wire.TARGET_BYTES;

const u32 = (value: number, at: number) => (bytes: Buffer) => bytes.writeUInt32LE(value, MODELS_AT + at);

test("the section lies where these tests think", () => {
  const section = encodeModels(models, () => [0, 0]);
  expect(section.length).toBe(SECTION_BYTES);
  const blob = encodeTopology(1, [pool]);
  expect(blob.readUInt32LE(HEADER_BYTES + P_MODELS)).toBe(MODELS_AT);
});

describe("a damaged section is refused, and what was in force stays", () => {
  const cases: readonly (readonly [string, (bytes: Buffer) => void])[] = [
    ["it begins beyond the blob", (bytes) => bytes.writeUInt32LE(1e6, HEADER_BYTES + P_MODELS)],
    ["it begins inside the header", (bytes) => bytes.writeUInt32LE(8, HEADER_BYTES + P_MODELS)],
    ["it is not aligned", (bytes) => bytes.writeUInt32LE(MODELS_AT + 4, HEADER_BYTES + P_MODELS)],
    ["it is longer than the blob", (bytes) => bytes.writeUInt32LE(1e6, HEADER_BYTES + P_MODELS_BYTES)],
    ["it is shorter than its head", (bytes) => bytes.writeUInt32LE(24, HEADER_BYTES + P_MODELS_BYTES)],
    ["it is shorter than its tables", (bytes) => bytes.writeUInt32LE(SECTION_BYTES - 8, HEADER_BYTES + P_MODELS_BYTES)],
    ["too many objectives", u32(4_097, wire.O_OBJECTIVE_COUNT)],
    ["objectives without end", u32(0xffffffff, wire.O_OBJECTIVE_COUNT)],
    ["models without end", u32(0x0555_5557, wire.O_MODEL_COUNT)],
    ["targets without end", u32(0x1000_0003, wire.O_TARGET_COUNT)],
    ["a generic row that is not the last", u32(0, wire.O_GENERIC)],
    ["a generic row that there is not", u32(2, wire.O_GENERIC)],
    ["an objective's name beyond the heap", u32(1e6, OBJECTIVE_AT + wire.OBJECTIVE_NAME_OFFSET)],
    ["a model's name beyond the heap", u32(1e6, MODEL_AT + wire.MODEL_NAME_OFFSET)],
    ["a model's name of 257 bytes", u32(257, MODEL_AT + wire.MODEL_NAME_LENGTH)],
    ["a model's targets beyond the last", u32(4, MODEL_AT + wire.MODEL_TARGET_COUNT)],
    ["a model's first target near 2³²", u32(0xffffffff, MODEL_AT + wire.MODEL_FIRST_TARGET)],
    ["targets that weigh nothing", u32(0, MODEL_AT + wire.MODEL_TOTAL_WEIGHT)],
    ["a rule's name beyond the heap", u32(1e6, MODEL_AT + wire.MODEL_RULE_OFFSET)],
    ["a target's name beyond the heap", u32(0xffffffff, TARGET_AT + wire.TARGET_NAME_OFFSET)],
    ["a target without a name", u32(0, TARGET_AT + wire.TARGET_NAME_LENGTH)],
    ["a target's name of 257 bytes", u32(257, TARGET_AT + wire.TARGET_NAME_LENGTH)],
  ];

  test.each(cases)("%s", (_, damage) => {
    const gateway = new Gateway();
    gateway.control.topology([{ ...pool, models: { generic: { targets: [{ name: "before" }] } } }]);
    gateway.control.metrics([IDLE]);
    expect(sent(gateway.worker.drive({ body: CHAT })).model).toBe("before");
    // Room behind the names, so that a length alone is not what is refused.
    const blob = encodeTopology(2, [{ ...pool, endpoints: [{ address: A, pod: "p".repeat(300) }] }]);
    damage(blob);
    const answer = gateway.control.exchange("PUT", "/v1/topology", resum(blob));
    expect(answer.json).toMatchObject({ error: { code: "bad_table" } });
    gateway.advance(2);
    expect(sent(gateway.worker.drive({ body: CHAT })).model).toBe("before");
  });

  test("undamaged it is taken", () => {
    const gateway = new Gateway();
    gateway.control.topology([pool]);
    gateway.control.metrics([IDLE]);
    expect(sent(gateway.worker.drive({ body: CHAT })).model).toMatch(/^llama-[ab]$/);
  });
});

test("whatever bytes it has, requests are answered or go on", () => {
  const byte = fc.nat({ max: SECTION_BYTES + 40 });
  const change = fc.tuple(byte, fc.constantFrom(0, 1, 2, 3, 127, 128, 255));
  let taken = 0;
  const gateway = new Gateway({ explain: true });
  gateway.control.topology([pool]);
  let epoch = 1;
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
      const blob = encodeTopology(++epoch, [pool]);
      for (const [at, value] of changes) blob[MODELS_AT - 40 + at] = value;
      const { status } = gateway.control.exchange("PUT", "/v1/topology", resum(blob));
      if (status === 200) ++taken;
      gateway.advance(2);
      for (const model of ["llama", "other", ""]) {
        for (const objective of ["high", "nobody"]) {
          const headers = [["x-llm-d-inference-objective", objective]] as const;
          gateway.worker.drive({ body: JSON.stringify({ model, prompt: "" }), path: "/v1/completions", headers });
        }
      }
      expect(gateway.worker.vm.trap).toBeUndefined();
      expect(gateway.control.vm.trap).toBeUndefined();
    }),
    { numRuns: 2_000, seed: Number(process.env.FUZZ_SEED ?? 1) },
  );
  expect(taken).toBeGreaterThan(200);
}, 60_000);
