// Snapshots to bytes, as src/wire/snapshot.ts lays them out.

import { crc32 } from "node:zlib";
import * as w from "../wire/snapshot.ts";
import type { FailureMode } from "./kinds/object.ts";

export type TopologyPool = {
  /** `namespace/name`. */
  readonly name: string;
  readonly failureMode: FailureMode;
  readonly endpoints: readonly { readonly address: string; readonly pod: string }[];
};

export type Topology = { readonly epoch: number; readonly pools: readonly TopologyPool[] };

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

/** Text that rows point into; equal texts are kept once. */
class Heap {
  readonly #parts: Buffer[] = [];
  readonly #places = new Map<string, { readonly offset: number; readonly length: number }>();
  length = 0;

  place(text: string): { readonly offset: number; readonly length: number } {
    const known = this.#places.get(text);
    if (known) return known;
    const bytes = Buffer.from(text, "utf8");
    const place = { offset: this.length, length: bytes.length };
    this.#parts.push(bytes);
    this.#places.set(text, place);
    this.length += bytes.length;
    return place;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function seal(blob: Buffer, format: Format, kind: number): Buffer {
  blob.writeUInt32LE(w.MAGIC, w.H_MAGIC);
  blob.writeUInt16LE(format, w.H_FORMAT);
  blob.writeUInt16LE(kind, w.H_KIND);
  blob.writeUInt32LE(blob.length, w.H_LENGTH);
  blob.writeUInt32LE(crc32(blob.subarray(w.CRC_FROM)), w.H_CRC32);
  return blob;
}

/** The same pools and epoch always give the same bytes. */
export function encodeTopology(topology: Topology, format: Format = w.FORMAT): Buffer {
  const { pools } = topology;
  const rowCount = pools.reduce((count, pool) => count + pool.endpoints.length, 0);
  const rowsOffset = w.HEADER_BYTES + pools.length * w.POOL_BYTES;
  const heapOffset = rowsOffset + rowCount * w.ENDPOINT_BYTES;
  const tables = Buffer.alloc(heapOffset);
  const heap = new Heap();
  let row = 0;
  pools.forEach((pool, i) => {
    const at = w.HEADER_BYTES + i * w.POOL_BYTES;
    const name = heap.place(pool.name);
    tables.writeUInt32LE(name.offset, at + w.P_NAME_OFFSET);
    tables.writeUInt32LE(name.length, at + w.P_NAME_LENGTH);
    tables.writeUInt32LE(row, at + w.P_FIRST_ROW);
    tables.writeUInt32LE(pool.endpoints.length, at + w.P_ROW_COUNT);
    tables.writeUInt8(pool.failureMode === "FailOpen" ? w.FAIL_OPEN : w.FAIL_CLOSE, at + w.P_FAILURE_MODE);
    for (const endpoint of pool.endpoints) {
      const rowAt = rowsOffset + row * w.ENDPOINT_BYTES;
      const address = heap.place(endpoint.address);
      const pod = heap.place(endpoint.pod);
      tables.writeUInt32LE(address.offset, rowAt + w.E_ADDRESS_OFFSET);
      tables.writeUInt32LE(address.length, rowAt + w.E_ADDRESS_LENGTH);
      tables.writeUInt32LE(pod.offset, rowAt + w.E_POD_OFFSET);
      tables.writeUInt32LE(pod.length, rowAt + w.E_POD_LENGTH);
      row += 1;
    }
  });
  tables.writeBigUInt64LE(BigInt(topology.epoch), w.H_EPOCH);
  tables.writeUInt32LE(pools.length, w.H_POOL_COUNT);
  tables.writeUInt32LE(rowCount, w.H_ROW_COUNT);
  tables.writeUInt32LE(heapOffset, w.H_HEAP_OFFSET);
  tables.writeUInt32LE(heap.length, w.H_HEAP_LENGTH);
  tables.writeUInt32LE(w.HEADER_BYTES, w.H_POOLS_OFFSET);
  tables.writeUInt32LE(rowsOffset, w.H_ROWS_OFFSET);
  return seal(Buffer.concat([tables, heap.bytes()]), format, w.KIND_TOPOLOGY);
}

export function encodeMetrics(metrics: Metrics, format: Format = w.FORMAT): Buffer {
  const rowBytes = format === w.FORMAT ? w.METRICS_BYTES : w.METRICS_BYTES_1;
  const blob = Buffer.alloc(w.HEADER_BYTES + metrics.rows.length * rowBytes);
  blob.writeBigUInt64LE(BigInt(metrics.epoch), w.H_EPOCH);
  blob.writeBigUInt64LE(BigInt(metrics.sequence), w.H_SEQUENCE);
  blob.writeUInt32LE(metrics.rows.length, w.H_ROW_COUNT);
  blob.writeUInt32LE(blob.length, w.H_HEAP_OFFSET);
  blob.writeUInt32LE(w.HEADER_BYTES, w.H_POOLS_OFFSET);
  blob.writeUInt32LE(w.HEADER_BYTES, w.H_ROWS_OFFSET);
  metrics.rows.forEach((row, i) => {
    writeRow(blob, w.HEADER_BYTES + i * rowBytes, row, format);
  });
  return seal(blob, format, w.KIND_METRICS);
}

function writeRow(blob: Buffer, at: number, row: MetricsRow, format: Format): void {
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
  if (format === w.FORMAT) {
    count(row.blockSize, w.M_BLOCK_SIZE, w.KNOWN_BLOCK_SIZE);
    count(row.blocks, w.M_BLOCKS, w.KNOWN_BLOCKS);
    count(row.maxAdapters, w.M_MAX_ADAPTERS, w.KNOWN_MAX_ADAPTERS);
  }
  blob.writeUInt32LE(known, at + w.M_KNOWN);
  const ageMs = row.ageMs === undefined ? AGE_UNKNOWN : Math.min(Math.round(row.ageMs), AGE_UNKNOWN - 1);
  blob.writeUInt32LE(ageMs, at + w.M_AGE_MS);
  blob.writeUInt32LE(row.intervalMs, at + w.M_INTERVAL_MS);
  blob.writeUInt32LE(row.scrape >>> 0, at + w.M_SCRAPE);
}
