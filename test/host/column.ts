// What workers tell each other and the agent (src/wire/report.ts), read and written without the filter;
// and a worker that exists only in shared data, to give the filter others to hear of.

import { WORKERS_MAX } from "../../src/wire/limits.ts";
import { KEY_COLUMN, KEY_LEASES } from "../../src/wire/names.ts";
import * as wire from "../../src/wire/report.ts";
import type { Process } from "./process.ts";

export interface ColumnEntry {
  readonly addressHash: bigint;
  readonly row: number;
  readonly inFlight: number;
  readonly failures: number;
  readonly failedNs: bigint;
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
  readonly entries: readonly ColumnEntry[];
}

export interface Report {
  readonly nowNs: bigint;
  readonly topologyEpoch: number;
  readonly metricsSequence: number;
  readonly columns: readonly Column[];
}

/** FNV-1a, 64 bit, of the text's UTF-8 bytes. */
export function addressHash(address: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(address)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash;
}

export function decodeColumn(bytes: Buffer): { column: Column; length: number } {
  const count = bytes.readUInt32LE(wire.C_ENTRY_COUNT);
  const entries: ColumnEntry[] = [];
  for (let index = 0; index < count; index++) {
    const at = wire.COLUMN_BYTES + index * wire.ENTRY_BYTES;
    entries.push({
      addressHash: bytes.readBigUInt64LE(at + wire.N_ADDRESS_HASH),
      row: bytes.readUInt32LE(at + wire.N_ROW),
      inFlight: bytes.readUInt32LE(at + wire.N_IN_FLIGHT),
      failures: bytes.readUInt32LE(at + wire.N_FAILURES),
      failedNs: bytes.readBigUInt64LE(at + wire.N_FAILED_NS),
    });
  }
  const column: Column = {
    generation: bytes.readBigUInt64LE(wire.C_GENERATION),
    heartbeatNs: bytes.readBigUInt64LE(wire.C_HEARTBEAT_NS),
    topologyEpoch: Number(bytes.readBigUInt64LE(wire.C_TOPOLOGY_EPOCH)),
    metricsSequence: Number(bytes.readBigUInt64LE(wire.C_METRICS_SEQUENCE)),
    slot: bytes.readUInt32LE(wire.C_SLOT),
    requests: Number(bytes.readBigUInt64LE(wire.C_REQUESTS)),
    picks: Number(bytes.readBigUInt64LE(wire.C_PICKS)),
    unread: bytes.readUInt32LE(wire.C_UNREAD),
    entries,
  };
  return { column, length: wire.COLUMN_BYTES + count * wire.ENTRY_BYTES };
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
    const bytes = Buffer.alloc(wire.COLUMN_BYTES + endpoints.length * wire.ENTRY_BYTES);
    bytes.writeBigUInt64LE(OTHER_WORKER_GENERATION, wire.C_GENERATION);
    bytes.writeBigUInt64LE(this.process.clock.monotonicNs, wire.C_HEARTBEAT_NS);
    bytes.writeUInt32LE(endpoints.length, wire.C_ENTRY_COUNT);
    bytes.writeUInt32LE(this.slot, wire.C_SLOT);
    endpoints.forEach((endpoint, index) => {
      const at = wire.COLUMN_BYTES + index * wire.ENTRY_BYTES;
      bytes.writeBigUInt64LE(addressHash(endpoint.address), at + wire.N_ADDRESS_HASH);
      bytes.writeUInt32LE(0xffffffff, at + wire.N_ROW);
      bytes.writeUInt32LE(endpoint.inFlight ?? 0, at + wire.N_IN_FLIGHT);
      bytes.writeUInt32LE(endpoint.failures ?? 0, at + wire.N_FAILURES);
      bytes.writeBigUInt64LE(endpoint.failedNs ?? 0n, at + wire.N_FAILED_NS);
    });
    this.process.sharedData.set(`${KEY_COLUMN}${this.slot}`, bytes, 0);
  }
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
  const wanted = addressHash(address);
  return columnsOf(process)
    .flatMap((column) => column.entries)
    .filter((entry) => entry.addressHash === wanted)
    .reduce((sum, entry) => sum + entry.inFlight, 0);
}
