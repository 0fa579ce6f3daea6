// What one worker tells the others: its column (src/wire/report.ts), written whole by its owner.

import { ENDPOINTS_MAX, WORKERS_MAX } from "../../src/wire/limits";
import { KEY_COLUMN } from "../../src/wire/names";
import {
  C_ENTRY_COUNT,
  C_GENERATION,
  C_HEARTBEAT_NS,
  C_METRICS_SEQUENCE,
  C_PICKS,
  C_REQUESTS,
  C_SLOT,
  C_TOPOLOGY_EPOCH,
  C_UNREAD,
  COLUMN_BYTES,
  ENTRY_BYTES,
  N_ADDRESS_HASH,
  N_FAILED_NS,
  N_FAILURES,
  N_IN_FLIGHT,
  N_ROW,
} from "../../src/wire/report";
import { data, getShared, setShared, size } from "../abi/host";
import { mark, release } from "../abi/scratch";
import { put, putNumber, utf8 } from "../abi/text";
import * as endpoints from "../state/endpoints";
import * as snapshot from "../state/snapshot";

const prefix = utf8(KEY_COLUMN);
const keyBuffer = memory.data(32);
const own: usize = heap.alloc(COLUMN_BYTES + ENDPOINTS_MAX * ENTRY_BYTES);

/** Requests this worker has seen, and those it picked an endpoint for. */
export let requests: u64 = 0;
export let picks: u64 = 0;

export function countRequest(): void {
  ++requests;
}

export function countPick(): void {
  ++picks;
}

function keyLength(slot: u32): u32 {
  return <u32>(putNumber(put(keyBuffer, prefix), slot) - keyBuffer);
}

/** The column in `slot`, in scratch, if `generation` wrote it and it is whole; else 0. */
export function read(slot: u32, generation: u64): usize {
  if (!getShared(keyBuffer, keyLength(slot)) || size < COLUMN_BYTES) return 0;
  if (load<u64>(data, C_GENERATION) != generation) return 0;
  const entries = load<u32>(data, C_ENTRY_COUNT);
  return <u64>COLUMN_BYTES + <u64>entries * ENTRY_BYTES == <u64>size ? data : 0;
}

/** When `generation` last wrote the column of `slot`; 0 = never. */
export function columnHeartbeatNs(slot: u32, generation: u64): u64 {
  const from = mark();
  const column = read(slot, generation);
  const heartbeat = column == 0 ? 0 : load<u64>(column, C_HEARTBEAT_NS);
  release(from);
  return heartbeat;
}

/** Writes this worker's column: each endpoint on which it has something in flight or a failure to tell. */
export function publish(slot: u32, generation: u64, nowNs: u64): void {
  let count: u32 = 0;
  let entry = own + COLUMN_BYTES;
  const limit = endpoints.idLimit();
  for (let id: u32 = 0; id < limit && count < ENDPOINTS_MAX; ++id) {
    const endpoint = endpoints.at(id);
    if (endpoint.inFlight == 0 && endpoint.failures == 0) continue;
    store<u64>(entry, endpoint.addressHash, N_ADDRESS_HASH);
    store<u32>(entry, endpoint.row, N_ROW);
    store<u32>(entry, endpoint.inFlight, N_IN_FLIGHT);
    store<u32>(entry, endpoint.failures, N_FAILURES);
    store<u64>(entry, endpoint.failedNs, N_FAILED_NS);
    entry += ENTRY_BYTES;
    ++count;
  }
  store<u64>(own, generation, C_GENERATION);
  store<u64>(own, nowNs, C_HEARTBEAT_NS);
  store<u64>(own, snapshot.epoch, C_TOPOLOGY_EPOCH);
  store<u64>(own, snapshot.sequence, C_METRICS_SEQUENCE);
  store<u32>(own, count, C_ENTRY_COUNT);
  store<u32>(own, slot, C_SLOT);
  store<u64>(own, requests, C_REQUESTS);
  store<u64>(own, picks, C_PICKS);
  store<u32>(own, snapshot.unread, C_UNREAD);
  setShared(keyBuffer, keyLength(slot), own, <u32>(entry - own), 0);
}

/** Forgets what other workers said, before their columns are added anew. */
export function beginOthers(): void {
  const limit = endpoints.idLimit();
  for (let id: u32 = 0; id < limit; ++id) {
    const endpoint = endpoints.at(id);
    endpoint.othersInFlight = 0;
    endpoint.othersDownUntilNs = 0;
  }
}

/** Adds another worker's column to what is known of its endpoints. */
export function addOther(column: usize): void {
  const count = load<u32>(column, C_ENTRY_COUNT);
  let entry = column + COLUMN_BYTES;
  for (let i: u32 = 0; i < count; ++i, entry += ENTRY_BYTES) {
    const id = idOf(entry);
    if (id == endpoints.NO_ID) continue;
    const endpoint = endpoints.at(id);
    endpoint.othersInFlight += load<u32>(entry, N_IN_FLIGHT);
    const until = load<u64>(entry, N_FAILED_NS) + endpoints.cooldownNs(load<u32>(entry, N_FAILURES));
    if (load<u32>(entry, N_FAILURES) != 0 && until > endpoint.othersDownUntilNs) endpoint.othersDownUntilNs = until;
  }
}

/** Workers of one epoch have an endpoint in the same row, so the hint mostly spares the look-up. */
function idOf(entry: usize): u32 {
  const addressHash = load<u64>(entry, N_ADDRESS_HASH);
  const row = load<u32>(entry, N_ROW);
  if (row < snapshot.rowCount) {
    const id = snapshot.id(row);
    if (id != endpoints.NO_ID && endpoints.at(id).addressHash == addressHash) return id;
  }
  return endpoints.find(addressHash);
}

/** Bytes of the column at `column`. */
export function length(column: usize): u32 {
  return COLUMN_BYTES + load<u32>(column, C_ENTRY_COUNT) * ENTRY_BYTES;
}

/** Whether the worker that wrote the column is still heard of. */
export function isAlive(column: usize, nowNs: u64, lostNs: u64): bool {
  return load<u64>(column, C_HEARTBEAT_NS) + lostNs > nowNs;
}

if (WORKERS_MAX > 99_999_999) ERROR("a column's key must fit its buffer");
