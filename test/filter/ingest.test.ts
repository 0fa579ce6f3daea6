// The control channel, docs/protocol.md: what is stored, what is refused and how that is said.

import { describe, expect, test } from "vitest";
import * as limits from "../../src/wire/limits.ts";
import * as wire from "../../src/wire/snapshot.ts";
import type { Answer } from "../host/control.ts";
import { encodeMetrics, encodeTopology, resum } from "../host/snapshot.ts";
import { CHAT, Gateway, IDLE, POOL } from "./gateway.ts";

const A = "10.0.0.1:8000";
const B = "[fd00::2]:8000";
const pools = [{ name: POOL, endpoints: [{ address: A }, { address: B }] }];
const topology = (epoch = 2) => encodeTopology(epoch, pools);

function codeOf(answer: Answer): string {
  const { error } = answer.json as { error: Record<string, unknown> };
  expect(Object.keys(error).toSorted()).toEqual(["code", "message", "param", "type"]);
  return String(error.code);
}

function changed(blob: Buffer, change: (blob: Buffer) => void, sum = true): Buffer {
  const copy = Buffer.from(blob);
  change(copy);
  return sum ? resum(copy) : copy;
}

/** Where the rows of a topology with one pool begin. */
const ROWS_AT = wire.HEADER_BYTES + wire.POOL_BYTES;

/** The blob with four bytes put in before its rows, and otherwise sound. */
function misaligned(blob: Buffer): Buffer {
  const copy = Buffer.concat([blob.subarray(0, ROWS_AT), Buffer.alloc(4), blob.subarray(ROWS_AT)]);
  copy.writeUInt32LE(copy.length, wire.H_LENGTH);
  copy.writeUInt32LE(ROWS_AT + 4, wire.H_ROWS_OFFSET);
  copy.writeUInt32LE(blob.readUInt32LE(wire.H_HEAP_OFFSET) + 4, wire.H_HEAP_OFFSET);
  return resum(copy);
}

describe("a good snapshot", () => {
  test("is answered with its epoch and sequence, and is in force for the next request", () => {
    const gateway = new Gateway();
    expect(gateway.control.exchange("PUT", "/v1/topology", topology(7)).json).toEqual({ epoch: 7, sequence: 0 });
    const rows = [{ waiting: 5, running: 1, kvUsage: 0.5 }, IDLE];
    const answer = gateway.control.exchange("PUT", "/v1/metrics", encodeMetrics(7, 3, rows));
    expect(answer).toMatchObject({ status: 200, json: { epoch: 7, sequence: 3 } });
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
  });

  test("comes back byte for byte but for the stamp of when it came", () => {
    const gateway = new Gateway();
    expect(gateway.control.exchange("GET", "/v1/topology").status).toBe(404);
    expect(gateway.control.exchange("GET", "/v1/metrics").status).toBe(404);
    const blob = topology();
    gateway.control.exchange("PUT", "/v1/topology", blob, 50);
    const { status, body } = gateway.control.exchange("GET", "/v1/topology");
    expect(status).toBe(200);
    expect(body.readBigUInt64LE(wire.H_RECEIVED_NS)).toBe(gateway.process.clock.monotonicNs);
    body.writeBigUInt64LE(0n, wire.H_RECEIVED_NS);
    expect(body.equals(blob)).toBe(true);
  });

  test("of the largest topology fits", () => {
    const endpoints = Array.from({ length: limits.ENDPOINTS_MAX }, (_, index) => ({
      address: `10.${index >> 8}.${index & 255}.1:8000`,
      pod: `${"p".repeat(240)}-${index}`,
    }));
    const gateway = new Gateway();
    gateway.control.topology([{ name: POOL, endpoints }]);
    gateway.control.metrics(endpoints.map((_, index) => ({ ...IDLE, waiting: index === 4_000 ? 0 : 1 })));
    expect(gateway.worker.drive({ body: CHAT }).destination!.split(",")[0]).toBe(endpoints[4_000]!.address);
  });
});

describe("a bad snapshot is refused with a reason, and the one in force stays", () => {
  const cases: readonly (readonly [string, string, Buffer | ((blob: Buffer) => Buffer)])[] = [
    ["nothing", "too_short", Buffer.alloc(0)],
    ["half a header", "too_short", (blob) => blob.subarray(0, 63)],
    ["another file", "bad_magic", Buffer.alloc(200, "x")],
    ["metrics sent as topology", "bad_kind", encodeMetrics(2, 1, [IDLE])],
    ["a lost end", "bad_length", (blob) => blob.subarray(0, -1)],
    ["something after the end", "bad_length", (blob) => Buffer.concat([blob, Buffer.from("x")])],
    ["a flipped bit", "bad_checksum", (blob) => changed(blob, (copy) => (copy[80]! ^= 4), false)],
    [
      "a flipped bit at the end",
      "bad_checksum",
      (blob) => changed(blob, (copy) => (copy[copy.length - 1]! ^= 1), false),
    ],
    [
      "rows beyond the end",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(1e6, wire.H_ROWS_OFFSET)),
    ],
    ["rows that are not aligned", "bad_table", misaligned],
    ["rows over the header", "bad_table", (blob) => changed(blob, (copy) => copy.writeUInt32LE(0, wire.H_ROWS_OFFSET))],
    [
      "more rows than there are",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(4_096, wire.H_ROW_COUNT)),
    ],
    [
      "a row count near 2³²",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(0xffffffff, wire.H_ROW_COUNT)),
    ],
    ["pools beyond the end", "bad_table", (blob) => changed(blob, (copy) => copy.writeUInt32LE(60, wire.H_POOL_COUNT))],
    ["too many pools", "bad_table", (blob) => changed(blob, (copy) => copy.writeUInt32LE(65, wire.H_POOL_COUNT))],
    [
      "a heap beyond the end",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(1e5, wire.H_HEAP_LENGTH)),
    ],
    [
      "a pool of rows that do not exist",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(3, 64 + wire.P_ROW_COUNT)),
    ],
    [
      "a name beyond the heap",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(5_000, 64 + wire.P_NAME_OFFSET)),
    ],
    [
      "an address beyond the heap",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(5_000, ROWS_AT + wire.E_ADDRESS_OFFSET)),
    ],
    [
      "an address without text",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(0, ROWS_AT + wire.E_ADDRESS_LENGTH)),
    ],
    [
      "an address too long",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(65, ROWS_AT + wire.E_ADDRESS_LENGTH)),
    ],
    [
      "an id beyond the heap",
      "bad_table",
      (blob) => changed(blob, (copy) => copy.writeUInt32LE(5_000, ROWS_AT + wire.E_ID_OFFSET)),
    ],
  ];

  test.each(cases)("%s: %s", (_, code, make) => {
    const gateway = new Gateway();
    gateway.serve([A]);
    const blob = typeof make === "function" ? make(topology()) : make;
    const answer = gateway.control.exchange("PUT", "/v1/topology", blob);
    expect(answer.status).toBe(400);
    expect(codeOf(answer)).toBe(code);
    expect(gateway.control.vm.trap).toBeUndefined();
    gateway.advance(2);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(A);
    expect(gateway.report().columns[0]).toMatchObject({ topologyEpoch: 1, unread: 0 });
  });

  test("metrics with adapters beyond the heap: bad_table", () => {
    const gateway = new Gateway();
    gateway.serve([A]);
    const good = encodeMetrics(1, 2, [{ ...IDLE, runningAdapters: ["one"], waitingAdapters: ["two"] }]);
    expect(gateway.control.exchange("PUT", "/v1/metrics", good).status).toBe(200);
    const row = wire.HEADER_BYTES;
    for (const change of [
      (copy: Buffer) => copy.writeUInt32LE(1, row + wire.M_ADAPTERS),
      (copy: Buffer) => copy.writeUInt32LE(0xffffffff, row + wire.M_ADAPTERS),
      (copy: Buffer) => copy.writeUInt16LE(2, row + wire.M_RUNNING_ADAPTERS),
      (copy: Buffer) => copy.writeUInt16LE(0xffff, row + wire.M_WAITING_ADAPTERS),
      (copy: Buffer) => copy.writeUInt32LE(8, wire.H_HEAP_LENGTH),
    ]) {
      const answer = gateway.control.exchange("PUT", "/v1/metrics", changed(good, change));
      expect(answer.status).toBe(400);
      expect(codeOf(answer)).toBe("bad_table");
    }
  });

  test("too large: 413 before all of it has come", () => {
    const gateway = new Gateway();
    const blob = Buffer.alloc(limits.SNAPSHOT_BYTES_MAX + 1);
    const answer = gateway.control.exchange("PUT", "/v1/topology", blob);
    expect(answer.status).toBe(413);
    expect(codeOf(answer)).toBe("too_large");
  });

  test("metrics of another topology: 409", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    for (const epoch of [0, 2]) {
      expect(gateway.control.exchange("PUT", "/v1/metrics", encodeMetrics(epoch, 9, [IDLE, IDLE])).status).toBe(409);
    }
  });

  test("metrics with another number of rows than the topology do not count", () => {
    const gateway = new Gateway();
    gateway.serve([A, B], [{ ...IDLE, waiting: 4 }, IDLE]);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
    gateway.control.exchange("PUT", "/v1/metrics", encodeMetrics(1, 2, [IDLE]));
    gateway.advance(2);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
    expect(gateway.worker.vm.trap).toBeUndefined();
  });
});

describe("other calls", () => {
  const status = (method: string, path: string, body?: Buffer) =>
    new Gateway().control.exchange(method, path, body).status;

  test("404 for other paths, 405 for other methods", () => {
    expect(status("GET", "/")).toBe(404);
    expect(status("PUT", "/v2/topology", topology())).toBe(404);
    expect(status("POST", "/v1/topology", topology())).toBe(405);
    expect(status("DELETE", "/v1/metrics")).toBe(405);
    expect(status("PUT", "/v1/report", topology())).toBe(405);
  });

  test("PUT without a body", () => {
    const answer = new Gateway().control.exchange("PUT", "/v1/topology");
    expect(answer.status).toBe(400);
    expect(codeOf(answer)).toBe("too_short");
  });
});

describe("the report", () => {
  test("of a proxy that knows nothing: epoch 0, no workers", () => {
    const gateway = new Gateway();
    expect(gateway.report()).toMatchObject({ topologyEpoch: 0, metricsSequence: 0, columns: [] });
  });

  test("says what each worker applied, saw and has in flight", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const second = gateway.newWorker();
    const first = gateway.worker.open();
    const other = second.open();
    gateway.worker.drive({ body: "not JSON" });
    gateway.settle();
    const report = gateway.report();
    expect(report).toMatchObject({ topologyEpoch: 1, metricsSequence: 1, nowNs: gateway.process.clock.monotonicNs });
    expect(report.columns).toHaveLength(2);
    expect(report.columns[0]).toMatchObject({ slot: 0, topologyEpoch: 1, metricsSequence: 1, requests: 2, picks: 1 });
    expect(report.columns[1]).toMatchObject({ slot: 1, topologyEpoch: 1, metricsSequence: 1, requests: 1, picks: 1 });
    expect(report.columns.flatMap((column) => column.entries.map((entry) => entry.inFlight))).toEqual([1, 1]);
    first.end();
    other.reset();
    gateway.settle();
    expect(gateway.report().columns.flatMap((column) => column.entries)).toEqual([]);
  });
});
