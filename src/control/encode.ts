// Snapshots to bytes, as src/wire/snapshot.ts lays them out.

import { crc32 } from "node:zlib";
import { ADAPTER_HASHES_MAX, ATTRIBUTES_MAX } from "../wire/limits.ts";
import * as w from "../wire/snapshot.ts";
import { Heap } from "./heap.ts";
import type { FailureMode } from "./kinds/object.ts";
import { encodeModels } from "./models/encode-models.ts";
import type { PoolModels } from "./models/models.ts";
import { encodeProgram } from "./scheduling/encode-program.ts";
import type { Program } from "./scheduling/program.ts";

export type TopologyEndpoint = {
  readonly address: string;
  readonly pod: string;
  /** `namespace/pod-rank-0`. */
  readonly id?: string;
  /** A bit for each label filter of the program that lets it through. */
  readonly passes?: bigint;
  /** What steps know of the labels; those that are not given are 0. */
  readonly columns?: readonly bigint[];
};

export type TopologyPool = {
  /** `namespace/name`. */
  readonly name: string;
  readonly failureMode: FailureMode;
  /** What the objects say about its models, if they say anything. */
  readonly models?: PoolModels;
  readonly endpoints: readonly TopologyEndpoint[];
};

export type Topology = {
  readonly epoch: number;
  /** Of all pools; without one the filter picks by its own default. */
  readonly program?: Program;
  readonly pools: readonly TopologyPool[];
};

/** What an endpoint has last said. Undefined is unknown. */
export type MetricsRow = {
  readonly waiting: number | undefined;
  readonly running: number | undefined;
  /** 0…1. */
  readonly kvUsage: number | undefined;
  /** Tokens. */
  readonly blockSize: number | undefined;
  readonly blocks: number | undefined;
  readonly maxAdapters: number | undefined;
  /** Hashes of names; undefined when the endpoint does not list its adapters. */
  readonly adapters?: { readonly running: readonly bigint[]; readonly waiting: readonly bigint[] } | undefined;
  /** Hash of its name. */
  readonly baseModel?: bigint | undefined;
  /** Custom metrics by their number. */
  readonly attributes?: readonly (number | undefined)[];
  /** Since the last successful scrape; undefined before the first. */
  readonly ageMs: number | undefined;
  readonly intervalMs: number;
  /** Successful scrapes so far. */
  readonly scrape: number;
};

/** `rows` follow the order of the endpoints in the topology of that epoch. */
export type Metrics = { readonly epoch: number; readonly sequence: number; readonly rows: readonly MetricsRow[] };

/** In the place of an age: never scraped. */
export const AGE_UNKNOWN = 0xffff_ffff;

/** FORMAT_OLDEST … FORMAT of the wire. */
export type Format = number;

/** What rows take in a format. */
export function rowBytesOf(format: Format): {
  readonly pool: number;
  readonly endpoint: number;
  readonly metrics: number;
} {
  return format === w.FORMAT
    ? { pool: w.POOL_BYTES, endpoint: w.ENDPOINT_BYTES, metrics: w.METRICS_BYTES }
    : { pool: w.POOL_BYTES_2, endpoint: w.ENDPOINT_BYTES_2, metrics: w.METRICS_BYTES_2 };
}

function seal(blob: Buffer, format: Format, kind: number): Buffer {
  blob.writeUInt32LE(w.MAGIC, w.H_MAGIC);
  blob.writeUInt16LE(format, w.H_FORMAT);
  blob.writeUInt16LE(kind, w.H_KIND);
  blob.writeUInt32LE(blob.length, w.H_LENGTH);
  blob.writeUInt32LE(crc32(blob.subarray(w.CRC_FROM)), w.H_CRC32);
  return blob;
}

/** The same pools, program, models and epoch always give the same bytes. */
export function encodeTopology(topology: Topology, format: Format = w.FORMAT): Buffer {
  const { pools } = topology;
  const { pool: poolBytes, endpoint: endpointBytes } = rowBytesOf(format);
  const rowCount = pools.reduce((count, pool) => count + pool.endpoints.length, 0);
  const rowsOffset = w.HEADER_BYTES + pools.length * poolBytes;
  const programOffset = rowsOffset + rowCount * endpointBytes;
  const tables = Buffer.alloc(programOffset);
  const heap = new Heap();
  const isCurrent = format === w.FORMAT;
  const program = isCurrent && topology.program ? encodeProgram(topology.program, heap) : Buffer.alloc(0);
  const models: Buffer[] = [];
  let modelsOffset = programOffset + program.length;
  let row = 0;
  pools.forEach((pool, i) => {
    const at = w.HEADER_BYTES + i * poolBytes;
    writePool(tables, at, pool, row, heap);
    if (program.length > 0) {
      tables.writeUInt32LE(programOffset, at + w.P_PROGRAM);
      tables.writeUInt32LE(program.length, at + w.P_PROGRAM_BYTES);
    }
    for (const endpoint of pool.endpoints) {
      const rowAt = rowsOffset + row * endpointBytes;
      writeEndpoint(tables, rowAt, endpoint, heap);
      if (isCurrent) writeLabels(tables, rowAt, endpoint, heap);
      row += 1;
    }
    if (!isCurrent || pool.models === undefined) return;
    const table = encodeModels(pool.models, heap);
    tables.writeUInt32LE(modelsOffset, at + w.P_MODELS);
    tables.writeUInt32LE(table.length, at + w.P_MODELS_BYTES);
    models.push(table);
    modelsOffset += table.length;
  });
  tables.writeBigUInt64LE(BigInt(topology.epoch), w.H_EPOCH);
  tables.writeUInt32LE(pools.length, w.H_POOL_COUNT);
  tables.writeUInt32LE(rowCount, w.H_ROW_COUNT);
  tables.writeUInt32LE(modelsOffset, w.H_HEAP_OFFSET);
  tables.writeUInt32LE(heap.length, w.H_HEAP_LENGTH);
  tables.writeUInt32LE(w.HEADER_BYTES, w.H_POOLS_OFFSET);
  tables.writeUInt32LE(rowsOffset, w.H_ROWS_OFFSET);
  return seal(Buffer.concat([tables, program, ...models, heap.bytes()]), format, w.KIND_TOPOLOGY);
}

function writePool(tables: Buffer, at: number, pool: TopologyPool, firstRow: number, heap: Heap): void {
  const name = heap.place(pool.name);
  tables.writeUInt32LE(name.offset, at + w.P_NAME_OFFSET);
  tables.writeUInt32LE(name.length, at + w.P_NAME_LENGTH);
  tables.writeUInt32LE(firstRow, at + w.P_FIRST_ROW);
  tables.writeUInt32LE(pool.endpoints.length, at + w.P_ROW_COUNT);
  tables.writeUInt8(pool.failureMode === "FailOpen" ? w.FAIL_OPEN : w.FAIL_CLOSE, at + w.P_FAILURE_MODE);
}

function writeEndpoint(tables: Buffer, at: number, endpoint: TopologyEndpoint, heap: Heap): void {
  const address = heap.place(endpoint.address);
  const pod = heap.place(endpoint.pod);
  tables.writeUInt32LE(address.offset, at + w.E_ADDRESS_OFFSET);
  tables.writeUInt32LE(address.length, at + w.E_ADDRESS_LENGTH);
  tables.writeUInt32LE(pod.offset, at + w.E_POD_OFFSET);
  tables.writeUInt32LE(pod.length, at + w.E_POD_LENGTH);
}

function writeLabels(tables: Buffer, at: number, endpoint: TopologyEndpoint, heap: Heap): void {
  const id = heap.place(endpoint.id ?? "");
  tables.writeUInt32LE(id.offset, at + w.E_ID_OFFSET);
  tables.writeUInt32LE(id.length, at + w.E_ID_LENGTH);
  tables.writeBigUInt64LE(endpoint.passes ?? 0n, at + w.E_PASSES);
  (endpoint.columns ?? []).forEach((value, i) => {
    tables.writeBigUInt64LE(value, at + w.E_COLUMNS + i * 8);
  });
}

/** Rows with more adapters than there is room for say that they list none: see rowsBeyond. */
export function encodeMetrics(metrics: Metrics, format: Format = w.FORMAT): Buffer {
  const { metrics: rowBytes } = rowBytesOf(format);
  const tables = Buffer.alloc(w.HEADER_BYTES + metrics.rows.length * rowBytes);
  const hashes: bigint[] = [];
  metrics.rows.forEach((row, i) => {
    const at = w.HEADER_BYTES + i * rowBytes;
    let known = writeValues(tables, at, row);
    if (format === w.FORMAT) {
      known |= writeAdapters(tables, at, row, hashes);
      known |= writeAttributes(tables, at, row);
    }
    tables.writeUInt32LE(known, at + w.M_KNOWN);
  });
  const heap = Buffer.alloc(hashes.length * 8);
  hashes.forEach((hash, i) => {
    heap.writeBigUInt64LE(hash, i * 8);
  });
  tables.writeBigUInt64LE(BigInt(metrics.epoch), w.H_EPOCH);
  tables.writeBigUInt64LE(BigInt(metrics.sequence), w.H_SEQUENCE);
  tables.writeUInt32LE(metrics.rows.length, w.H_ROW_COUNT);
  tables.writeUInt32LE(tables.length, w.H_HEAP_OFFSET);
  tables.writeUInt32LE(heap.length, w.H_HEAP_LENGTH);
  tables.writeUInt32LE(w.HEADER_BYTES, w.H_POOLS_OFFSET);
  tables.writeUInt32LE(w.HEADER_BYTES, w.H_ROWS_OFFSET);
  return seal(Buffer.concat([tables, heap]), format, w.KIND_METRICS);
}

/** What every format has. Returns which of it is known. */
function writeValues(blob: Buffer, at: number, row: MetricsRow): number {
  let known = 0;
  const gauge = (value: number | undefined, offset: number, bit: number): void => {
    if (value === undefined) return;
    blob.writeFloatLE(value, at + offset);
    known |= bit;
  };
  const count = (value: number | undefined, offset: number, bit: number): void => {
    if (value === undefined) return;
    blob.writeUInt32LE(value, at + offset);
    known |= bit;
  };
  gauge(row.waiting, w.M_WAITING, w.KNOWN_WAITING);
  gauge(row.running, w.M_RUNNING, w.KNOWN_RUNNING);
  gauge(row.kvUsage, w.M_KV_USAGE, w.KNOWN_KV_USAGE);
  count(row.blockSize, w.M_BLOCK_SIZE, w.KNOWN_BLOCK_SIZE);
  count(row.blocks, w.M_BLOCKS, w.KNOWN_BLOCKS);
  count(row.maxAdapters, w.M_MAX_ADAPTERS, w.KNOWN_MAX_ADAPTERS);
  const ageMs = row.ageMs === undefined ? AGE_UNKNOWN : Math.min(Math.round(row.ageMs), AGE_UNKNOWN - 1);
  blob.writeUInt32LE(ageMs, at + w.M_AGE_MS);
  blob.writeUInt32LE(row.intervalMs, at + w.M_INTERVAL_MS);
  blob.writeUInt32LE(row.scrape >>> 0, at + w.M_SCRAPE);
  return known;
}

const LIST_MAX = 0xffff;

/** How many rows list adapters for which there is no room. */
export function rowsBeyond(rows: readonly MetricsRow[]): number {
  let hashes = 0;
  let beyond = 0;
  for (const { adapters } of rows) {
    if (adapters === undefined) continue;
    if (fits(adapters, hashes)) hashes += adapters.running.length + adapters.waiting.length;
    else beyond += 1;
  }
  return beyond;
}

function fits({ running, waiting }: NonNullable<MetricsRow["adapters"]>, hashes: number): boolean {
  const isListed = running.length <= LIST_MAX && waiting.length <= LIST_MAX;
  return isListed && hashes + running.length + waiting.length <= ADAPTER_HASHES_MAX;
}

function writeAdapters(blob: Buffer, at: number, row: MetricsRow, hashes: bigint[]): number {
  blob.writeBigUInt64LE(row.baseModel ?? 0n, at + w.M_BASE_MODEL);
  if (row.adapters === undefined) return 0;
  const { running, waiting } = row.adapters;
  if (!fits(row.adapters, hashes.length)) return 0;
  blob.writeUInt32LE(hashes.length, at + w.M_ADAPTERS);
  blob.writeUInt16LE(running.length, at + w.M_RUNNING_ADAPTERS);
  blob.writeUInt16LE(waiting.length, at + w.M_WAITING_ADAPTERS);
  hashes.push(...running, ...waiting);
  return w.KNOWN_ADAPTERS;
}

function writeAttributes(blob: Buffer, at: number, row: MetricsRow): number {
  let known = 0;
  for (let i = 0; i < ATTRIBUTES_MAX; ++i) {
    const value = row.attributes?.[i];
    blob.writeFloatLE(value ?? Number.NaN, at + w.M_ATTRIBUTES + i * 4);
    if (value !== undefined) known |= w.KNOWN_ATTRIBUTE << i;
  }
  return known;
}
