// Snapshots of the format before: what its rows leave reserved says nothing, whatever lies there.

import { expect, test } from "vitest";
import * as wire from "../../src/wire/snapshot.ts";
import { encodeMetrics, encodeTopology, resum } from "../host/snapshot.ts";
import { CHAT, Gateway, IDLE, POOL } from "./gateway.ts";

const A = "10.0.0.1:8000";
const B = "10.0.0.2:8000";
const endpoints = [{ address: A }, { address: B }];

function put(gateway: Gateway, kind: "topology" | "metrics", blob: Buffer): number {
  return gateway.control.exchange("PUT", `/v1/${kind}`, resum(blob)).status;
}

test("metrics under a topology of today: reserved bytes are no adapters", () => {
  const gateway = new Gateway();
  const program = {
    profiles: [{ scorers: [{ type: "lora-affinity-scorer" as const }, { type: "queue-scorer" as const }] }],
  };
  expect(put(gateway, "topology", encodeTopology(1, [{ name: POOL, program, endpoints }]))).toBe(200);
  const blob = encodeMetrics(1, 1, [{ ...IDLE, waiting: 1 }, IDLE], 2);
  for (let row = 0; row < 2; row++) {
    const at = wire.HEADER_BYTES + row * wire.METRICS_BYTES_2;
    blob.fill(0xee, at + wire.M_ADAPTERS, at + wire.METRICS_BYTES_2);
  }
  expect(put(gateway, "metrics", blob)).toBe(200);
  expect(gateway.worker.drive({ body: CHAT }).destination).toBe(B);
  expect(gateway.worker.vm.trap).toBeUndefined();
});

test("a topology: reserved bytes are no program and no name", () => {
  const gateway = new Gateway({ explain: true });
  const blob = encodeTopology(1, [{ name: POOL, endpoints }], 2);
  blob.fill(0xee, wire.HEADER_BYTES + wire.P_FAILURE_MODE + 1, wire.HEADER_BYTES + wire.POOL_BYTES_2);
  const rows = wire.HEADER_BYTES + wire.POOL_BYTES_2;
  for (const row of [0, 1]) {
    const at = rows + row * wire.ENDPOINT_BYTES_2;
    blob.fill(0xee, at + wire.E_ID_OFFSET, at + wire.ENDPOINT_BYTES_2);
  }
  expect(put(gateway, "topology", blob)).toBe(200);
  expect(put(gateway, "metrics", encodeMetrics(1, 1, [{ ...IDLE, waiting: 9 }, IDLE], 2))).toBe(200);
  expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
  expect(gateway.worker.vm.trap).toBeUndefined();
});

test("a topology whose heap begins before its rows end is refused", () => {
  const gateway = new Gateway();
  const blob = encodeTopology(1, [{ name: POOL, endpoints }], 2);
  const heapAt = blob.readUInt32LE(wire.H_HEAP_OFFSET);
  for (const [offset, status] of [
    [wire.HEADER_BYTES, 400],
    [heapAt - 1, 400],
    [heapAt, 200],
  ] as const) {
    blob.writeUInt32LE(offset, wire.H_HEAP_OFFSET);
    expect(put(gateway, "topology", blob), `heap at ${offset}`).toBe(status);
  }
});

test("metrics of today with a heap of broken hashes are refused", () => {
  const gateway = new Gateway();
  gateway.control.topology([{ name: POOL, endpoints: [{ address: A }] }]);
  const blob = encodeMetrics(1, 1, [{ ...IDLE, runningAdapters: ["one", "two"] }]);
  const row = wire.HEADER_BYTES;
  blob.writeUInt16LE(1, row + wire.M_RUNNING_ADAPTERS);
  blob.writeUInt32LE(12, wire.H_HEAP_LENGTH);
  expect(put(gateway, "metrics", blob)).toBe(400);
  blob.writeUInt32LE(8, wire.H_HEAP_LENGTH);
  expect(put(gateway, "metrics", blob)).toBe(200);
});
