// Snapshots written from src/wire/snapshot.ts alone: a second encoder beside the agent's, so that a
// mistake in one of them shows. Also writes format 2.

import { crc32 } from "node:zlib";
import { ATTRIBUTES_MAX, COLUMNS_MAX } from "../../src/wire/limits.ts";
import { RANGE_BROKEN, RANGE_NONE } from "../../src/wire/program.ts";
import * as wire from "../../src/wire/snapshot.ts";
import { fnv1a } from "./fnv.ts";
import { encodeModels, type ModelsSpec } from "./models.ts";
import { encodeProgram, type PlaceText, type ProgramSpec } from "./program.ts";

export interface PoolSpec {
  /** "namespace/name" */
  readonly name: string;
  readonly failOpen?: boolean;
  /** Without one the filter's own default program counts. */
  readonly program?: ProgramSpec;
  /** What the objects of this pool say about models. */
  readonly models?: ModelsSpec;
  readonly endpoints: readonly EndpointSpec[];
}

export interface EndpointSpec {
  /** "ip:port" */
  readonly address: string;
  readonly pod?: string;
  /** "namespace/pod-rank-0"; by default of the pod in the namespace "default". */
  readonly id?: string;
  /** Numbers of the label filters that let it through. */
  readonly passes?: readonly number[];
  readonly columns?: readonly ColumnSpec[];
}

/** What a step of the program wants to know of the endpoint's labels. */
export type ColumnSpec =
  /** A label's value; undefined: it has no such label. */
  | { readonly label: string | undefined }
  /** Least and most tokens of a prompt; "broken": a label that is not "min-max". */
  | { readonly range: readonly [min: number, max: number] | "none" | "broken" }
  /** What it shares with the gateway: LEVEL_… of program.ts. */
  | { readonly level: number };

/** A value that is left out is one the endpoint never reported. */
export interface RowSpec {
  readonly waiting?: number;
  readonly running?: number;
  readonly kvUsage?: number;
  readonly ageMs?: number;
  readonly intervalMs?: number;
  readonly scrape?: number;
  readonly blockSize?: number;
  readonly blocks?: number;
  readonly maxAdapters?: number;
  /** Names. Either list given: the endpoint lists its adapters. */
  readonly runningAdapters?: readonly string[];
  readonly waitingAdapters?: readonly string[];
  readonly baseModel?: string;
  /** Custom metrics by number. */
  readonly attributes?: readonly (number | undefined)[];
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
  /** Programs and models, between the rows and the heap. */
  readonly sections?: Buffer;
  readonly heap: Buffer;
}

function seal(table: Table): Buffer {
  const poolsOffset = wire.HEADER_BYTES;
  const rowsOffset = poolsOffset + table.pools.length;
  const sections = table.sections ?? Buffer.alloc(0);
  const heapOffset = rowsOffset + table.rows.length + sections.length;
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
  return resum(Buffer.concat([header, table.pools, table.rows, sections, table.heap]));
}

/** Writes the checksum of a blob that a test has changed. */
export function resum(blob: Buffer): Buffer {
  blob.writeUInt32LE(crc32(blob.subarray(wire.CRC_FROM)), wire.H_CRC32);
  return blob;
}

/** Text of a blob that grows while rows are written. */
class Heap {
  private readonly parts: Buffer[] = [];
  private length = 0;

  readonly place: PlaceText = (text) => {
    const bytes = Buffer.from(text);
    this.parts.push(bytes);
    this.length += bytes.length;
    return [this.length - bytes.length, bytes.length];
  };

  bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function u64s(values: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(value, index * 8);
  return bytes;
}

function encodeColumn(column: ColumnSpec): bigint {
  if ("label" in column) return column.label === undefined ? 0n : fnv1a(column.label);
  if ("level" in column) return BigInt(column.level);
  if (column.range === "none") return BigInt(RANGE_NONE);
  if (column.range === "broken") return BigInt(RANGE_BROKEN);
  return BigInt(column.range[0]) | (BigInt(column.range[1]) << 32n);
}

export function encodeTopology(epoch: number, pools: readonly PoolSpec[], format: number = wire.FORMAT): Buffer {
  const heap = new Heap();
  const endpoints = pools.flatMap((pool) => pool.endpoints);
  const poolBytes = format === 2 ? wire.POOL_BYTES_2 : wire.POOL_BYTES;
  const endpointBytes = format === 2 ? wire.ENDPOINT_BYTES_2 : wire.ENDPOINT_BYTES;
  const poolRows = Buffer.alloc(pools.length * poolBytes);
  const rows = Buffer.alloc(endpoints.length * endpointBytes);
  const sections: Buffer[] = [];
  let sectionAt = wire.HEADER_BYTES + poolRows.length + rows.length;
  let firstRow = 0;
  pools.forEach((pool, index) => {
    const row = poolRows.subarray(index * poolBytes, (index + 1) * poolBytes);
    writePool(row, pool, firstRow, heap.place);
    firstRow += pool.endpoints.length;
    if (format === 2) return;
    for (const [section, atField, bytesField] of sectionsOf(pool, heap.place)) {
      row.writeUInt32LE(sectionAt, atField);
      row.writeUInt32LE(section.length, bytesField);
      sections.push(section);
      sectionAt += section.length;
    }
  });
  endpoints.forEach((endpoint, index) => {
    const row = rows.subarray(index * endpointBytes, (index + 1) * endpointBytes);
    writeEndpoint(row, endpoint, endpoint.pod ?? `pod-${index}`, heap.place);
    if (format !== 2) writeLabels(row, endpoint, endpointIdOf(endpoint, index), heap.place);
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
    sections: Buffer.concat(sections),
    heap: heap.bytes(),
  });
}

/** What a pool has beyond its row: the bytes, and the fields of the row that say where they lie and how many. */
function sectionsOf(pool: PoolSpec, place: PlaceText): (readonly [Buffer, number, number])[] {
  const sections: (readonly [Buffer, number, number])[] = [];
  if (pool.program !== undefined)
    sections.push([encodeProgram(pool.program, place), wire.P_PROGRAM, wire.P_PROGRAM_BYTES]);
  if (pool.models !== undefined) sections.push([encodeModels(pool.models, place), wire.P_MODELS, wire.P_MODELS_BYTES]);
  return sections;
}

/** The id of the endpoint at that row of the topology. */
export function endpointIdOf(endpoint: EndpointSpec, row: number): string {
  return endpoint.id ?? `default/${endpoint.pod ?? `pod-${row}`}-rank-0`;
}

function writePool(row: Buffer, pool: PoolSpec, firstRow: number, place: PlaceText): void {
  const [nameOffset, nameLength] = place(pool.name);
  row.writeUInt32LE(nameOffset, wire.P_NAME_OFFSET);
  row.writeUInt32LE(nameLength, wire.P_NAME_LENGTH);
  row.writeUInt32LE(firstRow, wire.P_FIRST_ROW);
  row.writeUInt32LE(pool.endpoints.length, wire.P_ROW_COUNT);
  row[wire.P_FAILURE_MODE] = pool.failOpen === true ? wire.FAIL_OPEN : wire.FAIL_CLOSE;
}

function writeEndpoint(row: Buffer, endpoint: EndpointSpec, pod: string, place: PlaceText): void {
  const [addressOffset, addressLength] = place(endpoint.address);
  const [podOffset, podLength] = place(pod);
  row.writeUInt32LE(addressOffset, wire.E_ADDRESS_OFFSET);
  row.writeUInt32LE(addressLength, wire.E_ADDRESS_LENGTH);
  row.writeUInt32LE(podOffset, wire.E_POD_OFFSET);
  row.writeUInt32LE(podLength, wire.E_POD_LENGTH);
}

/** What format 2 does not have. */
function writeLabels(row: Buffer, endpoint: EndpointSpec, id: string, place: PlaceText): void {
  const [idOffset, idLength] = place(id);
  const columns = endpoint.columns ?? [];
  if (columns.length > COLUMNS_MAX) throw new Error(`${columns.length} columns`);
  row.writeUInt32LE(idOffset, wire.E_ID_OFFSET);
  row.writeUInt32LE(idLength, wire.E_ID_LENGTH);
  const passes = (endpoint.passes ?? []).reduce((all, bit) => all | (1n << BigInt(bit)), 0n);
  row.writeBigUInt64LE(passes, wire.E_PASSES);
  u64s(columns.map(encodeColumn)).copy(row, wire.E_COLUMNS);
}

export function encodeMetrics(
  epoch: number,
  sequence: number,
  specs: readonly RowSpec[],
  format: number = wire.FORMAT,
): Buffer {
  const rowBytes = format === 2 ? wire.METRICS_BYTES_2 : wire.METRICS_BYTES;
  const rows = Buffer.alloc(specs.length * rowBytes);
  const adapters: bigint[] = [];
  specs.forEach((spec, index) => {
    const row = rows.subarray(index * rowBytes, (index + 1) * rowBytes);
    writeMeasured(row, spec, sequence);
    if (format !== 2) writeNamed(row, spec, adapters);
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
    heap: u64s(adapters),
  });
}

function writeMeasured(row: Buffer, spec: RowSpec, sequence: number): void {
  let known = 0;
  if (spec.waiting !== undefined) known |= wire.KNOWN_WAITING;
  if (spec.running !== undefined) known |= wire.KNOWN_RUNNING;
  if (spec.kvUsage !== undefined) known |= wire.KNOWN_KV_USAGE;
  if (spec.blockSize !== undefined) known |= wire.KNOWN_BLOCK_SIZE;
  if (spec.blocks !== undefined) known |= wire.KNOWN_BLOCKS;
  if (spec.maxAdapters !== undefined) known |= wire.KNOWN_MAX_ADAPTERS;
  row.writeFloatLE(spec.waiting ?? 0, wire.M_WAITING);
  row.writeFloatLE(spec.running ?? 0, wire.M_RUNNING);
  row.writeFloatLE(spec.kvUsage ?? 0, wire.M_KV_USAGE);
  row.writeUInt32LE(known, wire.M_KNOWN);
  row.writeUInt32LE(spec.ageMs ?? 0, wire.M_AGE_MS);
  row.writeUInt32LE(spec.intervalMs ?? 50, wire.M_INTERVAL_MS);
  row.writeUInt32LE(spec.scrape ?? sequence, wire.M_SCRAPE);
  row.writeUInt32LE(spec.blockSize ?? 0, wire.M_BLOCK_SIZE);
  row.writeUInt32LE(spec.blocks ?? 0, wire.M_BLOCKS);
  row.writeUInt32LE(spec.maxAdapters ?? 0, wire.M_MAX_ADAPTERS);
}

/** Adapters and custom metrics, which format 2 does not have. */
function writeNamed(row: Buffer, spec: RowSpec, adapters: bigint[]): void {
  let known = row.readUInt32LE(wire.M_KNOWN);
  const { runningAdapters: running = [], waitingAdapters: waiting = [] } = spec;
  if (spec.runningAdapters !== undefined || spec.waitingAdapters !== undefined) known |= wire.KNOWN_ADAPTERS;
  row.writeUInt32LE(adapters.length, wire.M_ADAPTERS);
  row.writeUInt16LE(running.length, wire.M_RUNNING_ADAPTERS);
  row.writeUInt16LE(waiting.length, wire.M_WAITING_ADAPTERS);
  adapters.push(...running.map(fnv1a), ...waiting.map(fnv1a));
  if (spec.baseModel !== undefined) row.writeBigUInt64LE(fnv1a(spec.baseModel), wire.M_BASE_MODEL);
  for (let n = 0; n < ATTRIBUTES_MAX; n++) {
    const value = spec.attributes?.[n];
    row.writeFloatLE(value ?? Number.NaN, wire.M_ATTRIBUTES + n * 4);
    if (value !== undefined) known |= wire.KNOWN_ATTRIBUTE << n;
  }
  row.writeUInt32LE(known, wire.M_KNOWN);
}
