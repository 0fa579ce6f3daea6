// Snapshots to bytes and back, in both formats; and bytes that are none.

import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeSnapshot } from "../../src/control/decode.ts";
import { encodeMetrics, encodeTopology, type Metrics, type Topology } from "../../src/control/encode.ts";
import * as w from "../../src/wire/snapshot.ts";

const text = fc
  .string({ minLength: 1, maxLength: 20, unit: "grapheme" })
  .filter((value) => Buffer.byteLength(value) <= 64);
const epoch = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const topology: fc.Arbitrary<Topology> = fc.record({
  epoch,
  pools: fc.array(
    fc.record({
      name: text,
      failureMode: fc.constantFrom("FailOpen" as const, "FailClose" as const),
      endpoints: fc.array(fc.record({ address: text, pod: text }), { maxLength: 6 }),
    }),
    { maxLength: 5 },
  ),
});
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const gauge = optional(fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0));
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
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
      fc.property(topology, fc.constantFrom(w.FORMAT, w.FORMAT_OLDEST), (value, format) => {
        const decoded = decodeSnapshot(encodeTopology(value, format));
        expect(decoded).toEqual({ ok: true, value: { kind: "topology", topology: value, format, receivedNs: 0n } });
      }),
    );
  });

  test("metrics", () => {
    fc.assert(
      fc.property(metrics, (value) => {
        const decoded = decodeSnapshot(encodeMetrics(value));
        expect(decoded).toEqual({ ok: true, value: { kind: "metrics", metrics: value, format: 2, receivedNs: 0n } });
      }),
    );
  });

  test("format 1 has no cache and adapter sizes", () => {
    fc.assert(
      fc.property(metrics, (value) => {
        const bytes = encodeMetrics(value, w.FORMAT_OLDEST);
        expect(bytes.length).toBe(w.HEADER_BYTES + value.rows.length * w.METRICS_BYTES_1);
        const rows = value.rows.map((row) => ({
          ...row,
          blockSize: undefined,
          blocks: undefined,
          maxAdapters: undefined,
        }));
        const decoded = decodeSnapshot(bytes);
        expect(decoded.ok && decoded.value).toMatchObject({ metrics: { rows }, format: 1 });
      }),
    );
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
    expect(told(Buffer.alloc(2_097_153))).toBe("too_large: 2097153 bytes, expected at most 2097152");
    expect(told(Buffer.alloc(64))).toBe('bad_magic: starts with 00000000, expected "PSMN"');
    expect(told(good.subarray(0, good.length - 1))).toBe(
      `bad_length: ${good.length - 1} bytes, but the header says ${good.length}`,
    );
    expect(told(changed((bytes) => bytes.writeUInt16LE(3, w.H_FORMAT)))).toBe("bad_format: format 3, expected 1 to 2");
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
