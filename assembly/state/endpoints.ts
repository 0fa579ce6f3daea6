// What this worker knows of every endpoint by itself: requests and tokens in flight, failures, and what
// other workers said. An endpoint keeps its id while the topology names it or a stream counts on it, so
// streams survive a change of the topology.

import { ENDPOINT_IDS_MAX, STREAMS_MAX } from "../../src/wire/limits";
import { FAILURE_COOLDOWN_MS, FAILURE_COOLDOWN_MS_MAX } from "../../src/wire/policy";

export const IDS_MAX: u32 = ENDPOINT_IDS_MAX;
export const NO_ID: u32 = 0xffff;
export const NO_ROW: u32 = 0xffffffff;

/** One endpoint, 64 bytes. */
@unmanaged
export class Endpoint {
  /** FNV-1a of its address; 0 = the id is free. */
  addressHash: u64;
  failedNs: u64;
  /** Left out of picks until then, by this worker's own failures. */
  downUntilNs: u64;
  /** … by what other workers said. */
  othersDownUntilNs: u64;
  /** Requests of all other workers on it now. */
  othersInFlight: u32;
  /** Prompt tokens of this worker's requests that it has still to compute; of the others'. */
  tokens: u32;
  othersTokens: u32;
  /** Requests of this worker on it now: no more than there are streams. */
  inFlight: u16;
  /** Failures in a row, those of one cooldown counted once. */
  failures: u16;
  /** Its first row in the topology, or NO_ROW. */
  row: u32;
  /** Number of the last scrape seen, and all requests in flight then: what came since is the difference. */
  scrape: u32;
  inFlightAtScrape: u32;
  /** Value of `topologies` when this endpoint got its id. */
  born: u32;
}

const ENDPOINT_BYTES: usize = 64;
if (offsetof<Endpoint>() != ENDPOINT_BYTES) ERROR("Endpoint must fill its entry");
if (STREAMS_MAX > 0xffff) ERROR("requests in flight on one endpoint are u16");

const entries: usize = heap.alloc(ENDPOINT_BYTES * IDS_MAX);
let count: u32 = 0; // ids ever used
/** Topologies seen so far. */
export let topologies: u32 = 0;

// Open addressing, less than half full.
const INDEX_SIZE: u32 = 32_768;
const INDEX_MASK: u32 = INDEX_SIZE - 1;
if ((INDEX_SIZE & INDEX_MASK) != 0) ERROR("the index must be a power of two");
if (INDEX_SIZE < 2 * IDS_MAX) ERROR("the index must be at most half full");
const index: usize = heap.alloc(INDEX_SIZE * 2); // u16: 0 = empty, else id + 1

export function at(id: u32): Endpoint {
  return changetype<Endpoint>(entries + <usize>id * ENDPOINT_BYTES);
}

/** One more than the largest id in use. */
export function idLimit(): u32 {
  return count;
}

function entryAt(cell: u32): u32 {
  return load<u16>(index + (cell << 1));
}

function cellOf(addressHash: u64): u32 {
  let cell = <u32>addressHash & INDEX_MASK;
  for (let entry = entryAt(cell); entry != 0 && at(entry - 1).addressHash != addressHash; entry = entryAt(cell)) {
    cell = (cell + 1) & INDEX_MASK;
  }
  return cell;
}

/** Id of the endpoint with that address, or NO_ID. */
export function find(addressHash: u64): u32 {
  const entry = entryAt(cellOf(addressHash));
  return entry == 0 ? NO_ID : entry - 1;
}

/**
 * Forgets which rows endpoints have and frees those on which nothing runs; the caller then adds the
 * rows of the new topology. Linear in the ids in use, done only when the topology changes.
 */
export function beginTopology(): void {
  ++topologies;
  memory.fill(index, 0, INDEX_SIZE * 2);
  for (let id: u32 = 0; id < count; ++id) {
    const endpoint = at(id);
    endpoint.row = NO_ROW;
    if (endpoint.addressHash == 0) continue;
    store<u16>(index + (cellOf(endpoint.addressHash) << 1), <u16>(id + 1));
  }
}

/** Id for a row of the new topology: the one its address has, or a free one; NO_ID if none is left. */
export function addRow(addressHash: u64, row: u32): u32 {
  const cell = cellOf(addressHash);
  const entry = entryAt(cell);
  if (entry != 0) {
    const known = at(entry - 1);
    if (known.row == NO_ROW) known.row = row;
    return entry - 1;
  }
  const id = freeId();
  if (id == NO_ID) return NO_ID;
  const endpoint = at(id);
  memory.fill(changetype<usize>(endpoint), 0, ENDPOINT_BYTES);
  endpoint.addressHash = addressHash;
  endpoint.row = row;
  endpoint.born = topologies;
  store<u16>(index + (cell << 1), <u16>(id + 1));
  return id;
}

let searchFrom: u32 = 0;

function freeId(): u32 {
  for (; searchFrom < count; ++searchFrom) {
    if (at(searchFrom).addressHash == 0) return searchFrom++;
  }
  return count < IDS_MAX ? count++ : NO_ID;
}

/** Frees the endpoints that no row names and no stream counts on. Ends what beginTopology began. */
export function endTopology(): void {
  let freed = false;
  for (let id: u32 = 0; id < count; ++id) {
    const endpoint = at(id);
    if (endpoint.row != NO_ROW || endpoint.inFlight != 0 || endpoint.addressHash == 0) continue;
    memory.fill(changetype<usize>(endpoint), 0, ENDPOINT_BYTES);
    endpoint.row = NO_ROW;
    freed = true;
  }
  searchFrom = 0;
  if (freed) reindex();
}

function reindex(): void {
  memory.fill(index, 0, INDEX_SIZE * 2);
  for (let id: u32 = 0; id < count; ++id) {
    const addressHash = at(id).addressHash;
    if (addressHash != 0) store<u16>(index + (cellOf(addressHash) << 1), <u16>(id + 1));
  }
}

/** Requests of all workers on the endpoint. */
export function inFlight(endpoint: Endpoint): u32 {
  return <u32>endpoint.inFlight + endpoint.othersInFlight;
}

/** Prompt tokens of all workers' requests on the endpoint that it has still to compute. */
export function tokens(endpoint: Endpoint): u64 {
  return <u64>endpoint.tokens + <u64>endpoint.othersTokens;
}

/** Counts a request's tokens. Answers how many of them fit: that many removeTokens takes back. */
export function addTokens(endpoint: Endpoint, count: u32): u32 {
  const fitting = min<u32>(count, u32.MAX_VALUE - endpoint.tokens);
  endpoint.tokens += fitting;
  return fitting;
}

export function removeTokens(endpoint: Endpoint, count: u32): void {
  endpoint.tokens -= min<u32>(count, endpoint.tokens);
}

/** Forgets what other workers said, before it is told anew. */
export function beginOthers(): void {
  for (let id: u32 = 0; id < count; ++id) {
    const endpoint = at(id);
    endpoint.othersInFlight = 0;
    endpoint.othersTokens = 0;
    endpoint.othersDownUntilNs = 0;
  }
}

/** The latest time until which any endpoint is left out: after it nobody needs to be asked. */
let latestDownNs: u64 = 0;

/** Whether any endpoint may be down. */
export function isAnyDown(nowNs: u64): bool {
  return latestDownNs > nowNs;
}

/** Another worker's failures keep the endpoint out until then. */
export function noteOthersDown(endpoint: Endpoint, untilNs: u64): void {
  endpoint.othersDownUntilNs = untilNs;
  latestDownNs = max<u64>(latestDownNs, untilNs);
}

function keepOut(endpoint: Endpoint, untilNs: u64): void {
  endpoint.downUntilNs = untilNs;
  latestDownNs = max<u64>(latestDownNs, untilNs);
}

export function isDown(endpoint: Endpoint, nowNs: u64): bool {
  return endpoint.downUntilNs > nowNs || endpoint.othersDownUntilNs > nowNs;
}

/** How long `failures` in a row keep an endpoint out, in ns: doubling from FAILURE_COOLDOWN_MS. */
export function cooldownNs(failures: u32): u64 {
  if (failures == 0) return 0;
  const doublings = min<u32>(failures - 1, 16);
  return min<u64>((<u64>FAILURE_COOLDOWN_MS) << doublings, FAILURE_COOLDOWN_MS_MAX) * 1_000_000;
}

/**
 * Answers whether that is news. What was sent before an endpoint failed fails with it, and counts as that
 * one failure: only an endpoint that has served its time and fails again stays out for longer.
 */
export function noteFailure(endpoint: Endpoint, nowNs: u64): bool {
  if (endpoint.failures != 0 && nowNs - endpoint.failedNs < cooldownNs(endpoint.failures)) return false;
  if (endpoint.failures != 0xffff) ++endpoint.failures;
  endpoint.failedNs = nowNs;
  keepOut(endpoint, nowNs + cooldownNs(endpoint.failures));
  return true;
}

export function noteSuccess(endpoint: Endpoint): void {
  endpoint.failures = 0;
  endpoint.downUntilNs = 0;
}

/**
 * Told when a request is sent to the endpoint. One that failed and has served its time gets this
 * request as a probe, and no other of this worker until the probe has shown what it is.
 */
export function noteSent(endpoint: Endpoint, nowNs: u64): void {
  ++endpoint.inFlight;
  if (endpoint.failures != 0) keepOut(endpoint, nowNs + cooldownNs(endpoint.failures));
}
