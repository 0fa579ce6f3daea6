// Snapshots to bytes and back, in both formats; and bytes that are none.

import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeSnapshot } from "../../src/control/decode.ts";
import {
  encodeMetrics,
  encodeTopology,
  type Metrics,
  rowsBeyond,
  type Topology,
  type TopologyEndpoint,
} from "../../src/control/encode.ts";
import {
  ATTRIBUTES_MAX,
  COLUMNS_MAX,
  ENDPOINT_ID_BYTES_MAX,
  ENDPOINTS_MAX,
  POOL_NAME_BYTES_MAX,
  POOLS_MAX,
  SNAPSHOT_BYTES_MAX,
} from "../../src/wire/limits.ts";
import * as w from "../../src/wire/snapshot.ts";
import { anyProgram } from "./scheduling/any-program.ts";

const NOTHING_KNOWN = {
  waiting: undefined,
  running: undefined,
  kvUsage: undefined,
  blockSize: undefined,
  blocks: undefined,
  maxAdapters: undefined,
  ageMs: undefined,
  intervalMs: 50,
  scrape: 0,
};
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const text = fc
  .string({ minLength: 1, maxLength: 20, unit: "grapheme" })
  .filter((value) => Buffer.byteLength(value) <= 64);
const epoch = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const endpoint: fc.Arbitrary<TopologyEndpoint> = fc.record({
  address: text,
  pod: text,
  id: text,
  passes: u64,
  columns: fc.array(u64, { minLength: COLUMNS_MAX, maxLength: COLUMNS_MAX }),
});
const topology: fc.Arbitrary<Topology> = fc
  .record({
    epoch,
    program: optional(anyProgram),
    pools: fc.array(
      fc.record({
        name: text,
        failureMode: fc.constantFrom("FailOpen" as const, "FailClose" as const),
        endpoints: fc.array(endpoint, { maxLength: 6 }),
      }),
      { maxLength: 5 },
    ),
  })
  // Without pools there is nobody to point to the program.
  .map(({ program, ...rest }) => (program && rest.pools.length > 0 ? { ...rest, program } : rest));
const gauge = optional(fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0));
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const hashes = fc.array(u64, { maxLength: 4 });
const metrics: fc.Arbitrary<Metrics> = fc.record({
  epoch,
  sequence: epoch,
  rows: fc.array(
    fc.record({
      waiting: gauge,
      running: gauge,
      kvUsage: gauge,
      blockSize: optional(u32),
      blocks: optional(u32),
      maxAdapters: optional(u32),
      adapters: optional(fc.record({ running: hashes, waiting: hashes })),
      baseModel: optional(fc.bigInt({ min: 1n, max: 0xffff_ffff_ffff_ffffn })),
      attributes: fc.array(gauge, { minLength: ATTRIBUTES_MAX, maxLength: ATTRIBUTES_MAX }),
      ageMs: optional(fc.integer({ min: 0, max: 0xffff_fffe })),
      intervalMs: u32,
      scrape: u32,
    }),
    { maxLength: 8 },
  ),
});

describe("round trip", () => {
  test("topology", () => {
    fc.assert(
      fc.property(topology, (value) => {
        const decoded = decodeSnapshot(encodeTopology(value));
        expect(decoded).toEqual({
          ok: true,
          value: { kind: "topology", topology: value, format: w.FORMAT, receivedNs: 0n },
        });
      }),
    );
  });

  test("metrics", () => {
    fc.assert(
      fc.property(metrics, (value) => {
        const decoded = decodeSnapshot(encodeMetrics(value));
        expect(decoded).toEqual({
          ok: true,
          value: { kind: "metrics", metrics: value, format: w.FORMAT, receivedNs: 0n },
        });
      }),
    );
  });

  test("the same topology gives the same bytes, and all pools the same program", () => {
    fc.assert(
      fc.property(topology, (value) => {
        const bytes = encodeTopology(value);
        expect(encodeTopology(structuredClone(value))).toEqual(bytes);
        const places = value.pools.map((_, i) => bytes.readUInt32LE(w.HEADER_BYTES + i * w.POOL_BYTES + w.P_PROGRAM));
        expect(new Set(places).size).toBeLessThanOrEqual(1);
        for (const place of places) expect(place % 8).toBe(0);
      }),
    );
  });

  test("format 2 has no program, no labels and no adapters", () => {
    fc.assert(
      fc.property(topology, metrics, (membership, values) => {
        const pools = membership.pools.map((pool) => ({
          ...pool,
          endpoints: pool.endpoints.map(({ address, pod }) => ({ address, pod })),
        }));
        const bytes = encodeTopology(membership, w.FORMAT_OLDEST);
        const decoded = decodeSnapshot(bytes);
        expect(decoded.ok && decoded.value).toMatchObject({ format: 2, topology: { epoch: membership.epoch, pools } });
        const rows = values.rows.map(({ adapters: _a, baseModel: _b, attributes: _c, ...row }) => row);
        const old = encodeMetrics(values, w.FORMAT_OLDEST);
        expect(old.length).toBe(w.HEADER_BYTES + values.rows.length * w.METRICS_BYTES_2);
        const decodedOld = decodeSnapshot(old);
        expect(decodedOld.ok && decodedOld.value).toEqual({
          kind: "metrics",
          metrics: { ...values, rows },
          format: 2,
          receivedNs: 0n,
        });
      }),
    );
  });

  test("more adapters than there is room for: those rows say that they list none, and the rest is whole", () => {
    const many = (count: number) => ({ running: Array.from({ length: count }, (_, i) => BigInt(i)), waiting: [] });
    const row = (count: number) => ({ ...NOTHING_KNOWN, adapters: many(count) });
    const rows = [row(40_000), row(30_000), row(5), { ...NOTHING_KNOWN, adapters: many(0) }];
    expect([rowsBeyond(rows), rowsBeyond(rows.slice(1)), rowsBeyond([row(65_536)])]).toEqual([1, 0, 1]);
    const decoded = decodeSnapshot(encodeMetrics({ epoch: 1, sequence: 1, rows }));
    const found = decoded.ok && decoded.value.kind === "metrics" ? decoded.value.metrics.rows : [];
    expect(found.map(({ adapters }) => adapters?.running.length)).toEqual([40_000, undefined, 5, 0]);
  });
});

describe("bytes that are no snapshot", () => {
  const good = encodeTopology({
    epoch: 7,
    pools: [{ name: "default/p", failureMode: "FailClose", endpoints: [{ address: "10.0.0.1:8000", pod: "a" }] }],
  });

  /** `good` after a change, with its checksum made right again. */
  function changed(change: (bytes: Buffer) => void): Buffer {
    const bytes = Buffer.from(good);
    change(bytes);
    bytes.writeUInt32LE(crc32(bytes.subarray(w.CRC_FROM)), w.H_CRC32);
    return bytes;
  }

  function told(bytes: Buffer): string {
    const decoded = decodeSnapshot(bytes);
    return decoded.ok ? "ok" : `${decoded.error.code}: ${decoded.error.message}`;
  }

  test("what is wrong is told", () => {
    expect(told(good.subarray(0, 63))).toBe("too_short: 63 bytes, expected at least the header of 64");
    expect(told(Buffer.alloc(SNAPSHOT_BYTES_MAX + 1))).toBe(
      `too_large: ${SNAPSHOT_BYTES_MAX + 1} bytes, expected at most ${SNAPSHOT_BYTES_MAX}`,
    );
    expect(told(Buffer.alloc(64))).toBe('bad_magic: starts with 00000000, expected "PSMN"');
    expect(told(good.subarray(0, good.length - 1))).toBe(
      `bad_length: ${good.length - 1} bytes, but the header says ${good.length}`,
    );
    expect(told(changed((bytes) => bytes.writeUInt16LE(4, w.H_FORMAT)))).toBe("bad_format: format 4, expected 2 to 3");
    expect(told(changed((bytes) => bytes.writeUInt16LE(9, w.H_KIND)))).toMatch(/^bad_kind: kind 9/);
    expect(told(changed((bytes) => bytes.writeUInt32LE(65, w.H_POOL_COUNT)))).toBe(
      "bad_table: 65 pools, expected at most 64",
    );
    expect(told(changed((bytes) => bytes.writeUInt32LE(0xffff_fff0, w.H_ROWS_OFFSET)))).toMatch(
      /^bad_table: endpoints lie at/,
    );
    expect(told(changed((bytes) => bytes.writeUInt32LE(1, w.HEADER_BYTES + w.P_FIRST_ROW)))).toBe(
      "bad_table: pool 0 has endpoints 1…2 of 1",
    );
    expect(told(changed((bytes) => bytes.writeUInt32LE(60, w.HEADER_BYTES + w.P_NAME_OFFSET)))).toMatch(
      /^bad_table: name of pool 0 lies at 60…69 of a heap of/,
    );
    expect(told(changed((bytes) => bytes.fill(0xff, bytes.length - 1)))).toBe(
      "bad_table: pod of endpoint 0 is not UTF-8",
    );
  });

  test("any flipped bit is found", () => {
    const bits = (good.length - w.CRC_FROM) * 8;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bits - 1 }), (bit) => {
        const bytes = Buffer.from(good);
        bytes[w.CRC_FROM + (bit >> 3)]! ^= 1 << (bit & 7);
        expect(told(bytes)).toMatch(/^bad_checksum/);
      }),
    );
  });

  test("nothing makes it throw, however the tables lie", () => {
    const at = fc.integer({ min: w.CRC_FROM / 4, max: Math.floor(good.length / 4) - 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(at, fc.oneof(fc.nat(80), u32))), (words) => {
        const bytes = changed((copy) => {
          for (const [word, value] of words) copy.writeUInt32LE(value, word * 4);
        });
        expect(typeof decodeSnapshot(bytes).ok).toBe("boolean");
      }),
      { numRuns: 500 },
    );
  });
});

test("all endpoints that there may be fit, with the longest names", () => {
  const longest = (i: number, length: number) => `${i}`.padStart(length, "n");
  const endpoints = Array.from({ length: ENDPOINTS_MAX / POOLS_MAX }, (_, i) => i);
  const pools = Array.from({ length: POOLS_MAX }, (_, n) => ({
    name: longest(n, POOL_NAME_BYTES_MAX),
    failureMode: "FailOpen" as const,
    endpoints: endpoints.map((i) => {
      const number = n * endpoints.length + i;
      return { address: longest(number, 47), pod: longest(number, 253), id: longest(number, ENDPOINT_ID_BYTES_MAX) };
    }),
  }));
  const blob = encodeTopology({ epoch: 1, pools });
  expect(blob.length).toBeLessThanOrEqual(SNAPSHOT_BYTES_MAX);
  expect(decodeSnapshot(blob)).toMatchObject({ ok: true });
});
