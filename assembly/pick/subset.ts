// The endpoints that a filter or gateway before this one allows (the subset hint of the endpoint picker
// protocol): a pick stays among them, and so do its retries. Read only when the configuration says where such
// a hint may stand.

import { ENDPOINTS_MAX } from "../../src/wire/limits";
import { HEADER_SUBSET, METADATA_SUBSET } from "../../src/wire/names";
import * as host from "../abi/host";
import { hash, utf8 } from "../abi/text";
import * as configs from "../config";
import * as client from "../request/client_headers";
import * as endpoints from "../state/endpoints";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";

const metadata = utf8(`metadata\0filter_metadata\0${METADATA_SUBSET}\0${HEADER_SUBSET}`);

/** Whether the request at hand has a hint, be it an empty one. */
export let isOn: bool = false;

/** Open addressing: the hashes of the entries, 0 = empty. At most half full; more entries than that do not count. */
const CELLS: u32 = ENDPOINTS_MAX * 2;
const MASK: u32 = CELLS - 1;
const cells: usize = heap.alloc(CELLS * 8);
let entries: u32 = 0;
/** Some entry names an address without a port. */
let hasHosts: bool = false;
/** Tells "10.0.0.1" from "10.0.0.1:80" were their hashes equal. */
const HOST: u64 = 0x9ae16a3b2f90404f;

/** Reads the hint of a stream that is about to be picked for. */
export function read(stream: streams.Stream, config: configs.Config): void {
  isOn = false;
  if (config.subsetHint != 0 && host.getProperty(metadata)) takeMetadata(host.data, host.size);
  else if (client.readSubset(stream)) takeList(host.data, host.size);
}

function begin(): void {
  isOn = true;
  entries = 0;
  hasHosts = false;
  memory.fill(cells, 0, CELLS * 8);
}

/**
 * As Envoy hands a value of metadata over. A text is itself. A list is its count (u32), for each entry its length
 * and that of nothing (u32 each), then each entry and two NULs.
 */
function takeMetadata(p: usize, length: u32): void {
  begin();
  // A text has no NUL; of a count below 2²⁴ the last byte is one.
  if (length < 4 || load<u8>(p, 3) != 0) {
    takeTexts(p, length);
    return;
  }
  const count = load<u32>(p);
  const end = p + length;
  if (<u64>count * 8 + 4 > <u64>length) return;
  let at = p + 4 + ((<usize>count) << 3);
  for (let n: u32 = 0; n < count; ++n) {
    const size = load<u32>(p + 4 + ((<usize>n) << 3));
    if (<u64>at + size > <u64>end) return;
    takeEntry(at, size);
    at += size + 2;
  }
}

function takeList(p: usize, length: u32): void {
  begin();
  takeTexts(p, length);
}

/** Entries with commas between them. */
function takeTexts(p: usize, length: u32): void {
  for (let from: u32 = 0; from < length; ) {
    let end = from;
    while (end < length && load<u8>(p + end) != 0x2c) ++end;
    takeEntry(p + from, end - from);
    from = end + 1;
  }
}

function takeEntry(p: usize, length: u32): void {
  while (length != 0 && load<u8>(p) == 0x20) {
    ++p;
    --length;
  }
  while (length != 0 && load<u8>(p + length - 1) == 0x20) --length;
  if (length == 0) return;
  const port = portAt(p, length);
  if (port != 0) {
    add(hash(p, length));
    return;
  }
  hasHosts = true;
  add(hostHash(p, length));
}

/** Where the colon before the port stands; 0 = there is none: an IPv6 address with a port has brackets. */
function portAt(p: usize, length: u32): u32 {
  let colons: u32 = 0;
  let last: u32 = 0;
  for (let i: u32 = 0; i < length; ++i) {
    if (load<u8>(p + i) != 0x3a) continue;
    ++colons;
    last = i;
  }
  if (load<u8>(p) == 0x5b) return last != 0 && load<u8>(p + last - 1) == 0x5d ? last : 0;
  return colons == 1 ? last : 0;
}

/** Of an address without a port, in brackets or not. */
function hostHash(p: usize, length: u32): u64 {
  const isBracketed = length > 1 && load<u8>(p) == 0x5b && load<u8>(p + length - 1) == 0x5d;
  return (isBracketed ? hash(p + 1, length - 2) : hash(p, length)) ^ HOST;
}

function add(entry: u64): void {
  if (entries >= ENDPOINTS_MAX || entry == 0) return;
  const cell = cellOf(entry);
  if (load<u64>(cell) == entry) return;
  store<u64>(cell, entry);
  ++entries;
}

/** The entry's cell, or the empty one where it would be. */
function cellOf(entry: u64): usize {
  let cell = <u32>entry & MASK;
  while (load<u64>(cells + (cell << 3)) != 0 && load<u64>(cells + (cell << 3)) != entry) cell = (cell + 1) & MASK;
  return cells + (cell << 3);
}

/** Whether the hint allows the endpoint of that row. */
export function allows(row: u32, endpoint: endpoints.Endpoint): bool {
  if (load<u64>(cellOf(endpoint.addressHash)) == endpoint.addressHash) return true;
  if (!hasHosts) return false;
  const address = snapshot.address(row);
  const wanted = hostHash(address, portAt(address, snapshot.addressLength(row)));
  return load<u64>(cellOf(wanted)) == wanted;
}
