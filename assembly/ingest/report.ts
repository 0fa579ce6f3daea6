// Tells the agent what the workers know: src/wire/report.ts.

import { SNAPSHOT_BYTES_MAX, WORKER_LOST_MS, WORKERS_MAX } from "../../src/wire/limits";
import {
  R_MAGIC,
  R_METRICS_SEQUENCE,
  R_NOW_NS,
  R_TOPOLOGY_EPOCH,
  R_VERSION,
  R_WORKER_COUNT,
  REPORT_BYTES,
  REPORT_MAGIC,
  REPORT_VERSION,
} from "../../src/wire/report";
import { monotonicNs } from "../abi/clock";
import { mark, release } from "../abi/scratch";
import * as reply from "../reply";
import * as column from "../share/column";
import * as lease from "../share/lease";
import { readVersion } from "./receive";

const buffer: usize = heap.alloc(SNAPSHOT_BYTES_MAX);

export function report(): void {
  const nowNs = monotonicNs();
  const version = readVersion();
  store<u32>(buffer, REPORT_MAGIC, R_MAGIC);
  store<u32>(buffer, REPORT_VERSION, R_VERSION);
  store<u64>(buffer, nowNs, R_NOW_NS);
  store<u64>(buffer, load<u64>(version), R_TOPOLOGY_EPOCH);
  store<u64>(buffer, load<u64>(version, 8), R_METRICS_SEQUENCE);
  store<u32>(buffer, 0, R_WORKER_COUNT);
  const end = addColumns(nowNs);
  reply.bytes(buffer, <u32>(end - buffer));
}

/** Appends the column of every worker that is alive; returns the end. */
function addColumns(nowNs: u64): usize {
  let end = buffer + REPORT_BYTES;
  let workers: u32 = 0;
  const leases = lease.read();
  for (let slot: u32 = 0; leases != 0 && slot < WORKERS_MAX; ++slot) {
    const generation = lease.generation(leases, slot);
    if (generation == 0) continue;
    const from = mark();
    const told = column.read(slot, generation);
    release(from);
    if (told == 0 || !column.isAlive(told, nowNs, <u64>WORKER_LOST_MS * 1_000_000)) continue;
    const length = column.length(told);
    if (end + length > buffer + SNAPSHOT_BYTES_MAX) break;
    memory.copy(end, told, length);
    end += length;
    ++workers;
  }
  store<u32>(buffer, workers, R_WORKER_COUNT);
  return end;
}
