// Requests in flight per endpoint and model name, of this worker and of the others: an adapter with
// requests under way is active there, whatever the endpoint's metrics still say.

import { ADAPTERS_IN_FLIGHT_MAX } from "../../src/wire/limits";
import { IDS_MAX } from "./endpoints";

/** One model name on one endpoint, 32 bytes. Numbers of entries are u16: there are at most 8192. */
@unmanaged
export class Adapter {
  /** FNV-1a of the model's name. */
  hash: u64;
  /** Requests of this worker; of the others. Both 0: the entry is free. */
  own: u32;
  others: u32;
  /** The endpoint's id. */
  id: u16;
  /** Neighbours in the endpoint's list, entry + 1; 0 = none. `next` also links the free entries. */
  next: u16;
  previous: u16;
}

const ENTRY_BYTES: usize = 32;
if (offsetof<Adapter>() > ENTRY_BYTES) ERROR("Adapter must fit its entry");
if (ADAPTERS_IN_FLIGHT_MAX > 0xfffe) ERROR("numbers of entries are u16");

const entries: usize = heap.alloc(ENTRY_BYTES * ADAPTERS_IN_FLIGHT_MAX);
/** Of each endpoint id: the first entry of its list + 1, u16. */
const heads: usize = heap.alloc(IDS_MAX * 2);

// Open addressing: cells of u16, 0 = empty, else entry + 1. At most half full.
const INDEX_SIZE: u32 = ADAPTERS_IN_FLIGHT_MAX * 2;
const INDEX_MASK: u32 = INDEX_SIZE - 1;
const index: usize = heap.alloc(INDEX_SIZE * 2);
if ((INDEX_SIZE & INDEX_MASK) != 0) ERROR("the index must be a power of two");

let touched: u32 = 0; // entries ever used since the table was last empty: the others lie beyond
let free: u32 = 0; // head of the list of given back entries, entry + 1
/** Pairs of endpoint and name with requests in flight. */
export let live: u32 = 0;

/** In the place of an entry's number: there is none. */
export const NONE: u32 = 0xffffffff;

/** The entry with that number. */
export function at(n: u32): Adapter {
  return changetype<Adapter>(entries + <usize>n * ENTRY_BYTES);
}

/** One more than the largest number of an entry in use; entries between may be free. */
export function limit(): u32 {
  return touched;
}

/** First entry of an endpoint, or NONE. */
export function first(id: u32): u32 {
  return <u32>load<u16>(heads + (id << 1)) - 1;
}

/** The entry of the same endpoint after this one, or NONE. */
export function next(n: u32): u32 {
  return <u32>at(n).next - 1;
}

/** FNV-1a of that entry's model name. */
export function hashOf(n: u32): u64 {
  return at(n).hash;
}

/** Requests of all workers in flight for that name on that endpoint. */
export function count(id: u32, hash: u64): u32 {
  const n = find(id, hash);
  return n == NONE ? 0 : at(n).own + at(n).others;
}

/** Counts one more request of this worker. False, and not counted, when the table is full. */
export function add(id: u32, hash: u64): bool {
  const n = entryFor(id, hash);
  if (n == NONE) return false;
  at(n).own += 1;
  return true;
}

/** Takes back what add counted. */
export function remove(id: u32, hash: u64): void {
  const n = find(id, hash);
  if (n == NONE || at(n).own == 0) return;
  const adapter = at(n);
  adapter.own -= 1;
  if (adapter.own == 0 && adapter.others == 0) release(n);
}

/** Forgets what other workers said, before it is told anew. */
export function beginOthers(): void {
  for (let n: u32 = 0; n < touched; ++n) at(n).others = 0;
}

/** Adds what another worker said. */
export function addOthers(id: u32, hash: u64, requests: u32): void {
  if (requests == 0) return;
  const n = entryFor(id, hash);
  if (n != NONE) at(n).others += requests;
}

/** Frees what nobody speaks of any more. Ends what beginOthers began. */
export function endOthers(): void {
  for (let n: u32 = 0; n < touched; ++n) {
    const adapter = at(n);
    if (adapter.hash != 0 && adapter.own == 0 && adapter.others == 0) release(n);
  }
}

/** A name whose hash is 0 counts as the one whose hash is 1: 0 marks free entries. */
function known(hash: u64): u64 {
  return hash == 0 ? 1 : hash;
}

function home(id: u32, hash: u64): u32 {
  return (<u32>(hash ^ (hash >> 32)) + id * 0x9e3779b9) & INDEX_MASK;
}

function entryAt(cell: u32): u32 {
  return load<u16>(index + (cell << 1));
}

/** The cell of that pair, or the empty one where it would go. */
function cellOf(id: u32, hash: u64): u32 {
  let cell = home(id, hash);
  for (let entry = entryAt(cell); entry != 0 && !isPair(at(entry - 1), id, hash); entry = entryAt(cell)) {
    cell = (cell + 1) & INDEX_MASK;
  }
  return cell;
}

function isPair(adapter: Adapter, id: u32, hash: u64): bool {
  return adapter.hash == hash && adapter.id == id;
}

function find(id: u32, hash: u64): u32 {
  return entryAt(cellOf(id, known(hash))) - 1;
}

function entryFor(id: u32, hash: u64): u32 {
  const cell = cellOf(id, known(hash));
  const entry = entryAt(cell);
  if (entry != 0) return entry - 1;
  const n = take();
  if (n == NONE) return NONE;
  const adapter = at(n);
  const head = heads + (id << 1);
  memory.fill(changetype<usize>(adapter), 0, ENTRY_BYTES);
  adapter.hash = known(hash);
  adapter.id = <u16>id;
  adapter.next = load<u16>(head);
  if (adapter.next != 0) at(adapter.next - 1).previous = <u16>(n + 1);
  store<u16>(head, <u16>(n + 1));
  store<u16>(index + (cell << 1), <u16>(n + 1));
  return n;
}

/** A free entry, or NONE. */
function take(): u32 {
  if (live == ADAPTERS_IN_FLIGHT_MAX) return NONE;
  ++live;
  if (free == 0) return touched++;
  const n = free - 1;
  free = at(n).next;
  return n;
}

function release(n: u32): void {
  const adapter = at(n);
  const before = <u32>adapter.previous;
  const after = <u32>adapter.next;
  if (before == 0) store<u16>(heads + ((<u32>adapter.id) << 1), <u16>after);
  else at(before - 1).next = <u16>after;
  if (after != 0) at(after - 1).previous = <u16>before;
  closeGap(cellOf(adapter.id, adapter.hash));
  memory.fill(changetype<usize>(adapter), 0, ENTRY_BYTES);
  --live;
  if (live == 0) {
    free = 0;
    touched = 0;
    return;
  }
  adapter.next = <u16>free;
  free = n + 1;
}

/** Empties a cell, and moves back each following entry whose own place is at or before it. */
function closeGap(from: u32): void {
  let hole = from;
  let cell = (hole + 1) & INDEX_MASK;
  for (let entry = entryAt(cell); entry != 0; entry = entryAt(cell)) {
    const own = home(at(entry - 1).id, at(entry - 1).hash);
    if (((cell - own) & INDEX_MASK) >= ((cell - hole) & INDEX_MASK)) {
      store<u16>(index + (hole << 1), <u16>entry);
      hole = cell;
    }
    cell = (cell + 1) & INDEX_MASK;
  }
  store<u16>(index + (hole << 1), 0);
}
