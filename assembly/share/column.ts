// What one worker tells the others: its column (src/wire/report.ts), written whole by its owner.

import { ADAPTERS_IN_FLIGHT_MAX, ENDPOINTS_MAX, WORKERS_MAX } from "../../src/wire/limits";
import { KEY_COLUMN } from "../../src/wire/names";
import {
  A_ADAPTER_HASH,
  A_ADDRESS_HASH,
  A_IN_FLIGHT,
  A_ROW,
  ADAPTER_ENTRY_BYTES,
  BAND_ENTRY_BYTES,
  C_ADAPTER_COUNT,
  C_BAND_COUNT,
  C_BLOCKS,
  C_CACHED_BLOCKS,
  C_DELIVERY_NS,
  C_ENTRY_COUNT,
  C_FLOW_COUNT,
  C_GENERATION,
  C_HEARTBEAT_NS,
  C_INDEX_KIB,
  C_INDEX_PAIRS,
  C_LEARNED,
  C_MESSAGES,
  C_METRICS_SEQUENCE,
  C_PICKS,
  C_REQUESTS,
  C_SLOT,
  C_SLOWEST_US,
  C_TOLD,
  C_TOPOLOGY_EPOCH,
  C_TRUNCATED,
  C_UNLEARNED,
  C_UNREAD,
  COLUMN_BYTES,
  ENTRY_BYTES,
  FLOW_ENTRY_BYTES,
  FLOWS_TOLD_MAX,
  N_ADDRESS_HASH,
  N_FAILED_NS,
  N_FAILURES,
  N_IN_FLIGHT,
  N_ROW,
  N_TOKENS,
} from "../../src/wire/report";
import { data, getShared, setShared, size } from "../abi/host";
import { mark, release } from "../abi/scratch";
import { put, putNumber, utf8 } from "../abi/text";
import * as others from "../flow/others";
import { BANDS_USED_MAX } from "../flow/queue";
import * as line from "../flow/told";
import * as prefixes from "../prefix/index";
import * as adapters from "../state/adapters";
import * as endpoints from "../state/endpoints";
import * as snapshot from "../state/snapshot";

const prefix = utf8(KEY_COLUMN);
const keyBuffer = memory.data(32);
const COUNTS_BYTES: u32 = ENDPOINTS_MAX * ENTRY_BYTES + ADAPTERS_IN_FLIGHT_MAX * ADAPTER_ENTRY_BYTES;
const QUEUE_BYTES: u32 = BANDS_USED_MAX * BAND_ENTRY_BYTES + FLOWS_TOLD_MAX * FLOW_ENTRY_BYTES;
const OWN_BYTES: u32 = COLUMN_BYTES + COUNTS_BYTES + QUEUE_BYTES;
const own: usize = heap.alloc(OWN_BYTES);

let requests: u64 = 0;
let picks: u64 = 0;
let blocks: u64 = 0;
let cachedBlocks: u64 = 0;
let truncated: u32 = 0;
let told: u64 = 0;
let learned: u64 = 0;
let unlearned: u32 = 0;
let messages: u32 = 0;
let slowestUs: u32 = 0;
let deliveryNs: u64 = 0;

/** A request came. */
export function countRequest(): void {
  ++requests;
}

/** An endpoint was picked for it. */
export function countPick(): void {
  ++picks;
}

/** Its prompts have so many blocks; so many of them the endpoint picked was believed to hold. */
export function countBlocks(total: u32, cached: u32): void {
  blocks += total;
  cachedBlocks += cached;
}

/** Of its prompts only a part was read. */
export function countTruncated(): void {
  ++truncated;
}

/** Hashes were sent to the other workers. */
export function countTold(hashes: u32): void {
  told += hashes;
}

/** Hashes came from another worker, for an endpoint that is known here. */
export function countLearned(hashes: u32): void {
  learned += hashes;
}

/** Hashes were lost on the way from one worker to another, or a message that cannot be read. */
export function countUnlearned(hashes: u32): void {
  unlearned += hashes;
}

/** A message of another worker was so long on its way. */
export function countMessage(ns: u64): void {
  ++messages;
  slowestUs = max<u32>(slowestUs, <u32>min<u64>(ns / 1000, u32.MAX_VALUE));
  deliveryNs += ns;
}

function keyLength(slot: u32): u32 {
  return <u32>(putNumber(put(keyBuffer, prefix), slot) - keyBuffer);
}

/** The column in `slot`, in scratch, if `generation` wrote it and it is whole; else 0. */
export function read(slot: u32, generation: u64): usize {
  if (!getShared(keyBuffer, keyLength(slot)) || size < COLUMN_BYTES) return 0;
  if (load<u64>(data, C_GENERATION) != generation) return 0;
  return size64(data) == <u64>size ? data : 0;
}

/** Bytes of the column at `column`, by its counts. */
function size64(column: usize): u64 {
  const entries = <u64>load<u32>(column, C_ENTRY_COUNT) * ENTRY_BYTES;
  const adapterEntries = <u64>load<u32>(column, C_ADAPTER_COUNT) * ADAPTER_ENTRY_BYTES;
  const bands = <u64>load<u32>(column, C_BAND_COUNT) * BAND_ENTRY_BYTES;
  return <u64>COLUMN_BYTES + entries + adapterEntries + bands + <u64>load<u32>(column, C_FLOW_COUNT) * FLOW_ENTRY_BYTES;
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
  store<u64>(own, generation, C_GENERATION);
  store<u64>(own, nowNs, C_HEARTBEAT_NS);
  store<u64>(own, snapshot.epoch, C_TOPOLOGY_EPOCH);
  store<u64>(own, snapshot.sequence, C_METRICS_SEQUENCE);
  store<u32>(own, slot, C_SLOT);
  store<u64>(own, requests, C_REQUESTS);
  store<u64>(own, picks, C_PICKS);
  store<u32>(own, snapshot.unread, C_UNREAD);
  writePrefixFigures();
  const end = writeQueue(writeAdapters(writeEntries(own + COLUMN_BYTES)), nowNs);
  setShared(keyBuffer, keyLength(slot), own, <u32>(end - own), 0);
}

function writePrefixFigures(): void {
  store<u64>(own, blocks, C_BLOCKS);
  store<u64>(own, cachedBlocks, C_CACHED_BLOCKS);
  store<u32>(own, prefixes.pairs(), C_INDEX_PAIRS);
  store<u32>(own, prefixes.bytes() >> 10, C_INDEX_KIB);
  store<u32>(own, truncated, C_TRUNCATED);
  store<u32>(own, unlearned, C_UNLEARNED);
  store<u64>(own, told, C_TOLD);
  store<u64>(own, learned, C_LEARNED);
  store<u32>(own, messages, C_MESSAGES);
  store<u32>(own, slowestUs, C_SLOWEST_US);
  store<u64>(own, deliveryNs, C_DELIVERY_NS);
}

/** Writes the endpoints' entries from `from` on; returns the end. */
function writeEntries(from: usize): usize {
  let entry = from;
  let count: u32 = 0;
  const limit = endpoints.idLimit();
  for (let id: u32 = 0; id < limit && count < ENDPOINTS_MAX; ++id) {
    const endpoint = endpoints.at(id);
    if (endpoint.inFlight == 0 && endpoint.failures == 0) continue;
    store<u64>(entry, endpoint.addressHash, N_ADDRESS_HASH);
    store<u32>(entry, endpoint.row, N_ROW);
    store<u32>(entry, endpoint.inFlight, N_IN_FLIGHT);
    store<u32>(entry, endpoint.failures, N_FAILURES);
    store<u32>(entry, endpoint.tokens, N_TOKENS);
    store<u64>(entry, endpoint.failedNs, N_FAILED_NS);
    entry += ENTRY_BYTES;
    ++count;
  }
  store<u32>(own, count, C_ENTRY_COUNT);
  return entry;
}

/** Writes the adapters' entries from `from` on; returns the end. */
function writeAdapters(from: usize): usize {
  let entry = from;
  const limit = adapters.limit();
  for (let n: u32 = 0; n < limit; ++n) {
    const adapter = adapters.at(n);
    if (adapter.own == 0) continue;
    const endpoint = endpoints.at(adapter.id);
    store<u64>(entry, endpoint.addressHash, A_ADDRESS_HASH);
    store<u32>(entry, endpoint.row, A_ROW);
    store<u32>(entry, adapter.own, A_IN_FLIGHT);
    store<u64>(entry, adapter.hash, A_ADAPTER_HASH);
    store<u64>(entry, 0, A_ADAPTER_HASH + 8);
    entry += ADAPTER_ENTRY_BYTES;
  }
  store<u32>(own, <u32>(entry - from) / ADAPTER_ENTRY_BYTES, C_ADAPTER_COUNT);
  return entry;
}

/** Writes what waits from `from` on; returns the end. */
function writeQueue(from: usize, nowNs: u64): usize {
  const bandsEnd = line.writeBands(from);
  store<u32>(own, <u32>(bandsEnd - from) / BAND_ENTRY_BYTES, C_BAND_COUNT);
  const end = line.writeFlows(bandsEnd, nowNs);
  store<u32>(own, <u32>(end - bandsEnd) / FLOW_ENTRY_BYTES, C_FLOW_COUNT);
  return end;
}

/** Forgets what other workers said, before their columns are added anew. */
export function beginOthers(): void {
  endpoints.beginOthers();
  adapters.beginOthers();
  others.begin();
}

/** Adds another worker's column to what is known of its endpoints, and of what waits there. */
export function addOther(column: usize, slot: u32, generation: u64): void {
  const count = load<u32>(column, C_ENTRY_COUNT);
  let entry = column + COLUMN_BYTES;
  for (let i: u32 = 0; i < count; ++i, entry += ENTRY_BYTES) {
    const id = idOf(load<u64>(entry, N_ADDRESS_HASH), load<u32>(entry, N_ROW));
    if (id == endpoints.NO_ID) continue;
    const endpoint = endpoints.at(id);
    endpoint.othersInFlight += load<u32>(entry, N_IN_FLIGHT);
    const tokens = load<u32>(entry, N_TOKENS);
    endpoint.othersTokens += min<u32>(tokens, u32.MAX_VALUE - endpoint.othersTokens);
    const until = load<u64>(entry, N_FAILED_NS) + endpoints.cooldownNs(load<u32>(entry, N_FAILURES));
    const isFailing = load<u32>(entry, N_FAILURES) != 0;
    if (isFailing && until > endpoint.othersDownUntilNs) endpoints.noteOthersDown(endpoint, until);
  }
  const adapterCount = load<u32>(column, C_ADAPTER_COUNT);
  for (let i: u32 = 0; i < adapterCount; ++i, entry += ADAPTER_ENTRY_BYTES) {
    const id = idOf(load<u64>(entry, A_ADDRESS_HASH), load<u32>(entry, A_ROW));
    if (id != endpoints.NO_ID) adapters.addOthers(id, load<u64>(entry, A_ADAPTER_HASH), load<u32>(entry, A_IN_FLIGHT));
  }
  const bands = load<u32>(column, C_BAND_COUNT);
  for (let i: u32 = 0; i < bands; ++i, entry += BAND_ENTRY_BYTES) others.add(entry, slot, generation);
  const flows = load<u32>(column, C_FLOW_COUNT);
  for (let i: u32 = 0; i < flows; ++i, entry += FLOW_ENTRY_BYTES) line.noteServed(entry);
}

/** After the last column. */
export function endOthers(): void {
  adapters.endOthers();
}

/** Workers of one epoch have an endpoint in the same row, so the row mostly spares the look-up. */
export function idOf(addressHash: u64, row: u32): u32 {
  if (row < snapshot.rowCount) {
    const id = snapshot.id(row);
    if (id != endpoints.NO_ID && endpoints.at(id).addressHash == addressHash) return id;
  }
  return endpoints.find(addressHash);
}

/** Bytes of a column that is whole. */
export function length(column: usize): u32 {
  return <u32>size64(column);
}

/** Whether the worker that wrote the column is still heard of. */
export function isAlive(column: usize, nowNs: u64, lostNs: u64): bool {
  return load<u64>(column, C_HEARTBEAT_NS) + lostNs > nowNs;
}

if (WORKERS_MAX > 99_999_999) ERROR("a column's key must fit its buffer");
