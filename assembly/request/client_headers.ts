// The headers by which clients say how a request is to be treated: who is believed, what they say, and that
// none of it reaches the model server. They are removed when a request is sent on, not when they are read, so
// that a request that waits can be decided anew from its headers.

import {
  HEADER_FAIRNESS,
  HEADER_FAIRNESS_OLD,
  HEADER_OBJECTIVE,
  HEADER_OBJECTIVE_OLD,
  HEADER_PREFER,
  HEADER_REWRITE,
  HEADER_REWRITE_OLD,
  HEADER_SLO_TPOT,
  HEADER_SLO_TPOT_OLD,
  HEADER_SLO_TTFT,
  HEADER_SLO_TTFT_OLD,
  HEADER_SUBSET,
  HEADER_TTL,
  HEADER_VIDEO_FPS,
  HEADER_VIDEO_RESOLUTION,
  HEADER_VIDEO_SECONDS,
} from "../../src/wire/names";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { equals, hash, pointer, startsWithIgnoringCase, utf8 } from "../abi/text";
import * as fairnessIds from "../state/fairness_ids";
import * as streams from "../state/streams";

// Numbers of the headers: bits of Stream.clientHeaders. A current name is numbered before its alias.
const OBJECTIVE: u32 = 0;
const OBJECTIVE_OLD: u32 = 1;
const FAIRNESS: u32 = 2;
const FAIRNESS_OLD: u32 = 3;
const REWRITE: u32 = 4;
const REWRITE_OLD: u32 = 5;
const TTFT: u32 = 6;
const TTFT_OLD: u32 = 7;
const TTL: u32 = 10;
const PREFER: u32 = 11;
/** A client's only where the configuration trusts what stands in front: trustSubsetHeader. */
const SUBSET: u32 = 15;
const COUNT: u32 = 16;

const names: StaticArray<ArrayBuffer> = [
  utf8(HEADER_OBJECTIVE),
  utf8(HEADER_OBJECTIVE_OLD),
  utf8(HEADER_FAIRNESS),
  utf8(HEADER_FAIRNESS_OLD),
  utf8(HEADER_REWRITE),
  utf8(HEADER_REWRITE_OLD),
  utf8(HEADER_SLO_TTFT),
  utf8(HEADER_SLO_TTFT_OLD),
  utf8(HEADER_SLO_TPOT),
  utf8(HEADER_SLO_TPOT_OLD),
  utf8(HEADER_TTL),
  utf8(HEADER_PREFER),
  utf8(HEADER_VIDEO_SECONDS),
  utf8(HEADER_VIDEO_RESOLUTION),
  utf8(HEADER_VIDEO_FPS),
  utf8(HEADER_SUBSET),
];

/** Believed unless the configuration says otherwise: all but the subset. */
export const ALL: u32 = (1 << SUBSET) - 1;
export const SUBSET_BIT: u32 = 1 << SUBSET;
/** Any of these says what the model is to be rewritten to. */
const REWRITES: u32 = (1 << REWRITE) | (1 << REWRITE_OLD);
/** The value of Prefer is "if-available"; a Prefer of another value leaves no bit. */
const IF_AVAILABLE: u32 = 1 << PREFER;

const ifAvailable = utf8("if-available");

/** A bit for each length that such a name has: most headers are told apart by it. */
const lengths = lengthBits();

function lengthBits(): u64 {
  let bits: u64 = 0;
  for (let i: u32 = 0; i < COUNT; ++i) bits |= (<u64>1) << names[i].byteLength;
  return bits;
}

/** The bit of the header of that name; 0 when it is none of these. */
export function bitOf(name: usize, length: u32): u32 {
  if (length >= 64 || ((lengths >> length) & 1) == 0) return 0;
  for (let i: u32 = 0; i < COUNT; ++i) if (equals(name, length, names[i])) return 1 << i;
  return 0;
}

// What the headers of the request at hand say
/** The headers that are there and believed. */
export let present: u32 = 0;
let trusted: u32 = 0;
let objective: u64 = 0;
let fairness: u64 = 0;
let ttftMs: u32 = 0;
let ttlMs: u32 = 0;

/** Another request, of whose headers those in `believed` count. */
export function begin(believed: u32): void {
  present = 0;
  trusted = believed;
  objective = 0;
  fairness = 0;
  ttftMs = 0;
  ttlMs = 0;
}

/** Takes a header if it is one of these; one that is not believed is removed. The first of a name counts. */
export function take(name: usize, nameLength: u32, value: usize, length: u32): void {
  const bit = bitOf(name, nameLength);
  if (bit == 0 || (present & bit) != 0) return;
  const number = <u32>ctz(bit);
  if (number == PREFER) {
    // A header of plain HTTP, of which the server may know other values: it always passes.
    if ((trusted & bit) != 0 && prefersAvailable(value, length)) present |= bit;
    return;
  }
  if ((trusted & bit) == 0) {
    host.removeHeader(REQUEST_HEADERS, name, nameLength);
    return;
  }
  present |= bit;
  if (length != 0) note(number, value, length);
}

/** What a header says counts unless its current name has said it. */
function note(number: u32, value: usize, length: u32): void {
  if (number == OBJECTIVE || (number == OBJECTIVE_OLD && objective == 0)) {
    objective = nameHash(value, length);
  } else if (number == FAIRNESS || (number == FAIRNESS_OLD && (present & (1 << FAIRNESS)) == 0)) {
    fairness = fairnessIds.note(value, length);
  } else if (number == TTFT || (number == TTFT_OLD && ttftMs == 0)) {
    ttftMs = milliseconds(value, length, 1);
  } else if (number == TTL) {
    ttlMs = milliseconds(value, length, 1000);
  }
}

/** As streams carry it: 0 stands for none. */
function nameHash(p: usize, length: u32): u64 {
  const hashed = hash(p, length);
  return hashed == 0 ? 1 : hashed;
}

/** Whether if-available is among the preferences (RFC 7240: a list, each with or without parameters). */
function prefersAvailable(value: usize, length: u32): bool {
  const wanted = <u32>ifAvailable.byteLength;
  let isAtStart: bool = true;
  for (let i: u32 = 0; i < length; ++i) {
    const c = load<u8>(value + i);
    if (isAtStart && startsWithIgnoringCase(value + i, length - i, ifAvailable)) {
      if (i + wanted == length || isDelimiter(load<u8>(value + i + wanted))) return true;
    }
    isAtStart = c == 0x2c || (isAtStart && c == 0x20);
  }
  return false;
}

function isDelimiter(c: u8): bool {
  return c == 0x2c || c == 0x3b || c == 0x20;
}

const DIGITS_MAX: u32 = 9;

/**
 * "250", "1.5", "1500ms", "2s", "1m" or "1h" in milliseconds; a number without a unit counts `unitMs`. 0 when the
 * text is none of these; what is above 2³² − 1 ms is that.
 */
function milliseconds(p: usize, length: u32, unitMs: f64): u32 {
  let at: u32 = 0;
  let value: f64 = 0;
  let scale: f64 = 1;
  let isFraction: bool = false;
  let digits: u32 = 0;
  for (; at < length; ++at) {
    const c = load<u8>(p + at);
    if (c == 0x2e && !isFraction) {
      isFraction = true;
      continue;
    }
    if (c < 0x30 || c > 0x39) break;
    if (++digits > DIGITS_MAX) return 0;
    value = value * 10 + <f64>(c - 0x30);
    if (isFraction) scale *= 10;
  }
  if (digits == 0) return 0;
  const unit = at == length ? unitMs : msOfUnit(p + at, length - at);
  const ms = Math.ceil((value / scale) * unit);
  return <u32>min<f64>(ms, <f64>u32.MAX_VALUE);
}

/** 0: no unit. */
function msOfUnit(p: usize, length: u32): f64 {
  const first = load<u8>(p);
  if (length == 2 && first == 0x6d && load<u8>(p + 1) == 0x73) return 1;
  if (length != 1) return 0;
  if (first == 0x73) return 1000;
  if (first == 0x6d) return 60_000;
  return first == 0x68 ? 3_600_000 : 0;
}

/** The stream wears what its headers said. */
export function keep(stream: streams.Stream): void {
  stream.clientHeaders = <u16>present;
  stream.objective = objective;
  stream.fairness = fairness;
  stream.ttftMs = ttftMs;
  stream.ttlMs = ttlMs;
}

/** Removes the headers of these bits, all but Prefer, before the request is sent on. */
export function remove(bits: u32): void {
  for (let rest = bits & ~IF_AVAILABLE; rest != 0; rest &= rest - 1) {
    const name = names[ctz(rest)];
    host.removeHeader(REQUEST_HEADERS, pointer(name), name.byteLength);
  }
}

/** Without a look: more headers than the scratch can hold. */
export function removeAll(): void {
  remove(ALL | SUBSET_BIT);
}

export function wantsCached(stream: streams.Stream): bool {
  return (<u32>stream.clientHeaders & IF_AVAILABLE) != 0;
}

/** Reads the model that a header names in the place of the body's: host.data. False when none does. */
export function readRewrite(stream: streams.Stream): bool {
  if ((<u32>stream.clientHeaders & REWRITES) == 0) return false;
  const isCurrent = (<u32>stream.clientHeaders & (1 << REWRITE)) != 0;
  return host.getHeader(REQUEST_HEADERS, names[isCurrent ? REWRITE : REWRITE_OLD]);
}

/** Reads the list of endpoints that a trusted proxy in front allows: host.data. */
export function readSubset(stream: streams.Stream): bool {
  if ((<u32>stream.clientHeaders & SUBSET_BIT) == 0) return false;
  return host.getHeader(REQUEST_HEADERS, names[SUBSET]);
}
