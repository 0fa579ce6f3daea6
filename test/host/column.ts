// What workers tell each other and the agent (src/wire/report.ts), read and written without the filter;
// and a worker that exists only in shared data, to give the filter others to hear of.

import { WORKERS_MAX } from "../../src/wire/limits.ts";
import { KEY_COLUMN, KEY_LEASES } from "../../src/wire/names.ts";
import * as wire from "../../src/wire/report.ts";
import { fnv1a } from "./fnv.ts";
import type { Process } from "./process.ts";

export interface ColumnEntry {
  readonly addressHash: bigint;
  readonly row: number;
  readonly inFlight: number;
  readonly failures: number;
  readonly tokens: number;
  readonly failedNs: bigint;
}

export interface AdapterEntry {
  readonly addressHash: bigint;
  readonly row: number;
  readonly inFlight: number;
  readonly adapterHash: bigint;
}

/** What waits on that worker of one priority of one pool, and what became of others. */
export interface BandEntry {
  readonly poolHash: bigint;
  readonly priority: number;
  readonly waiting: number;
  readonly bytes: number;
  /** By ADMITTED_AT_ONCE and the others of src/wire/report.ts. */
  readonly outcomes: readonly number[];
}

export interface Column {
  readonly generation: bigint;
  readonly heartbeatNs: bigint;
  readonly topologyEpoch: number;
  readonly metricsSequence: number;
  readonly slot: number;
  readonly requests: number;
  readonly picks: number;
  readonly unread: number;
  readonly blocks: number;
  readonly cachedBlocks: number;
  readonly indexPairs: number;
  readonly indexKib: number;
  readonly truncated: number;
  readonly unlearned: number;
  readonly told: number;
  readonly learned: number;
  readonly messages: number;
  readonly slowestUs: number;
  readonly deliveryNs: number;
  readonly entries: readonly ColumnEntry[];
  readonly adapters: readonly AdapterEntry[];
  readonly bands: readonly BandEntry[];
}

export interface Report {
  readonly nowNs: bigint;
  readonly topologyEpoch: number;
  readonly metricsSequence: number;
  readonly columns: readonly Column[];
}

function decodeEntry(bytes: Buffer): ColumnEntry {
  return {
    addressHash: bytes.readBigUInt64LE(wire.N_ADDRESS_HASH),
    row: bytes.readUInt32LE(wire.N_ROW),
    inFlight: bytes.readUInt32LE(wire.N_IN_FLIGHT),
    failures: bytes.readUInt32LE(wire.N_FAILURES),
    tokens: bytes.readUInt32LE(wire.N_TOKENS),
    failedNs: bytes.readBigUInt64LE(wire.N_FAILED_NS),
  };
}

function decodeAdapter(bytes: Buffer): AdapterEntry {
  return {
    addressHash: bytes.readBigUInt64LE(wire.A_ADDRESS_HASH),
    row: bytes.readUInt32LE(wire.A_ROW),
    inFlight: bytes.readUInt32LE(wire.A_IN_FLIGHT),
    adapterHash: bytes.readBigUInt64LE(wire.A_ADAPTER_HASH),
  };
}

function decodeBand(bytes: Buffer): BandEntry {
  return {
    poolHash: bytes.readBigUInt64LE(wire.Q_POOL),
    priority: bytes.readInt32LE(wire.Q_PRIORITY),
    waiting: bytes.readUInt32LE(wire.Q_WAITING),
    bytes: Number(bytes.readBigUInt64LE(wire.Q_BYTES)),
    outcomes: Array.from({ length: wire.ADMISSION_OUTCOMES }, (_, n) => bytes.readUInt32LE(wire.Q_OUTCOMES + n * 4)),
  };
}

/** `count` rows of `rowBytes` bytes, the first at `at`. */
function rowsOf<T>(bytes: Buffer, at: number, count: number, rowBytes: number, decode: (row: Buffer) => T): T[] {
  return Array.from({ length: count }, (_, index) => decode(bytes.subarray(at + index * rowBytes)));
}

export function decodeColumn(bytes: Buffer): { column: Column; length: number } {
  const count = bytes.readUInt32LE(wire.C_ENTRY_COUNT);
  const adapterCount = bytes.readUInt32LE(wire.C_ADAPTER_COUNT);
  const adaptersAt = wire.COLUMN_BYTES + count * wire.ENTRY_BYTES;
  const bandCount = bytes.readUInt32LE(wire.C_BAND_COUNT);
  const bandsAt = adaptersAt + adapterCount * wire.ADAPTER_ENTRY_BYTES;
  const flowsAt = bandsAt + bandCount * wire.BAND_ENTRY_BYTES;
  const u64 = (at: number) => Number(bytes.readBigUInt64LE(at));
  const column: Column = {
    generation: bytes.readBigUInt64LE(wire.C_GENERATION),
    heartbeatNs: bytes.readBigUInt64LE(wire.C_HEARTBEAT_NS),
    topologyEpoch: u64(wire.C_TOPOLOGY_EPOCH),
    metricsSequence: u64(wire.C_METRICS_SEQUENCE),
    slot: bytes.readUInt32LE(wire.C_SLOT),
    requests: u64(wire.C_REQUESTS),
    picks: u64(wire.C_PICKS),
    unread: bytes.readUInt32LE(wire.C_UNREAD),
    blocks: u64(wire.C_BLOCKS),
    cachedBlocks: u64(wire.C_CACHED_BLOCKS),
    indexPairs: bytes.readUInt32LE(wire.C_INDEX_PAIRS),
    indexKib: bytes.readUInt32LE(wire.C_INDEX_KIB),
    truncated: bytes.readUInt32LE(wire.C_TRUNCATED),
    unlearned: bytes.readUInt32LE(wire.C_UNLEARNED),
    told: u64(wire.C_TOLD),
    learned: u64(wire.C_LEARNED),
    messages: bytes.readUInt32LE(wire.C_MESSAGES),
    slowestUs: bytes.readUInt32LE(wire.C_SLOWEST_US),
    deliveryNs: u64(wire.C_DELIVERY_NS),
    entries: rowsOf(bytes, wire.COLUMN_BYTES, count, wire.ENTRY_BYTES, decodeEntry),
    adapters: rowsOf(bytes, adaptersAt, adapterCount, wire.ADAPTER_ENTRY_BYTES, decodeAdapter),
    bands: rowsOf(bytes, bandsAt, bandCount, wire.BAND_ENTRY_BYTES, decodeBand),
  };
  return { column, length: flowsAt + bytes.readUInt32LE(wire.C_FLOW_COUNT) * wire.FLOW_ENTRY_BYTES };
}

/** Throws when the bytes are not a report of the current version, or do not end with their last column. */
export function decodeReport(bytes: Buffer): Report {
  if (bytes.readUInt32LE(wire.R_MAGIC) !== wire.REPORT_MAGIC) throw new Error("bad magic");
  if (bytes.readUInt32LE(wire.R_VERSION) !== wire.REPORT_VERSION) throw new Error("bad version");
  const columns: Column[] = [];
  let at: number = wire.REPORT_BYTES;
  for (let index = 0; index < bytes.readUInt32LE(wire.R_WORKER_COUNT); index++) {
    const { column, length } = decodeColumn(bytes.subarray(at));
    columns.push(column);
    at += length;
  }
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes after the last column`);
  return {
    nowNs: bytes.readBigUInt64LE(wire.R_NOW_NS),
    topologyEpoch: Number(bytes.readBigUInt64LE(wire.R_TOPOLOGY_EPOCH)),
    metricsSequence: Number(bytes.readBigUInt64LE(wire.R_METRICS_SEQUENCE)),
    columns,
  };
}

/** What an endpoint looks like from another worker. */
export interface Told {
  readonly address: string;
  readonly inFlight?: number;
  readonly failures?: number;
  readonly failedNs?: bigint;
  readonly tokens?: number;
  /** Requests in flight by the adapter's name. */
  readonly adapters?: Readonly<Record<string, number>>;
}

const LEASE_BYTES = 16;
/** Far from those that workers take, which count from 1. */
export const OTHER_WORKER_GENERATION = 1_000_000n;

/** A worker that only exists in shared data, in the last slot. A filter must have been configured before. */
export class OtherWorker {
  private readonly process: Process;
  private readonly slot = WORKERS_MAX - 1;

  constructor(process: Process) {
    this.process = process;
    const leases = process.sharedData.get(KEY_LEASES);
    if (leases === undefined) throw new Error("no filter has created the table of leases");
    const table = Buffer.from(leases.bytes);
    table.writeBigUInt64LE(OTHER_WORKER_GENERATION, this.slot * LEASE_BYTES);
    table.writeBigUInt64LE(process.clock.monotonicNs, this.slot * LEASE_BYTES + 8);
    process.sharedData.set(KEY_LEASES, table, 0);
  }

  /** Publishes its whole column, heard of now. */
  tell(endpoints: readonly Told[]): void {
    const entries = endpoints.map(encodeEntry);
    const adapters = endpoints.flatMap(encodeAdapters);
    const head = Buffer.alloc(wire.COLUMN_BYTES);
    head.writeBigUInt64LE(OTHER_WORKER_GENERATION, wire.C_GENERATION);
    head.writeBigUInt64LE(this.process.clock.monotonicNs, wire.C_HEARTBEAT_NS);
    head.writeUInt32LE(entries.length, wire.C_ENTRY_COUNT);
    head.writeUInt32LE(adapters.length, wire.C_ADAPTER_COUNT);
    head.writeUInt32LE(this.slot, wire.C_SLOT);
    const bytes = Buffer.concat([head, ...entries, ...adapters]);
    this.process.sharedData.set(`${KEY_COLUMN}${this.slot}`, bytes, 0);
  }
}

function encodeEntry(endpoint: Told): Buffer {
  const row = Buffer.alloc(wire.ENTRY_BYTES);
  row.writeBigUInt64LE(fnv1a(endpoint.address), wire.N_ADDRESS_HASH);
  row.writeUInt32LE(0xffffffff, wire.N_ROW);
  row.writeUInt32LE(endpoint.inFlight ?? 0, wire.N_IN_FLIGHT);
  row.writeUInt32LE(endpoint.failures ?? 0, wire.N_FAILURES);
  row.writeUInt32LE(endpoint.tokens ?? 0, wire.N_TOKENS);
  row.writeBigUInt64LE(endpoint.failedNs ?? 0n, wire.N_FAILED_NS);
  return row;
}

function encodeAdapters(endpoint: Told): Buffer[] {
  return Object.entries(endpoint.adapters ?? {}).map(([name, inFlight]) => {
    const row = Buffer.alloc(wire.ADAPTER_ENTRY_BYTES);
    row.writeBigUInt64LE(fnv1a(endpoint.address), wire.A_ADDRESS_HASH);
    row.writeUInt32LE(0xffffffff, wire.A_ROW);
    row.writeUInt32LE(inFlight, wire.A_IN_FLIGHT);
    row.writeBigUInt64LE(fnv1a(name), wire.A_ADAPTER_HASH);
    return row;
  });
}

/** The columns in shared data, whole or not, by slot. */
export function columnsOf(process: Process): Column[] {
  return process.sharedData
    .keys()
    .filter((key) => key.startsWith(KEY_COLUMN))
    .map((key) => decodeColumn(Buffer.from(process.sharedData.get(key)!.bytes)).column);
}

/** Requests in flight on an endpoint, over all columns. */
export function inFlightOn(process: Process, address: string): number {
  const wanted = fnv1a(address);
  return columnsOf(process)
    .flatMap((column) => column.entries)
    .filter((entry) => entry.addressHash === wanted)
    .reduce((sum, entry) => sum + entry.inFlight, 0);
}
