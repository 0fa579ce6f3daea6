// Bytes to a report of the workers, as src/wire/report.ts lays it out. Nothing is believed.

import { WORKERS_MAX } from "../wire/limits.ts";
import * as r from "../wire/report.ts";
import { type Decoded, fail } from "./decode.ts";

/** What one worker knows. */
export type WorkerColumn = {
  readonly slot: number;
  readonly generation: bigint;
  readonly heartbeatNs: bigint;
  readonly topologyEpoch: number;
  readonly metricsSequence: number;
  readonly requests: number;
  readonly picks: number;
  readonly unread: number;
  readonly entries: readonly {
    /** addressHash of the endpoint. */
    readonly hash: bigint;
    readonly row: number;
    readonly inFlight: number;
    readonly failures: number;
    readonly failedNs: bigint;
  }[];
};

export type Report = {
  readonly nowNs: bigint;
  /** Stored by ingest, 0 = none. */
  readonly topologyEpoch: number;
  readonly metricsSequence: number;
  readonly workers: readonly WorkerColumn[];
};

export function decodeReport(bytes: Buffer): Decoded<Report> {
  if (bytes.length < r.REPORT_BYTES)
    return fail("too_short", `${bytes.length} bytes, expected at least the header of ${r.REPORT_BYTES}`);
  if (bytes.readUInt32LE(r.R_MAGIC) !== r.REPORT_MAGIC)
    return fail("bad_magic", `starts with ${bytes.toString("hex", 0, 4)}, expected "PMSR"`);
  const version = bytes.readUInt32LE(r.R_VERSION);
  if (version !== r.REPORT_VERSION) return fail("bad_format", `version ${version}, expected ${r.REPORT_VERSION}`);
  const workerCount = bytes.readUInt32LE(r.R_WORKER_COUNT);
  if (workerCount > WORKERS_MAX) return fail("bad_table", `${workerCount} workers, expected at most ${WORKERS_MAX}`);
  const workers: WorkerColumn[] = [];
  let at = r.REPORT_BYTES;
  for (let i = 0; i < workerCount; ++i) {
    const room = bytes.length - at - r.COLUMN_BYTES;
    const entryCount = room < 0 ? 0 : bytes.readUInt32LE(at + r.C_ENTRY_COUNT);
    if (room < entryCount * r.ENTRY_BYTES)
      return fail("bad_table", `column ${i} with ${entryCount} entries does not fit in ${bytes.length} bytes`);
    workers.push(readColumn(bytes, at, entryCount));
    at += r.COLUMN_BYTES + entryCount * r.ENTRY_BYTES;
  }
  const topologyEpoch = Number(bytes.readBigUInt64LE(r.R_TOPOLOGY_EPOCH));
  const metricsSequence = Number(bytes.readBigUInt64LE(r.R_METRICS_SEQUENCE));
  return { ok: true, value: { nowNs: bytes.readBigUInt64LE(r.R_NOW_NS), topologyEpoch, metricsSequence, workers } };
}

function readColumn(bytes: Buffer, at: number, entryCount: number): WorkerColumn {
  const long = (offset: number): bigint => bytes.readBigUInt64LE(at + offset);
  return {
    slot: bytes.readUInt32LE(at + r.C_SLOT),
    generation: long(r.C_GENERATION),
    heartbeatNs: long(r.C_HEARTBEAT_NS),
    topologyEpoch: Number(long(r.C_TOPOLOGY_EPOCH)),
    metricsSequence: Number(long(r.C_METRICS_SEQUENCE)),
    requests: Number(long(r.C_REQUESTS)),
    picks: Number(long(r.C_PICKS)),
    unread: bytes.readUInt32LE(at + r.C_UNREAD),
    entries: Array.from({ length: entryCount }, (_, i) => {
      const entryAt = at + r.COLUMN_BYTES + i * r.ENTRY_BYTES;
      return {
        hash: bytes.readBigUInt64LE(entryAt + r.N_ADDRESS_HASH),
        row: bytes.readUInt32LE(entryAt + r.N_ROW),
        inFlight: bytes.readUInt32LE(entryAt + r.N_IN_FLIGHT),
        failures: bytes.readUInt32LE(entryAt + r.N_FAILURES),
        failedNs: bytes.readBigUInt64LE(entryAt + r.N_FAILED_NS),
      };
    }),
  };
}
