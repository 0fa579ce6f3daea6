// Bytes to snapshots. Nothing is believed: every offset and count is checked before it is used.

import { crc32 } from "node:zlib";
import {
  ADDRESS_BYTES_MAX,
  ENDPOINTS_MAX,
  POOL_NAME_BYTES_MAX,
  POOLS_MAX,
  SNAPSHOT_BYTES_MAX,
} from "../wire/limits.ts";
import * as w from "../wire/snapshot.ts";
import { AGE_UNKNOWN, type Metrics, type MetricsRow, type Topology, type TopologyPool } from "./encode.ts";

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
  const decoded = decodeTopology(bytes);
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

/** Reads texts of the heap. The first that cannot be read is kept in `wrong`. */
class HeapReader {
  readonly #heap: Buffer;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true });
  wrong: string | undefined;

  constructor(heap: Buffer) {
    this.#heap = heap;
  }

  text(what: string, offset: number, length: number, most: number): string {
    const end = offset + length;
    if (length > most) this.wrong ??= `${what} has ${length} bytes, expected at most ${most}`;
    else if (end > this.#heap.length)
      this.wrong ??= `${what} lies at ${offset}…${end} of a heap of ${this.#heap.length} bytes`;
    else {
      try {
        return this.#utf8.decode(this.#heap.subarray(offset, end));
      } catch {
        this.wrong ??= `${what} is not UTF-8`;
      }
    }
    return "";
  }
}

const POD_BYTES_MAX = 253;

function decodeTopology(bytes: Buffer): Decoded<Topology> {
  const word = (at: number): number => bytes.readUInt32LE(at);
  const poolTable = { offset: word(w.H_POOLS_OFFSET), count: word(w.H_POOL_COUNT), rowBytes: w.POOL_BYTES };
  const rowTable = { offset: word(w.H_ROWS_OFFSET), count: word(w.H_ROW_COUNT), rowBytes: w.ENDPOINT_BYTES };
  const heapTable = { offset: word(w.H_HEAP_OFFSET), count: word(w.H_HEAP_LENGTH), rowBytes: 1 };
  const wrong =
    checkTable(bytes, "pools", poolTable, POOLS_MAX) ??
    checkTable(bytes, "endpoints", rowTable, ENDPOINTS_MAX) ??
    checkTable(bytes, "heap bytes", heapTable, SNAPSHOT_BYTES_MAX);
  if (wrong) return wrong;
  const heap = new HeapReader(bytes.subarray(heapTable.offset, heapTable.offset + heapTable.count));
  const endpoints = Array.from({ length: rowTable.count }, (_, i) => {
    const at = rowTable.offset + i * w.ENDPOINT_BYTES;
    return {
      address: heap.text(
        `address of endpoint ${i}`,
        word(at + w.E_ADDRESS_OFFSET),
        word(at + w.E_ADDRESS_LENGTH),
        ADDRESS_BYTES_MAX,
      ),
      pod: heap.text(`pod of endpoint ${i}`, word(at + w.E_POD_OFFSET), word(at + w.E_POD_LENGTH), POD_BYTES_MAX),
    };
  });
  const pools: TopologyPool[] = [];
  for (let i = 0; i < poolTable.count; ++i) {
    const at = poolTable.offset + i * w.POOL_BYTES;
    const name = heap.text(
      `name of pool ${i}`,
      word(at + w.P_NAME_OFFSET),
      word(at + w.P_NAME_LENGTH),
      POOL_NAME_BYTES_MAX,
    );
    const first = word(at + w.P_FIRST_ROW);
    const end = first + word(at + w.P_ROW_COUNT);
    if (end > endpoints.length)
      return fail("bad_table", `pool ${i} has endpoints ${first}…${end} of ${endpoints.length}`);
    const mode = bytes.readUInt8(at + w.P_FAILURE_MODE);
    if (mode !== w.FAIL_OPEN && mode !== w.FAIL_CLOSE)
      return fail("bad_table", `pool ${i} has failure mode ${mode}, expected ${w.FAIL_CLOSE} or ${w.FAIL_OPEN}`);
    pools.push({
      name,
      failureMode: mode === w.FAIL_OPEN ? "FailOpen" : "FailClose",
      endpoints: endpoints.slice(first, end),
    });
  }
  if (heap.wrong) return fail("bad_table", heap.wrong);
  return { ok: true, value: { epoch: Number(bytes.readBigUInt64LE(w.H_EPOCH)), pools } };
}

function decodeMetrics(bytes: Buffer, format: number): Decoded<Metrics> {
  const rowBytes = format === w.FORMAT ? w.METRICS_BYTES : w.METRICS_BYTES_1;
  const table = { offset: bytes.readUInt32LE(w.H_ROWS_OFFSET), count: bytes.readUInt32LE(w.H_ROW_COUNT), rowBytes };
  const wrong = checkTable(bytes, "rows", table, ENDPOINTS_MAX);
  if (wrong) return wrong;
  const rows: MetricsRow[] = [];
  for (let i = 0; i < table.count; ++i) {
    const row = readRow(bytes, table.offset + i * rowBytes, format);
    if (![row.waiting, row.running, row.kvUsage].every((value) => value === undefined || Number.isFinite(value)))
      return fail("bad_table", `row ${i} has a value that is not a finite number`);
    rows.push(row);
  }
  const epoch = Number(bytes.readBigUInt64LE(w.H_EPOCH));
  return { ok: true, value: { epoch, sequence: Number(bytes.readBigUInt64LE(w.H_SEQUENCE)), rows } };
}

function readRow(bytes: Buffer, at: number, format: number): MetricsRow {
  const known = bytes.readUInt32LE(at + w.M_KNOWN);
  const gauge = (offset: number, bit: number): number | undefined =>
    known & bit ? bytes.readFloatLE(at + offset) : undefined;
  const count = (offset: number, bit: number): number | undefined =>
    format === w.FORMAT && known & bit ? bytes.readUInt32LE(at + offset) : undefined;
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
