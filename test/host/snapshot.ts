// Snapshots written from src/wire/snapshot.ts alone: a second encoder beside the agent's, so that a
// mistake in one of them shows. Also writes format 1.

import { crc32 } from "node:zlib";
import * as wire from "../../src/wire/snapshot.ts";

export interface PoolSpec {
  /** "namespace/name" */
  readonly name: string;
  readonly failOpen?: boolean;
  readonly endpoints: readonly EndpointSpec[];
}

export interface EndpointSpec {
  /** "ip:port" */
  readonly address: string;
  readonly pod?: string;
}

/** A value that is left out is one the endpoint never reported. */
export interface RowSpec {
  readonly waiting?: number;
  readonly running?: number;
  readonly kvUsage?: number;
  readonly ageMs?: number;
  readonly intervalMs?: number;
  readonly scrape?: number;
}

interface Table {
  readonly kind: number;
  readonly format: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly pools: Buffer;
  readonly poolCount: number;
  readonly rows: Buffer;
  readonly rowCount: number;
  readonly heap: Buffer;
}

function seal(table: Table): Buffer {
  const poolsOffset = wire.HEADER_BYTES;
  const rowsOffset = poolsOffset + table.pools.length;
  const heapOffset = rowsOffset + table.rows.length;
  const header = Buffer.alloc(wire.HEADER_BYTES);
  header.writeUInt32LE(wire.MAGIC, wire.H_MAGIC);
  header.writeUInt16LE(table.format, wire.H_FORMAT);
  header.writeUInt16LE(table.kind, wire.H_KIND);
  header.writeUInt32LE(heapOffset + table.heap.length, wire.H_LENGTH);
  header.writeBigUInt64LE(BigInt(table.epoch), wire.H_EPOCH);
  header.writeBigUInt64LE(BigInt(table.sequence), wire.H_SEQUENCE);
  header.writeUInt32LE(table.poolCount, wire.H_POOL_COUNT);
  header.writeUInt32LE(table.rowCount, wire.H_ROW_COUNT);
  header.writeUInt32LE(heapOffset, wire.H_HEAP_OFFSET);
  header.writeUInt32LE(table.heap.length, wire.H_HEAP_LENGTH);
  header.writeUInt32LE(poolsOffset, wire.H_POOLS_OFFSET);
  header.writeUInt32LE(rowsOffset, wire.H_ROWS_OFFSET);
  return resum(Buffer.concat([header, table.pools, table.rows, table.heap]));
}

/** Writes the checksum of a blob that a test has changed. */
export function resum(blob: Buffer): Buffer {
  blob.writeUInt32LE(crc32(blob.subarray(wire.CRC_FROM)), wire.H_CRC32);
  return blob;
}

export function encodeTopology(epoch: number, pools: readonly PoolSpec[], format: number = wire.FORMAT): Buffer {
  const heap: Buffer[] = [];
  let heapLength = 0;
  const place = (text: string): [number, number] => {
    const bytes = Buffer.from(text);
    heap.push(bytes);
    heapLength += bytes.length;
    return [heapLength - bytes.length, bytes.length];
  };
  const endpoints = pools.flatMap((pool) => pool.endpoints);
  const poolRows = Buffer.alloc(pools.length * wire.POOL_BYTES);
  const rows = Buffer.alloc(endpoints.length * wire.ENDPOINT_BYTES);
  let firstRow = 0;
  pools.forEach((pool, index) => {
    const at = index * wire.POOL_BYTES;
    const [nameOffset, nameLength] = place(pool.name);
    poolRows.writeUInt32LE(nameOffset, at + wire.P_NAME_OFFSET);
    poolRows.writeUInt32LE(nameLength, at + wire.P_NAME_LENGTH);
    poolRows.writeUInt32LE(firstRow, at + wire.P_FIRST_ROW);
    poolRows.writeUInt32LE(pool.endpoints.length, at + wire.P_ROW_COUNT);
    poolRows[at + wire.P_FAILURE_MODE] = pool.failOpen === true ? wire.FAIL_OPEN : wire.FAIL_CLOSE;
    firstRow += pool.endpoints.length;
  });
  endpoints.forEach((endpoint, index) => {
    const at = index * wire.ENDPOINT_BYTES;
    const [addressOffset, addressLength] = place(endpoint.address);
    const [podOffset, podLength] = place(endpoint.pod ?? `pod-${index}`);
    rows.writeUInt32LE(addressOffset, at + wire.E_ADDRESS_OFFSET);
    rows.writeUInt32LE(addressLength, at + wire.E_ADDRESS_LENGTH);
    rows.writeUInt32LE(podOffset, at + wire.E_POD_OFFSET);
    rows.writeUInt32LE(podLength, at + wire.E_POD_LENGTH);
  });
  return seal({
    kind: wire.KIND_TOPOLOGY,
    format,
    epoch,
    sequence: 0,
    pools: poolRows,
    poolCount: pools.length,
    rows,
    rowCount: endpoints.length,
    heap: Buffer.concat(heap),
  });
}

export function encodeMetrics(
  epoch: number,
  sequence: number,
  specs: readonly RowSpec[],
  format: number = wire.FORMAT,
): Buffer {
  const rowBytes = format === 1 ? wire.METRICS_BYTES_1 : wire.METRICS_BYTES;
  const rows = Buffer.alloc(specs.length * rowBytes);
  specs.forEach((spec, index) => {
    const at = index * rowBytes;
    let known = 0;
    if (spec.waiting !== undefined) known |= wire.KNOWN_WAITING;
    if (spec.running !== undefined) known |= wire.KNOWN_RUNNING;
    if (spec.kvUsage !== undefined) known |= wire.KNOWN_KV_USAGE;
    rows.writeFloatLE(spec.waiting ?? 0, at + wire.M_WAITING);
    rows.writeFloatLE(spec.running ?? 0, at + wire.M_RUNNING);
    rows.writeFloatLE(spec.kvUsage ?? 0, at + wire.M_KV_USAGE);
    rows.writeUInt32LE(known, at + wire.M_KNOWN);
    rows.writeUInt32LE(spec.ageMs ?? 0, at + wire.M_AGE_MS);
    rows.writeUInt32LE(spec.intervalMs ?? 50, at + wire.M_INTERVAL_MS);
    rows.writeUInt32LE(spec.scrape ?? sequence, at + wire.M_SCRAPE);
  });
  return seal({
    kind: wire.KIND_METRICS,
    format,
    epoch,
    sequence,
    pools: Buffer.alloc(0),
    poolCount: 0,
    rows,
    rowCount: specs.length,
    heap: Buffer.alloc(0),
  });
}
