// The report of the workers.

import { describe, expect, test } from "vitest";
import { fnv1a } from "../../src/control/hash.ts";
import { decodeReport } from "../../src/control/report.ts";
import { encodeReport } from "./fake-ingest.ts";

describe("report", () => {
  const hash = fnv1a("10.0.0.1:8000");
  const bytes = encodeReport(9, 4, [{ topologyEpoch: 9, inFlight: [{ hash, count: 3 }] }, { topologyEpoch: 8 }]);

  test("is read", () => {
    expect(decodeReport(bytes)).toMatchObject({
      ok: true,
      value: {
        topologyEpoch: 9,
        metricsSequence: 4,
        workers: [
          { slot: 0, topologyEpoch: 9, entries: [{ hash, inFlight: 3 }] },
          { slot: 1, topologyEpoch: 8, entries: [] },
        ],
      },
    });
  });

  test("is refused with a reason when cut short", () => {
    for (let length = 0; length < bytes.length; ++length)
      expect(decodeReport(bytes.subarray(0, length)).ok).toBe(false);
    expect(decodeReport(bytes.subarray(0, 100))).toMatchObject({ error: { code: "bad_table" } });
  });

  test("names endpoints by FNV-1a", () => {
    // published test vectors of FNV-1a, 64 bit
    expect(fnv1a("")).toBe(0xcbf29ce484222325n);
    expect(fnv1a("a")).toBe(0xaf63dc4c8601ec8cn);
    expect(fnv1a("foobar")).toBe(0x85944171f73967e8n);
  });
});
