// Test entry: what workers share, without requests. A test says what a worker sent where, and asks what the
// others know of it. Endpoints are named by numbers, their addresses' hashes.

import { INSPECTION_BYTES } from "../../src/wire/limits";
import * as clock from "../abi/clock";
import * as scratch from "../abi/scratch";
import * as chain from "../prefix/chain";
import * as prefixes from "../prefix/index";
import * as broadcast from "../share/broadcast";
import * as column from "../share/column";
import * as lease from "../share/lease";
import * as sync from "../share/sync";
import * as adapters from "../state/adapters";
import * as cold from "../state/cold";
import * as endpoints from "../state/endpoints";
import * as sessions from "../state/sessions";

const BLOCK_TOKENS: u32 = 64;
const text: usize = heap.alloc(INSPECTION_BYTES);

// ── What Envoy calls ──

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.take(size);
}

export function proxy_on_configure(_root: u32, _size: u32): u32 {
  scratch.reset();
  lease.create();
  prefixes.open(8 << 20);
  return 1;
}

export function proxy_on_tick(root: u32): void {
  scratch.reset();
  sync.beat(clock.monotonicNs(), root);
}

export function proxy_on_queue_ready(_root: u32, queue: u32): void {
  scratch.reset();
  sync.onQueueReady(queue, clock.monotonicNs());
}

// ── What a test calls ──

/** Puts endpoints first … first + count − 1 in force. */
export function topology(first: u32, count: u32): void {
  endpoints.beginTopology();
  for (let row: u32 = 0; row < count; ++row) endpoints.addRow(first + row, row);
  endpoints.endTopology();
  prefixes.setEndpoints(endpoints.idLimit());
  prefixes.setShare(count);
  for (let row: u32 = 0; row < count; ++row) prefixes.setCapacity(endpoints.find(first + row), 31_250);
}

/** As at the start of a request. */
export function hear(): void {
  scratch.reset();
  sync.hearIfDue(clock.monotonicNs());
}

/** As at the end of a pick. */
export function tell(root: u32): void {
  sync.tellIfDue(clock.monotonicNs(), root);
}

/** A prompt of `blocks` blocks, the only one of that number. */
function prompt(number: u32, blocks: u32): void {
  const bytes = min<u32>(blocks * BLOCK_TOKENS * 4, INSPECTION_BYTES);
  for (let at: u32 = 0; at < bytes; at += 4) store<u32>(text + at, number);
  chain.begin();
  chain.add(text, bytes, BLOCK_TOKENS, 1, blocks);
  prefixes.match();
}

/** A prompt is sent to an endpoint. Answers how many hashes are news to others. */
export function send(number: u32, blocks: u32, endpoint: u32, coldSize: u32): u32 {
  const id = endpoints.find(endpoint);
  prompt(number, blocks);
  const news = prefixes.insert(id);
  broadcast.tellLearned(id, news, coldSize != 0, coldSize);
  return news;
}

/** How many blocks of a prompt this worker believes an endpoint to hold. */
export function matched(number: u32, blocks: u32, endpoint: u32): u32 {
  prompt(number, blocks);
  return prefixes.matched(endpoints.find(endpoint));
}

export function bind(session: u32, endpoint: u32): void {
  const id = endpoints.find(endpoint);
  sessions.bind(session, id, clock.monotonicNs());
  broadcast.tellBinding(session, id);
}

/** A bound session has another request. */
export function refresh(session: u32, ttlMs: u32): void {
  const nowNs = clock.monotonicNs();
  const ttlNs = <u64>ttlMs * 1_000_000;
  const id = sessions.find(session, nowNs, ttlNs);
  if (id != endpoints.NO_ID && sessions.refresh(session, nowNs, ttlNs)) broadcast.tellBinding(session, id);
}

/** The endpoint a session is bound to, 0 when it is to none. */
export function bound(session: u32, ttlMs: u32): u32 {
  const id = sessions.find(session, clock.monotonicNs(), <u64>ttlMs * 1_000_000);
  return id == endpoints.NO_ID ? 0 : <u32>endpoints.at(id).addressHash;
}

export function addAdapter(endpoint: u32, adapter: u32): void {
  const id = endpoints.find(endpoint);
  ++endpoints.at(id).inFlight;
  adapters.add(id, adapter);
}

export function removeAdapter(endpoint: u32, adapter: u32): void {
  const id = endpoints.find(endpoint);
  --endpoints.at(id).inFlight;
  adapters.remove(id, adapter);
}

export function adapterCount(endpoint: u32, adapter: u32): u32 {
  return adapters.count(endpoints.find(endpoint), adapter);
}

/** Sum of the names of all adapters that an endpoint's list holds, and how many there are << 32. */
export function adapterList(endpoint: u32): u64 {
  let sum: u64 = 0;
  for (let n = adapters.first(endpoints.find(endpoint)); n != adapters.NONE; n = adapters.next(n)) {
    sum += adapters.hashOf(n) + ((<u64>1) << 32);
  }
  return sum;
}

export function adaptersLive(): u32 {
  return adapters.live;
}

/** Answers how many were counted. */
export function addTokens(endpoint: u32, count: u32): u32 {
  const id = endpoints.find(endpoint);
  ++endpoints.at(id).inFlight;
  return endpoints.addTokens(endpoints.at(id), count);
}

export function removeTokens(endpoint: u32, count: u32): void {
  const id = endpoints.find(endpoint);
  --endpoints.at(id).inFlight;
  endpoints.removeTokens(endpoints.at(id), count);
}

/** Of all workers. */
export function tokens(endpoint: u32): u64 {
  return endpoints.tokens(endpoints.at(endpoints.find(endpoint)));
}

/** How long ago the endpoint was given a cold request, in cold requests since; cold.NEVER. */
export function coldPlace(endpoint: u32): u32 {
  cold.beginPlaces();
  for (let id: u32 = 0; id < endpoints.idLimit(); ++id) cold.enter(id);
  cold.countPlaces();
  return cold.place(endpoints.find(endpoint));
}

export function count(): void {
  column.countRequest();
  column.countPick();
  column.countBlocks(10, 4);
  column.countTruncated();
}
