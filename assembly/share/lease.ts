// Which worker holds which slot. Envoy runs one VM per worker and gives a VM no number, so a worker
// takes a free slot at its first request, under a new generation, and holds it by its heartbeat.
//
// Value of KEY_LEASES: WORKERS_MAX × { generation u64, takenNs u64 }, 0 = never taken. Writes
// compete by compare-and-swap. A slot is free again when its column has no heartbeat for
// WORKER_LOST_MS: the VM trapped, or its worker is gone.

import { WORKER_LOST_MS, WORKERS_MAX } from "../../src/wire/limits";
import { KEY_LEASES } from "../../src/wire/names";
import { cas, data, getShared, setShared, size } from "../abi/host";
import { mark, release, take } from "../abi/scratch";
import { pointer, utf8 } from "../abi/text";
import { columnHeartbeatNs } from "./column";

const LEASE_BYTES: u32 = 16;
const LEASES_BYTES: u32 = WORKERS_MAX * LEASE_BYTES;
const TRIES_MAX = 2 * WORKERS_MAX; // each lost race means that another worker took a slot
const key = utf8(KEY_LEASES);

export const NO_SLOT: u32 = 0xffffffff;

/** Makes the empty table when there is none. Called at configure: Envoy's main thread comes first. */
export function create(): void {
  if (getShared(pointer(key), key.byteLength)) return;
  const empty = take(LEASES_BYTES);
  if (empty == 0) return;
  memory.fill(empty, 0, LEASES_BYTES);
  setShared(pointer(key), key.byteLength, empty, LEASES_BYTES, 0);
}

/** The table as it is now, in scratch; 0 when there is none. */
export function read(): usize {
  return getShared(pointer(key), key.byteLength) && size == LEASES_BYTES ? data : 0;
}

/** Generation that holds `slot` in the table at `leases`; 0 = nobody ever did. */
export function generation(leases: usize, slot: u32): u64 {
  return load<u64>(leases + slot * LEASE_BYTES);
}

/** When that generation took it: its first column may be still to come. */
export function takenNs(leases: usize, slot: u32): u64 {
  return load<u64>(leases + slot * LEASE_BYTES, 8);
}

/** Whether the holder of `slot` has been silent for too long. */
function isLost(leases: usize, slot: u32, nowNs: u64): bool {
  const taken = takenNs(leases, slot);
  const spoke = columnHeartbeatNs(slot, generation(leases, slot));
  return nowNs > max<u64>(taken, spoke) + <u64>WORKER_LOST_MS * 1_000_000;
}

function freeSlot(leases: usize, nowNs: u64): u32 {
  for (let slot: u32 = 0; slot < WORKERS_MAX; ++slot) {
    if (generation(leases, slot) == 0 || isLost(leases, slot, nowNs)) return slot;
  }
  return NO_SLOT;
}

function highestGeneration(leases: usize): u64 {
  let highest: u64 = 0;
  for (let slot: u32 = 0; slot < WORKERS_MAX; ++slot) highest = max<u64>(highest, generation(leases, slot));
  return highest;
}

export let takenGeneration: u64 = 0;

/** Takes a free slot and sets `takenGeneration`; NO_SLOT when WORKERS_MAX workers are alive. */
export function takeSlot(nowNs: u64): u32 {
  for (let i = 0; i < TRIES_MAX; ++i) {
    const from = mark();
    const leases = read();
    if (leases == 0) return NO_SLOT;
    const expected = cas;
    const slot = freeSlot(leases, nowNs);
    if (slot == NO_SLOT) return NO_SLOT;
    const next = highestGeneration(leases) + 1;
    store<u64>(leases + slot * LEASE_BYTES, next);
    store<u64>(leases + slot * LEASE_BYTES, nowNs, 8);
    const won = setShared(pointer(key), key.byteLength, leases, LEASES_BYTES, expected);
    release(from);
    if (won) {
      takenGeneration = next;
      return slot;
    }
  }
  return NO_SLOT;
}
