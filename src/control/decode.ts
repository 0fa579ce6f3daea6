// Bytes to snapshots. Nothing is believed: every offset and count is checked before it is used.

import { crc32 } from "node:zlib";
import {
  ADAPTER_HASHES_MAX,
  ADDRESS_BYTES_MAX,
  ATTRIBUTES_MAX,
  COLUMNS_MAX,
  ENDPOINT_ID_BYTES_MAX,
  ENDPOINTS_MAX,
  POOL_NAME_BYTES_MAX,
  POOLS_MAX,
  SNAPSHOT_BYTES_MAX,
} from "../wire/limits.ts";
import * as w from "../wire/snapshot.ts";
import {
  AGE_UNKNOWN,
  type Metrics,
  type MetricsRow,
  rowBytesOf,
  type Topology,
  type TopologyEndpoint,
  type TopologyPool,
} from "./encode.ts";
import { HeapReader } from "./heap.ts";
import { decodeModels } from "./models/decode-models.ts";
import type { PoolModels } from "./models/models.ts";
import { decodeProgram } from "./scheduling/decode-program.ts";
import type { Program } from "./scheduling/program.ts";

/** Codes of docs/protocol.md, and `bad_format` for a format that is not read here. */
export type DecodeCode =
  | "too_short"
  | "too_large"
  | "bad_magic"
  | "bad_format"
  | "bad_kind"
  | "bad_length"
  | "bad_checksum"
  | "bad_table";

export type DecodeError = { readonly code: DecodeCode; readonly message: string };
export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: DecodeError };

/** `receivedNs` is the proxy's monotonic clock when ingest took the blob, 0 when it never went through one. */
type Envelope = { readonly format: number; readonly receivedNs: bigint };

export type SnapshotBlob =
  | ({ readonly kind: "topology"; readonly topology: Topology } & Envelope)
  | ({ readonly kind: "metrics"; readonly metrics: Metrics } & Envelope);

/** An error value. */
export function fail(code: DecodeCode, message: string): { readonly ok: false; readonly error: DecodeError } {
  return { ok: false, error: { code, message } };
}

/** Where a table lies and how many rows it has. */
type Table = { readonly offset: number; readonly count: number; readonly rowBytes: number };

export function decodeSnapshot(bytes: Buffer): Decoded<SnapshotBlob> {
  const wrong = checkEnvelope(bytes);
  if (wrong) return wrong;
  const envelope = { format: bytes.readUInt16LE(w.H_FORMAT), receivedNs: bytes.readBigUInt64LE(w.H_RECEIVED_NS) };
  if (bytes.readUInt16LE(w.H_KIND) === w.KIND_METRICS) {
    const decoded = decodeMetrics(bytes, envelope.format);
    return decoded.ok ? { ok: true, value: { kind: "metrics", metrics: decoded.value, ...envelope } } : decoded;
  }
  const decoded = decodeTopology(bytes, envelope.format);
  return decoded.ok ? { ok: true, value: { kind: "topology", topology: decoded.value, ...envelope } } : decoded;
}

function checkEnvelope(bytes: Buffer): ReturnType<typeof fail> | undefined {
  if (bytes.length < w.HEADER_BYTES)
    return fail("too_short", `${bytes.length} bytes, expected at least the header of ${w.HEADER_BYTES}`);
  if (bytes.length > SNAPSHOT_BYTES_MAX)
    return fail("too_large", `${bytes.length} bytes, expected at most ${SNAPSHOT_BYTES_MAX}`);
  if (bytes.readUInt32LE(w.H_MAGIC) !== w.MAGIC)
    return fail("bad_magic", `starts with ${bytes.toString("hex", 0, 4)}, expected "PSMN"`);
  const length = bytes.readUInt32LE(w.H_LENGTH);
  if (length !== bytes.length) return fail("bad_length", `${bytes.length} bytes, but the header says ${length}`);
  const crc = bytes.readUInt32LE(w.H_CRC32);
  const found = crc32(bytes.subarray(w.CRC_FROM));
  if (crc !== found) return fail("bad_checksum", `checksum ${hex(found)}, but the header says ${hex(crc)}`);
  const format = bytes.readUInt16LE(w.H_FORMAT);
  if (format < w.FORMAT_OLDEST || format > w.FORMAT)
    return fail("bad_format", `format ${format}, expected ${w.FORMAT_OLDEST} to ${w.FORMAT}`);
  const kind = bytes.readUInt16LE(w.H_KIND);
  if (kind !== w.KIND_TOPOLOGY && kind !== w.KIND_METRICS)
    return fail("bad_kind", `kind ${kind}, expected ${w.KIND_TOPOLOGY} (topology) or ${w.KIND_METRICS} (metrics)`);
  return undefined;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function checkTable(bytes: Buffer, name: string, table: Table, most: number): ReturnType<typeof fail> | undefined {
  const end = table.offset + table.count * table.rowBytes;
  if (table.count > most) return fail("bad_table", `${table.count} ${name}, expected at most ${most}`);
  if (table.offset < w.HEADER_BYTES || end > bytes.length)
    return fail("bad_table", `${name} lie at ${table.offset}…${end} of ${bytes.length} bytes`);
  return undefined;
}

const POD_BYTES_MAX = 253;

function decodeTopology(bytes: Buffer, format: number): Decoded<Topology> {
  const word = (at: number): number => bytes.readUInt32LE(at);
  const { pool: poolBytes, endpoint: rowBytes } = rowBytesOf(format);
  const poolTable = { offset: word(w.H_POOLS_OFFSET), count: word(w.H_POOL_COUNT), rowBytes: poolBytes };
  const rowTable = { offset: word(w.H_ROWS_OFFSET), count: word(w.H_ROW_COUNT), rowBytes };
  const heapTable = { offset: word(w.H_HEAP_OFFSET), count: word(w.H_HEAP_LENGTH), rowBytes: 1 };
  const wrong =
    checkTable(bytes, "pools", poolTable, POOLS_MAX) ??
    checkTable(bytes, "endpoints", rowTable, ENDPOINTS_MAX) ??
    checkTable(bytes, "heap bytes", heapTable, SNAPSHOT_BYTES_MAX);
  if (wrong) return wrong;
  const heap = new HeapReader(bytes.subarray(heapTable.offset, heapTable.offset + heapTable.count));
  const endpoints = Array.from({ length: rowTable.count }, (_, i) =>
    readEndpoint(bytes, rowTable.offset + i * rowBytes, i, format, heap),
  );
  const pools: TopologyPool[] = [];
  for (let i = 0; i < poolTable.count; ++i) {
    const at = poolTable.offset + i * poolBytes;
    const pool = readPool(bytes, at, i, endpoints, heap);
    if ("ok" in pool) return pool;
    const models = format === w.FORMAT ? readModels(bytes, at, heap) : undefined;
    if (typeof models === "string") return fail("bad_table", heap.wrong ?? `models of pool ${i}: ${models}`);
    pools.push(models === undefined ? pool : { ...pool, models });
  }
  const program = format === w.FORMAT && poolTable.count > 0 ? readProgram(bytes, poolTable, heap) : undefined;
  if (typeof program === "string") return fail("bad_table", `program: ${program}`);
  if (heap.wrong) return fail("bad_table", heap.wrong);
  const epoch = Number(bytes.readBigUInt64LE(w.H_EPOCH));
  return { ok: true, value: { epoch, pools, ...(program === undefined ? {} : { program }) } };
}

function readEndpoint(bytes: Buffer, at: number, index: number, format: number, heap: HeapReader): TopologyEndpoint {
  const text = (what: string, offset: number, length: number, most: number): string =>
    heap.text(`${what} of endpoint ${index}`, bytes.readUInt32LE(at + offset), bytes.readUInt32LE(at + length), most);
  const named = {
    address: text("address", w.E_ADDRESS_OFFSET, w.E_ADDRESS_LENGTH, ADDRESS_BYTES_MAX),
    pod: text("pod", w.E_POD_OFFSET, w.E_POD_LENGTH, POD_BYTES_MAX),
  };
  if (format !== w.FORMAT) return named;
  return {
    ...named,
    id: text("id", w.E_ID_OFFSET, w.E_ID_LENGTH, ENDPOINT_ID_BYTES_MAX),
    passes: bytes.readBigUInt64LE(at + w.E_PASSES),
    columns: Array.from({ length: COLUMNS_MAX }, (_, i) => bytes.readBigUInt64LE(at + w.E_COLUMNS + i * 8)),
  };
}

function readPool(
  bytes: Buffer,
  at: number,
  index: number,
  endpoints: readonly TopologyEndpoint[],
  heap: HeapReader,
): TopologyPool | ReturnType<typeof fail> {
  const word = (offset: number): number => bytes.readUInt32LE(at + offset);
  const name = heap.text(`name of pool ${index}`, word(w.P_NAME_OFFSET), word(w.P_NAME_LENGTH), POOL_NAME_BYTES_MAX);
  const first = word(w.P_FIRST_ROW);
  const end = first + word(w.P_ROW_COUNT);
  if (end > endpoints.length)
    return fail("bad_table", `pool ${index} has endpoints ${first}…${end} of ${endpoints.length}`);
  const mode = bytes.readUInt8(at + w.P_FAILURE_MODE);
  if (mode !== w.FAIL_OPEN && mode !== w.FAIL_CLOSE)
    return fail("bad_table", `pool ${index} has failure mode ${mode}, expected ${w.FAIL_CLOSE} or ${w.FAIL_OPEN}`);
  return {
    name,
    failureMode: mode === w.FAIL_OPEN ? "FailOpen" : "FailClose",
    endpoints: endpoints.slice(first, end),
  };
}

/** The bytes of a program or of models; a sentence when they cannot lie there. Undefined: there are none. */
function readSection(bytes: Buffer, from: number, length: number): Buffer | string | undefined {
  if (from === 0) return undefined;
  const end = from + length;
  if (from < w.HEADER_BYTES || from % 8 !== 0 || end > bytes.length)
    return `lies at ${from}…${end} of ${bytes.length} bytes, expected from a multiple of 8`;
  return bytes.subarray(from, end);
}

function readModels(bytes: Buffer, at: number, heap: HeapReader): PoolModels | string | undefined {
  const [from, length] = [bytes.readUInt32LE(at + w.P_MODELS), bytes.readUInt32LE(at + w.P_MODELS_BYTES)];
  const section = readSection(bytes, from, length);
  return section === undefined || typeof section === "string" ? section : decodeModels(section, heap);
}

/** Of the first pool: the agent gives all pools the same. Undefined is the filter's own default. */
function readProgram(bytes: Buffer, { offset }: Table, heap: HeapReader): Program | string | undefined {
  const [from, length] = [bytes.readUInt32LE(offset + w.P_PROGRAM), bytes.readUInt32LE(offset + w.P_PROGRAM_BYTES)];
  const section = readSection(bytes, from, length);
  return section === undefined || typeof section === "string" ? section : decodeProgram(section, heap);
}

function decodeMetrics(bytes: Buffer, format: number): Decoded<Metrics> {
  const word = (at: number): number => bytes.readUInt32LE(at);
  const { metrics: rowBytes } = rowBytesOf(format);
  const table = { offset: word(w.H_ROWS_OFFSET), count: word(w.H_ROW_COUNT), rowBytes };
  const heapTable = { offset: word(w.H_HEAP_OFFSET), count: Math.ceil(word(w.H_HEAP_LENGTH) / 8), rowBytes: 8 };
  const wrong =
    checkTable(bytes, "rows", table, ENDPOINTS_MAX) ?? checkTable(bytes, "adapters", heapTable, ADAPTER_HASHES_MAX);
  if (wrong) return wrong;
  const hashes = Array.from({ length: heapTable.count }, (_, i) => bytes.readBigUInt64LE(heapTable.offset + i * 8));
  const rows: MetricsRow[] = [];
  for (let i = 0; i < table.count; ++i) {
    const at = table.offset + i * rowBytes;
    const values = readValues(bytes, at);
    if (
      ![values.waiting, values.running, values.kvUsage].every((value) => value === undefined || Number.isFinite(value))
    )
      return fail("bad_table", `row ${i} has a value that is not a finite number`);
    const more = format === w.FORMAT ? readMore(bytes, at, i, hashes) : {};
    if (typeof more === "string") return fail("bad_table", more);
    rows.push({ ...values, ...more });
  }
  const epoch = Number(bytes.readBigUInt64LE(w.H_EPOCH));
  return { ok: true, value: { epoch, sequence: Number(bytes.readBigUInt64LE(w.H_SEQUENCE)), rows } };
}

function readValues(bytes: Buffer, at: number): MetricsRow {
  const known = bytes.readUInt32LE(at + w.M_KNOWN);
  const gauge = (offset: number, bit: number): number | undefined =>
    known & bit ? bytes.readFloatLE(at + offset) : undefined;
  const count = (offset: number, bit: number): number | undefined =>
    known & bit ? bytes.readUInt32LE(at + offset) : undefined;
  const ageMs = bytes.readUInt32LE(at + w.M_AGE_MS);
  return {
    waiting: gauge(w.M_WAITING, w.KNOWN_WAITING),
    running: gauge(w.M_RUNNING, w.KNOWN_RUNNING),
    kvUsage: gauge(w.M_KV_USAGE, w.KNOWN_KV_USAGE),
    blockSize: count(w.M_BLOCK_SIZE, w.KNOWN_BLOCK_SIZE),
    blocks: count(w.M_BLOCKS, w.KNOWN_BLOCKS),
    maxAdapters: count(w.M_MAX_ADAPTERS, w.KNOWN_MAX_ADAPTERS),
    ageMs: ageMs === AGE_UNKNOWN ? undefined : ageMs,
    intervalMs: bytes.readUInt32LE(at + w.M_INTERVAL_MS),
    scrape: bytes.readUInt32LE(at + w.M_SCRAPE),
  };
}

/** What format 3 added. */
function readMore(
  bytes: Buffer,
  at: number,
  index: number,
  hashes: readonly bigint[],
): Required<Pick<MetricsRow, "adapters" | "baseModel" | "attributes">> | string {
  const known = bytes.readUInt32LE(at + w.M_KNOWN);
  const first = bytes.readUInt32LE(at + w.M_ADAPTERS);
  const middle = first + bytes.readUInt16LE(at + w.M_RUNNING_ADAPTERS);
  const end = middle + bytes.readUInt16LE(at + w.M_WAITING_ADAPTERS);
  if (end > hashes.length) return `row ${index} has adapters ${first}…${end} of ${hashes.length}`;
  const listed = (known & w.KNOWN_ADAPTERS) !== 0;
  const baseModel = bytes.readBigUInt64LE(at + w.M_BASE_MODEL);
  return {
    adapters: listed ? { running: hashes.slice(first, middle), waiting: hashes.slice(middle, end) } : undefined,
    baseModel: baseModel === 0n ? undefined : baseModel,
    attributes: Array.from({ length: ATTRIBUTES_MAX }, (_, i) =>
      known & (w.KNOWN_ATTRIBUTE << i) ? bytes.readFloatLE(at + w.M_ATTRIBUTES + i * 4) : undefined,
    ),
  };
}
