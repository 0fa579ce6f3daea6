// What the control socket takes, and what it refuses: a snapshot that is broken changes nothing. The
// agent is away here, the test speaks in its place.

import { once } from "node:events";
import { connect } from "node:net";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeSnapshot } from "../../src/control/decode.ts";
import { encodeMetrics, encodeTopology, type Format, type MetricsRow } from "../../src/control/encode.ts";
import { SNAPSHOT_BYTES_MAX } from "../../src/wire/limits.ts";
import { HEADER_SERVED, PATH_METRICS, PATH_REPORT, PATH_TOPOLOGY } from "../../src/wire/names.ts";
import {
  CRC_FROM,
  FORMAT,
  H_CRC32,
  H_EPOCH,
  H_FORMAT,
  H_HEAP_LENGTH,
  H_KIND,
  H_LENGTH,
  H_POOL_COUNT,
  H_ROW_COUNT,
  H_ROWS_OFFSET,
  HEADER_BYTES,
  KIND_METRICS,
} from "../../src/wire/snapshot.ts";
import { Backend } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, POOL, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

let backends: readonly Backend[] = [];
let gateway: Gateway;
let epoch = 0;

beforeAll(async () => {
  backends = await onOnePort(4, (listen) => Backend.start(listen));
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
  epoch = (await gateway.report()).topologyEpoch;
  // A worker is heard of from its first request on.
  await gateway.clientsByWorker();
  await gateway.up.killAgent();
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

/** A topology whose pool has one endpoint only: requests show which topology is in force. */
function topologyOf(backend: Backend, itsEpoch: number, format: Format = FORMAT): Buffer {
  const endpoints = [{ address: backend.name, pod: "a" }];
  const pools = [{ name: `default/${POOL}`, failureMode: "FailClose" as const, endpoints }];
  return encodeTopology({ epoch: itsEpoch, pools }, format);
}

const ROW: MetricsRow = {
  waiting: 0,
  running: 0,
  kvUsage: 0,
  blockSize: undefined,
  blocks: undefined,
  maxAdapters: undefined,
  ageMs: 0,
  intervalMs: 50,
  scrape: 1,
};

/** A copy of the blob that was changed and then sealed again, so that only the change can be wrong. */
function changed(blob: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(blob);
  change(copy);
  copy.writeUInt32LE(crc32(copy.subarray(CRC_FROM)), H_CRC32);
  return copy;
}

async function served(): Promise<unknown> {
  const answer = await gateway.client("h2").call({ path: "/v1/chat/completions", body: chat() });
  expect(answer.status).toBe(200);
  return answer.headers[HEADER_SERVED];
}

async function put(path: string, blob: Buffer): Promise<{ readonly status: number; readonly body: unknown }> {
  const { status, body } = await gateway.control("PUT", path, blob);
  return { status, body: JSON.parse(body.toString()) };
}

function error(code: string): object {
  return { error: { message: expect.any(String), type: "invalid_request_error", param: null, code } };
}

describe("a snapshot that is good", () => {
  test("is in force at the next request, and can be read back", async () => {
    const topology = topologyOf(backends[0]!, ++epoch);
    expect(await put(PATH_TOPOLOGY, topology)).toEqual({ status: 200, body: { epoch, sequence: 0 } });
    expect(await served()).toBe(backends[0]!.name);
    const metrics = encodeMetrics({ epoch, sequence: 7, rows: [ROW] });
    expect(await put(PATH_METRICS, metrics)).toEqual({ status: 200, body: { epoch, sequence: 7 } });
    for (const [path, sent] of [
      [PATH_TOPOLOGY, topology],
      [PATH_METRICS, metrics],
    ] as const) {
      const { status, body } = await gateway.control("GET", path);
      expect(status).toBe(200);
      expect(body.subarray(CRC_FROM)).toEqual(sent.subarray(CRC_FROM));
      const decoded = decodeSnapshot(body);
      expect(decoded.ok && decoded.value.receivedNs > 0n, "it is stamped").toBe(true);
    }
    expect(await gateway.report()).toMatchObject({ topologyEpoch: epoch, metricsSequence: 7 });
  });
});

describe("a snapshot that is broken is refused, what was in force stays", () => {
  const good = () => topologyOf(backends[1]!, epoch + 1);
  const resealed = (change: (copy: Buffer) => void) => () => changed(good(), change);
  const BROKEN: readonly (readonly [string, string, () => Buffer])[] = [
    ["no bytes", "too_short", () => Buffer.alloc(0)],
    ["less than a header", "too_short", () => good().subarray(0, HEADER_BYTES - 1)],
    ["other magic", "bad_magic", resealed((copy) => copy.write("GIF8", 0))],
    ["of metrics, but for topology", "bad_kind", resealed((copy) => copy.writeUInt16LE(KIND_METRICS, H_KIND))],
    ["of a kind that is none", "bad_kind", resealed((copy) => copy.writeUInt16LE(9, H_KIND))],
    ["truncated", "bad_length", () => good().subarray(0, -1)],
    ["with a tail", "bad_length", () => Buffer.concat([good(), Buffer.from([0])])],
    ["a length beyond its end", "bad_length", resealed((copy) => copy.writeUInt32LE(copy.length + 1, H_LENGTH))],
    ["one bit flipped in its text", "bad_checksum", () => flipped(good(), good().length - 3)],
    ["one bit flipped in its epoch", "bad_checksum", () => flipped(good(), H_EPOCH)],
    ["more pools than allowed", "bad_table", resealed((copy) => copy.writeUInt32LE(65, H_POOL_COUNT))],
    ["more rows than allowed", "bad_table", resealed((copy) => copy.writeUInt32LE(4097, H_ROW_COUNT))],
    ["more rows than it has", "bad_table", resealed((copy) => copy.writeUInt32LE(100, H_ROW_COUNT))],
    ["rows beyond its end", "bad_table", resealed((copy) => copy.writeUInt32LE(0xffff_fff8, H_ROWS_OFFSET))],
    ["a heap beyond its end", "bad_table", resealed((copy) => copy.writeUInt32LE(0xffff_ffff, H_HEAP_LENGTH))],
  ];

  test.each(BROKEN)("%s: %s", async (_what, code, blob) => {
    const before = await gateway.control("GET", PATH_TOPOLOGY);
    expect(await put(PATH_TOPOLOGY, blob())).toEqual({ status: 400, body: error(code) });
    expect(await gateway.control("GET", PATH_TOPOLOGY)).toEqual(before);
    expect(await served()).toBe(backends[0]!.name);
  });

  test("larger than allowed: 413", async () => {
    const large = Buffer.concat([good(), Buffer.alloc(SNAPSHOT_BYTES_MAX)]);
    large.writeUInt32LE(large.length, H_LENGTH);
    expect(await put(PATH_TOPOLOGY, large)).toEqual({ status: 413, body: error("too_large") });
    expect(await served()).toBe(backends[0]!.name);
  });

  test("cut off while it is sent", async () => {
    const before = await gateway.control("GET", PATH_TOPOLOGY);
    const blob = good();
    const socket = connect(gateway.up.socketPath);
    socket.write(`PUT ${PATH_TOPOLOGY} HTTP/1.1\r\nhost: a\r\ncontent-length: ${blob.length}\r\n\r\n`);
    socket.end(blob.subarray(0, -1));
    await once(socket.resume(), "close");
    expect(await gateway.control("GET", PATH_TOPOLOGY)).toEqual(before);
    expect(await served()).toBe(backends[0]!.name);
  });

  test("metrics of another topology: 409", async () => {
    for (const other of [epoch - 1, epoch + 1]) {
      const metrics = encodeMetrics({ epoch: other, sequence: 8, rows: [ROW] });
      expect(await put(PATH_METRICS, metrics)).toMatchObject({ status: 409, body: { error: {} } });
    }
    expect(await gateway.report()).toMatchObject({ topologyEpoch: epoch, metricsSequence: 7 });
  });
});

describe("calls that are none", () => {
  test.each([
    ["GET", "/v2/topology", 404],
    ["PUT", "/", 404],
    ["POST", PATH_TOPOLOGY, 405],
    ["DELETE", PATH_METRICS, 405],
    ["PUT", PATH_REPORT, 405],
  ])("%s %s: %i", async (method, path, status) => {
    const answer = await gateway.control(method, path, method === "GET" ? undefined : Buffer.from("x"));
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { message: expect.any(String) } });
  });
});

describe("other formats", () => {
  test("the one before is read", async () => {
    const before = (FORMAT - 1) as Format;
    await put(PATH_TOPOLOGY, topologyOf(backends[2]!, ++epoch, before));
    const metrics = encodeMetrics({ epoch, sequence: 1, rows: [ROW] }, before);
    expect(await put(PATH_METRICS, metrics)).toEqual({ status: 200, body: { epoch, sequence: 1 } });
    expect(await served()).toBe(backends[2]!.name);
    const inForce = await eventually(
      async () => (await gateway.report()).workers,
      (workers) => workers.some((worker) => worker.topologyEpoch === epoch && worker.metricsSequence === 1),
    );
    expect(inForce.every((worker) => worker.unread === 0)).toBe(true);
  });

  test("a later one is stored, but what can be read stays in force, and it is said so", async () => {
    const before = epoch;
    await eventually(
      async () => (await gateway.report()).workers,
      (workers) => workers.length === 2 && workers.every((worker) => worker.topologyEpoch === before),
    );
    const later = changed(topologyOf(backends[3]!, ++epoch), (copy) => copy.writeUInt16LE(FORMAT + 1, H_FORMAT));
    expect(await put(PATH_TOPOLOGY, later)).toEqual({ status: 200, body: { epoch, sequence: 0 } });
    expect(await served()).toBe(backends[2]!.name);
    const { workers, topologyEpoch } = await eventually(
      () => gateway.report(),
      (report) => report.workers.some((worker) => worker.unread > 0),
    );
    expect(topologyEpoch).toBe(epoch);
    expect(Math.max(...workers.map((worker) => worker.topologyEpoch))).toBe(before);
    expect(gateway.lines.filter((line) => line.includes(`cannot read the topology of epoch ${epoch}`))).not.toEqual([]);
  });

  test("the next good one is in force again", async () => {
    await put(PATH_TOPOLOGY, topologyOf(backends[3]!, ++epoch));
    expect(await served()).toBe(backends[3]!.name);
  });
});

function flipped(blob: Buffer, at: number): Buffer {
  blob.writeUInt8(blob.readUInt8(at) ^ 1, at);
  return blob;
}
