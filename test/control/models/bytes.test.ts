// Tables of models to bytes and back: two encoders, and bytes that are none.

import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeSnapshot } from "../../../src/control/decode.ts";
import { encodeTopology } from "../../../src/control/encode.ts";
import { fnv1a } from "../../../src/control/hash.ts";
import type { ModelEntry, ModelRule, PoolModels } from "../../../src/control/models/models.ts";
import * as m from "../../../src/wire/models.ts";
import * as w from "../../../src/wire/snapshot.ts";
import * as host from "../../host/snapshot.ts";

const name = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
const rule: fc.Arbitrary<ModelRule> = fc.record({
  rule: name,
  targets: fc.array(fc.record({ name, weight: fc.integer({ min: 1, max: 1_000_000 }) }), {
    minLength: 1,
    maxLength: 4,
  }),
});
const int32 = fc.integer({ min: -2_147_483_648, max: 2_147_483_647 });
const entry: fc.Arbitrary<ModelEntry> = fc.record({
  name,
  rule: fc.option(rule, { nil: undefined }),
  priority: fc.option(int32, { nil: undefined }),
  routes: fc.boolean(),
});
const table: fc.Arbitrary<PoolModels> = fc
  .record({
    objectives: fc.uniqueArray(fc.record({ name, priority: int32 }), { selector: (each) => each.name, maxLength: 6 }),
    models: fc.uniqueArray(entry, { selector: (each) => each.name, maxLength: 6 }),
    generic: fc.option(rule, { nil: undefined }),
  })
  .map(({ objectives, models, generic }) => ({ objectives: inOrder(objectives), models: inOrder(models), generic }));

/** As the wire has them. Names of different hashes only: equal ones are not found by chance. */
function inOrder<T extends { readonly name: string }>(items: readonly T[]): readonly T[] {
  return [...items].sort((a, b) => (fnv1a(a.name) < fnv1a(b.name) ? -1 : 1));
}

function blobOf(tables: readonly (PoolModels | undefined)[]): Buffer {
  const pools = tables.map((models, i) => ({
    name: `default/p${i}`,
    failureMode: "FailClose" as const,
    endpoints: [{ address: `10.0.0.${i}:8000`, pod: "pod", id: "id", passes: 0n, columns: [] }],
    ...(models === undefined ? {} : { models }),
  }));
  return encodeTopology({ epoch: 1, pools });
}

function decoded(bytes: Buffer): readonly (PoolModels | undefined)[] {
  const result = decodeSnapshot(bytes);
  if (!result.ok || result.value.kind !== "topology") throw new Error(JSON.stringify(result));
  return result.value.topology.pools.map((pool) => pool.models);
}

describe("round trip", () => {
  test("of each pool's table, beside pools without one", () => {
    fc.assert(
      fc.property(fc.array(fc.option(table, { nil: undefined }), { minLength: 1, maxLength: 4 }), (tables) => {
        expect(decoded(blobOf(tables))).toEqual(tables);
      }),
    );
  });

  test("the order of a table does not show in its bytes", () => {
    fc.assert(
      fc.property(table, ({ objectives, models, generic }) => {
        const turned = { objectives: [...objectives].reverse(), models: [...models].reverse(), generic };
        expect(blobOf([turned]).equals(blobOf([{ objectives, models, generic }]))).toBe(true);
      }),
    );
  });

  test("two encoders agree", () => {
    fc.assert(
      fc.property(table, (models) => {
        const theirs = host.encodeTopology(1, [
          {
            name: "default/p0",
            endpoints: [],
            models: {
              objectives: Object.fromEntries(models.objectives.map((each) => [each.name, each.priority])),
              models: models.models.map(({ rule: own, priority, ...each }) => ({
                ...each,
                ...own,
                ...(priority === undefined ? {} : { priority }),
              })),
              ...(models.generic === undefined ? {} : { generic: models.generic }),
            },
          },
        ]);
        expect(decoded(theirs)).toEqual([models]);
      }),
    );
  });

  test("a pool without a table has the bytes it had; the older format has no tables", () => {
    const models: PoolModels = { objectives: [{ name: "o", priority: 1 }], models: [], generic: undefined };
    const without = blobOf([undefined]);
    const row = without.subarray(w.HEADER_BYTES, w.HEADER_BYTES + w.POOL_BYTES);
    expect([row.readUInt32LE(w.P_MODELS), row.readUInt32LE(w.P_MODELS_BYTES)]).toEqual([0, 0]);
    expect(blobOf([models]).length).toBeGreaterThan(without.length);
    const pools = [{ name: "default/p", failureMode: "FailClose" as const, endpoints: [] }];
    const old = encodeTopology({ epoch: 1, pools }, w.FORMAT_OLDEST);
    expect(encodeTopology({ epoch: 1, pools: pools.map((pool) => ({ ...pool, models })) }, w.FORMAT_OLDEST)).toEqual(
      old,
    );
  });
});

describe("bytes that are no table", () => {
  const good = blobOf([
    {
      objectives: [{ name: "high", priority: 3 }],
      models: inOrder([
        { name: "a", rule: { rule: "r", targets: [{ name: "x", weight: 2 }] }, priority: undefined, routes: true },
        { name: "b", rule: undefined, priority: -1, routes: false },
      ]),
      generic: { rule: "r", targets: [{ name: "y", weight: 1 }] },
    },
  ]);
  const at = good.readUInt32LE(w.HEADER_BYTES + w.P_MODELS);
  const modelsAt = at + m.MODELS_BYTES + m.OBJECTIVE_BYTES;
  const targetsAt = modelsAt + 3 * m.MODEL_BYTES;

  function told(change: (bytes: Buffer) => void): string {
    const bytes = Buffer.from(good);
    change(bytes);
    bytes.writeUInt32LE(crc32(bytes.subarray(w.CRC_FROM)), w.H_CRC32);
    const result = decodeSnapshot(bytes);
    return result.ok ? "ok" : result.error.message;
  }

  test.each<[string, (bytes: Buffer) => void]>([
    ["ok", () => {}],
    ["models of pool 0: 8 bytes, expected at least 32", (b) => b.writeUInt32LE(8, w.HEADER_BYTES + w.P_MODELS_BYTES)],
    ["models of pool 0: lies at 4…", (b) => b.writeUInt32LE(4, w.HEADER_BYTES + w.P_MODELS)],
    ["models of pool 0: lies at ", (b) => b.writeUInt32LE(at + 4, w.HEADER_BYTES + w.P_MODELS)],
    ["models of pool 0: 4097 models, expected at most 4096", (b) => b.writeUInt32LE(4097, at + m.O_MODEL_COUNT)],
    ["models of pool 0: the tables take ", (b) => b.writeUInt32LE(3, at + m.O_TARGET_COUNT)],
    ["row 1 for every model, expected the last of 3 or none", (b) => b.writeUInt32LE(1, at + m.O_GENERIC)],
    ["has targets 9…10 of 2", (b) => b.writeUInt32LE(9, modelsAt + m.MODEL_FIRST_TARGET)],
    ["do not add up to 7", (b) => b.writeUInt32LE(7, modelsAt + 2 * m.MODEL_BYTES + m.MODEL_TOTAL_WEIGHT)],
    ["weights of model ", (b) => b.writeUInt32LE(0, targetsAt + m.TARGET_UP_TO)],
    ["objective 0 has another hash than its name", (b) => b.writeUInt32LE(0, at + m.MODELS_BYTES)],
    [
      "model 1 is not after the one before it",
      (b) => b.copy(b, modelsAt + m.MODEL_BYTES, modelsAt, modelsAt + m.MODEL_BYTES),
    ],
    [
      "name of objective 0 lies at 9999…10003 of a heap of",
      (b) => b.writeUInt32LE(9999, at + m.MODELS_BYTES + m.OBJECTIVE_NAME_OFFSET),
    ],
  ])("%s", (message, change) => {
    expect(told(change)).toContain(message);
  });

  test("nothing makes it throw, however the tables lie", () => {
    const word = fc.integer({ min: at / 4, max: targetsAt / 4 + 7 });
    fc.assert(
      fc.property(fc.array(fc.tuple(word, fc.oneof(fc.nat(80), fc.integer({ min: 0, max: 0xffff_ffff })))), (words) => {
        const message = told((bytes) => {
          for (const [index, value] of words) bytes.writeUInt32LE(value, index * 4);
        });
        expect(typeof message).toBe("string");
      }),
      { numRuns: 500 },
    );
  });
});
