// Flow control on the wire: none where all is as by default, and damaged bytes are refused with what is wrong.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Heap, HeapReader } from "../../../src/control/heap.ts";
import { decodeFlow } from "../../../src/control/scheduling/decode-flow.ts";
import { decodeProgram } from "../../../src/control/scheduling/decode-program.ts";
import { encodeFlow } from "../../../src/control/scheduling/encode-flow.ts";
import { encodeProgram } from "../../../src/control/scheduling/encode-program.ts";
import { BAND_DEFAULT, FLOW_DEFAULT } from "../../../src/control/scheduling/flow.ts";
import { PROGRAM_DEFAULT } from "../../../src/control/scheduling/program.ts";
import * as l from "../../../src/wire/flow.ts";
import { G_FLOW } from "../../../src/wire/program.ts";

const FLOW = { ...FLOW_DEFAULT, queues: true, bands: [{ ...BAND_DEFAULT, priority: 3 }] };
const good = encodeFlow(FLOW);

/** What is said of `good` after a change. */
function told(change: (bytes: Buffer) => void): unknown {
  const bytes = Buffer.from(good);
  change(bytes);
  return decodeFlow(bytes);
}

test("where all is as by default there are no bytes of it", () => {
  const bytes = encodeProgram(PROGRAM_DEFAULT, new Heap());
  expect(bytes.readUInt32LE(G_FLOW)).toBe(0);
  const flow = structuredClone(FLOW_DEFAULT);
  expect(encodeProgram({ ...PROGRAM_DEFAULT, flow }, new Heap())).toEqual(bytes);
});

test("else it follows the other tables, and nothing follows it", () => {
  const before = encodeProgram(PROGRAM_DEFAULT, new Heap()).length;
  const bytes = encodeProgram({ ...PROGRAM_DEFAULT, flow: FLOW }, new Heap());
  expect(bytes.readUInt32LE(G_FLOW)).toBe(before);
  expect(before % 8).toBe(0);
  expect(bytes.length).toBe(before + l.FLOW_BYTES + 3 * l.BAND_BYTES);
});

describe("damaged", () => {
  test("what is wrong is told", () => {
    expect(decodeFlow(good.subarray(0, 111))).toBe("flow control of 111 bytes, expected at least 112");
    expect(told((bytes) => bytes.writeUInt32LE(1, l.L_BAND_COUNT))).toBe("1 bands, expected 2 to 66");
    expect(told((bytes) => bytes.writeUInt32LE(67, l.L_BAND_COUNT))).toBe("67 bands, expected 2 to 66");
    expect(told((bytes) => bytes.writeUInt32LE(4, l.L_BAND_COUNT))).toBe(
      "flow control of 232 bytes, expected 272 for its bands",
    );
    expect(told((bytes) => bytes.writeUInt32LE(2, l.L_DETECTOR))).toBe("saturation detector 2, expected at most 1");
    expect(told((bytes) => bytes.writeUInt32LE(2, l.L_USAGE))).toBe("usage-limit policy 2, expected at most 1");
    expect(told((bytes) => bytes.writeUInt32LE(9, l.L_DOMAIN))).toBe("domain 9, expected at most 1");
    const inBand = (field: number) => (bytes: Buffer) => bytes.writeUInt32LE(5, l.FLOW_BYTES + l.BAND_BYTES + field);
    expect(told(inBand(l.W_FAIRNESS))).toBe("fairness policy 5, expected at most 1");
    expect(told(inBand(l.W_ORDERING))).toBe("ordering policy 5, expected at most 2");
  });

  test("one that does not lie behind the tables, or is cut, is told", () => {
    const heap = new Heap();
    const bytes = encodeProgram({ ...PROGRAM_DEFAULT, flow: FLOW }, heap);
    const decode = (of: Buffer) => decodeProgram(of, new HeapReader(heap.bytes()));
    const at = bytes.readUInt32LE(G_FLOW);
    expect(decode(bytes)).toMatchObject({ flow: FLOW });
    expect(decode(bytes.subarray(0, at))).toBe("flow control of 0 bytes, expected at least 112");
    bytes.writeUInt32LE(at + 8, G_FLOW);
    expect(decode(bytes)).toBe(`flow control at ${at + 8}, expected at ${at}`);
  });

  test("nothing makes it throw", () => {
    const word = fc.tuple(fc.integer({ min: 0, max: good.length / 4 - 1 }), fc.oneof(fc.nat(80), fc.nat()));
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), fc.nat(good.length), (words, length) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of words) bytes.writeUInt32LE(value, at * 4);
        expect(["string", "object"]).toContain(typeof decodeFlow(bytes.subarray(0, length)));
      }),
    );
  });
});
