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
  /** Blocks of the prompts it picked for, and those of them that the endpoint picked was believed to hold. */
  readonly blocks: number;
  readonly cachedBlocks: number;
  /** (hash, endpoint) pairs in its prefix index, and what the index takes of memory. */
  readonly indexPairs: number;
  readonly indexBytes: number;
  /** Prompts of which only a part was read. */
  readonly truncated: number;
  /** Hashes told to other workers, heard from them, and lost on the way. */
  readonly told: number;
  readonly learned: number;
  readonly unlearned: number;
  /** Messages of other workers, their times on the way added up, and the longest. */
  readonly messages: number;
  readonly deliveryMs: number;
  readonly slowestMs: number;
  readonly entries: readonly WorkerEntry[];
  readonly adapters: readonly WorkerAdapter[];
  readonly bands: readonly WorkerBand[];
  readonly flows: readonly WorkerFlow[];
};

/** What a worker has to tell of an endpoint. */
export type WorkerEntry = {
  /** FNV-1a of the endpoint's address. */
  readonly hash: bigint;
  readonly row: number;
  readonly inFlight: number;
  /** Prompt tokens of those requests that the endpoint has still to compute. */
  readonly tokens: number;
  readonly failures: number;
  readonly failedNs: bigint;
};

/** Its requests for one model name on one endpoint. */
export type WorkerAdapter = {
  readonly hash: bigint;
  readonly row: number;
  readonly inFlight: number;
  /** FNV-1a of the model's name. */
  readonly adapterHash: bigint;
};

/** The requests of one priority of one pool that wait there, and what became of others. */
export type WorkerBand = {
  /** FNV-1a of the pool's name. */
  readonly pool: bigint;
  readonly priority: number;
  readonly waiting: number;
  readonly bytes: number;
  /** By the numbers of the wire: ADMITTED_AT_ONCE … EVICTED. */
  readonly outcomes: readonly number[];
  /** How long those that left the line were in it: all times added up, and counts by WAITED_MS. */
  readonly waitedMs: number;
  readonly waited: readonly number[];
};

/** One fairness id that waits there, or was served a moment ago. */
export type WorkerFlow = {
  readonly pool: bigint;
  readonly priority: number;
  readonly waiting: number;
  /** FNV-1a of the fairness id; 0 = none. */
  readonly fairness: bigint;
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
    const length = columnLength(bytes.subarray(at));
    if (length === undefined) return fail("bad_table", `column ${i} does not fit in ${bytes.length} bytes`);
    workers.push(readColumn(bytes.subarray(at, at + length)));
    at += length;
  }
  const topologyEpoch = Number(bytes.readBigUInt64LE(r.R_TOPOLOGY_EPOCH));
  const metricsSequence = Number(bytes.readBigUInt64LE(r.R_METRICS_SEQUENCE));
  return { ok: true, value: { nowNs: bytes.readBigUInt64LE(r.R_NOW_NS), topologyEpoch, metricsSequence, workers } };
}

/** Bytes of the column that `bytes` start with; undefined when they end before it does. */
function columnLength(bytes: Buffer): number | undefined {
  if (bytes.length < r.COLUMN_BYTES) return undefined;
  const entries = bytes.readUInt32LE(r.C_ENTRY_COUNT) * r.ENTRY_BYTES;
  const adapters = bytes.readUInt32LE(r.C_ADAPTER_COUNT) * r.ADAPTER_ENTRY_BYTES;
  const bands = bytes.readUInt32LE(r.C_BAND_COUNT) * r.BAND_ENTRY_BYTES;
  const flows = bytes.readUInt32LE(r.C_FLOW_COUNT) * r.FLOW_ENTRY_BYTES;
  const length = r.COLUMN_BYTES + entries + adapters + bands + flows;
  return length <= bytes.length ? length : undefined;
}

function readColumn(bytes: Buffer): WorkerColumn {
  const u32 = (at: number): number => bytes.readUInt32LE(at);
  const u64 = (at: number): number => Number(bytes.readBigUInt64LE(at));
  const entryCount = u32(r.C_ENTRY_COUNT);
  const adaptersAt = r.COLUMN_BYTES + entryCount * r.ENTRY_BYTES;
  const bandsAt = adaptersAt + u32(r.C_ADAPTER_COUNT) * r.ADAPTER_ENTRY_BYTES;
  const flowsAt = bandsAt + u32(r.C_BAND_COUNT) * r.BAND_ENTRY_BYTES;
  const rows = <T>(at: number, count: number, width: number, read: (bytes: Buffer, at: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => read(bytes, at + i * width));
  return {
    slot: u32(r.C_SLOT),
    generation: bytes.readBigUInt64LE(r.C_GENERATION),
    heartbeatNs: bytes.readBigUInt64LE(r.C_HEARTBEAT_NS),
    topologyEpoch: u64(r.C_TOPOLOGY_EPOCH),
    metricsSequence: u64(r.C_METRICS_SEQUENCE),
    requests: u64(r.C_REQUESTS),
    picks: u64(r.C_PICKS),
    unread: u32(r.C_UNREAD),
    blocks: u64(r.C_BLOCKS),
    cachedBlocks: u64(r.C_CACHED_BLOCKS),
    indexPairs: u32(r.C_INDEX_PAIRS),
    indexBytes: u32(r.C_INDEX_KIB) * 1024,
    truncated: u32(r.C_TRUNCATED),
    told: u64(r.C_TOLD),
    learned: u64(r.C_LEARNED),
    unlearned: u32(r.C_UNLEARNED),
    messages: u32(r.C_MESSAGES),
    deliveryMs: u64(r.C_DELIVERY_NS) / 1e6,
    slowestMs: u32(r.C_SLOWEST_US) / 1e3,
    entries: rows(r.COLUMN_BYTES, entryCount, r.ENTRY_BYTES, readEntry),
    adapters: rows(adaptersAt, u32(r.C_ADAPTER_COUNT), r.ADAPTER_ENTRY_BYTES, readAdapter),
    bands: rows(bandsAt, u32(r.C_BAND_COUNT), r.BAND_ENTRY_BYTES, readBand),
    flows: rows(flowsAt, u32(r.C_FLOW_COUNT), r.FLOW_ENTRY_BYTES, readFlow),
  };
}

function readEntry(bytes: Buffer, at: number): WorkerEntry {
  return {
    hash: bytes.readBigUInt64LE(at + r.N_ADDRESS_HASH),
    row: bytes.readUInt32LE(at + r.N_ROW),
    inFlight: bytes.readUInt32LE(at + r.N_IN_FLIGHT),
    tokens: bytes.readUInt32LE(at + r.N_TOKENS),
    failures: bytes.readUInt32LE(at + r.N_FAILURES),
    failedNs: bytes.readBigUInt64LE(at + r.N_FAILED_NS),
  };
}

function readAdapter(bytes: Buffer, at: number): WorkerAdapter {
  return {
    hash: bytes.readBigUInt64LE(at + r.A_ADDRESS_HASH),
    row: bytes.readUInt32LE(at + r.A_ROW),
    inFlight: bytes.readUInt32LE(at + r.A_IN_FLIGHT),
    adapterHash: bytes.readBigUInt64LE(at + r.A_ADAPTER_HASH),
  };
}

function readBand(bytes: Buffer, at: number): WorkerBand {
  const counts = (offset: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => bytes.readUInt32LE(at + offset + i * 4));
  return {
    pool: bytes.readBigUInt64LE(at + r.Q_POOL),
    priority: bytes.readInt32LE(at + r.Q_PRIORITY),
    waiting: bytes.readUInt32LE(at + r.Q_WAITING),
    bytes: Number(bytes.readBigUInt64LE(at + r.Q_BYTES)),
    outcomes: counts(r.Q_OUTCOMES, r.ADMISSION_OUTCOMES),
    waitedMs: Number(bytes.readBigUInt64LE(at + r.Q_WAITED_NS)) / 1e6,
    waited: counts(r.Q_WAITED, r.WAITED_COUNTS),
  };
}

function readFlow(bytes: Buffer, at: number): WorkerFlow {
  return {
    pool: bytes.readBigUInt64LE(at + r.F_POOL),
    priority: bytes.readInt32LE(at + r.F_PRIORITY),
    waiting: bytes.readUInt32LE(at + r.F_WAITING),
    fairness: bytes.readBigUInt64LE(at + r.F_FAIRNESS),
  };
}
