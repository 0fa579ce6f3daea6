// The prompts of the request that was scanned last, as pseudo-tokens: valid until the next scan begins.
//
// Text is written where it arrives. Most APIs give one prompt, made of three slots in this order: what comes
// first (tools, instructions), a system prompt, and the messages or input. Where that is also the order
// of their arrival nothing is moved; otherwise the prompt is put together at the end of the scan.

import { INSPECTION_BYTES, PROMPTS_MAX, SALT_BYTES_MAX } from "../../src/wire/limits";
import { pointer, utf8 } from "../abi/text";
import * as json from "./prompt/json";
import * as segments from "./prompt/segments";
import * as text from "./prompt/text";
import * as video from "./prompt/video";

/** What a prompt that is put together may come to: images count for more than their bytes. */
const COMPOSED_MAX: u64 = 2 * INSPECTION_BYTES;

/** Prompts whose text is kept. */
export let count: u32 = 0;
/** Pseudo-tokens of all prompts, also of what was not kept. */
export let tokens: u32 = 0;
/** Something was not kept, or the body goes on beyond what was read. */
export let truncated: bool = false;
export let saltLength: u32 = 0;

const saltBytes: usize = heap.alloc(SALT_BYTES_MAX);
/** Of each prompt its start and its bytes. */
const prompts: usize = heap.alloc(8 * PROMPTS_MAX);
/** A prompt that is made of tokens or of one string is being written. */
export let isOpen: bool = false;
let start: usize = 0;

// The slots, by their place in the prompt
export const FRONT: u32 = 0;
export const MIDDLE: u32 = 1;
export const BACK: u32 = 2;
const SLOTS: u32 = 3;

const slots = segments.allocate();
/** Of each slot its first segment and the one after its last. */
const bounds = memory.data(24, 8);
/** Slots are elements of an array of JSON. */
let isArray: bool = false;

export function begin(isOfArray: bool): void {
  forget();
  truncated = false;
  saltLength = 0;
  isArray = isOfArray;
  segments.begin();
  segments.clear(slots);
  for (let slot: u32 = 0; slot < SLOTS; ++slot) store<u64>(bounds + ((<usize>slot) << 3), 0);
  text.begin();
  json.begin();
  video.begin();
}

/** Start of a prompt's text. */
export function at(n: u32): usize {
  return load<u32>(prompts + ((<usize>n) << 3));
}

/** Its length: whole pseudo-tokens, padded with zeros. */
export function bytes(n: u32): u32 {
  return load<u32>(prompts + ((<usize>n) << 3), 4);
}

/** cache_salt, in UTF-8. */
export function salt(): usize {
  return saltBytes;
}

export function clearSalt(): void {
  saltLength = 0;
}

export function putSalt(c: u8): void {
  if (saltLength == SALT_BYTES_MAX) truncated = true;
  else store<u8>(saltBytes + saltLength++, c);
}

/** Something was not kept. */
export function truncate(): void {
  truncated = true;
}

// ── Prompts that are one string or tokens ──

/** The prompts so far do not count: their member comes again. */
export function forget(): void {
  count = 0;
  tokens = 0;
  isOpen = false;
}

export function open(): void {
  text.pad(8);
  start = text.out;
  isOpen = true;
}

export function close(): void {
  if (!isOpen) return;
  isOpen = false;
  text.pad(4);
  const length = <u32>(text.out - start);
  tokens += length >> 2;
  if (count < PROMPTS_MAX) {
    keep(start, length);
  } else {
    truncated = true;
    text.setOut(start);
  }
}

function keep(from: usize, length: u32): void {
  const row = prompts + ((<usize>count) << 3);
  store<u32>(row, <u32>from);
  store<u32>(row, length, 4);
  ++count;
}

// ── The prompt that is made of slots ──

/** A slot begins, or begins again. What is added goes there. */
export function openSlot(slot: u32): segments.List {
  slots.floor = slots.count;
  const row = bounds + ((<usize>slot) << 3);
  store<u32>(row, slots.count);
  store<u32>(row, slots.count, 4);
  return slots;
}

export function closeSlot(slot: u32): void {
  store<u32>(bounds + ((<usize>slot) << 3), slots.count, 4);
}

function first(slot: u32): u32 {
  return load<u32>(bounds + ((<usize>slot) << 3));
}

function end(slot: u32): u32 {
  return load<u32>(bounds + ((<usize>slot) << 3), 4);
}

/** The scan is over. */
export function finish(): void {
  close();
  if (segments.isLost || json.isLost) truncated = true;
  if (hasSlots()) finishSlots();
  if (tokens == 0) count = 0;
}

/** Whether a slot has something in it, which its member, when it came again, did not take back. */
function hasSlots(): bool {
  for (let slot: u32 = 0; slot < SLOTS; ++slot) if (first(slot) != end(slot)) return true;
  return false;
}

function finishSlots(): void {
  if (isArray || !isOneRun()) {
    compose();
    return;
  }
  text.setOut(runEnd);
  text.pad(4);
  tokens = <u32>(text.out - runStart) >> 2;
  keep(runStart, tokens << 2);
}

let runStart: usize = 0;
let runEnd: usize = 0;

/** Whether all segments are text that lies in their order without a gap, where a prompt may begin. */
function isOneRun(): bool {
  runStart = 0;
  runEnd = 0;
  for (let slot: u32 = 0; slot < SLOTS; ++slot) {
    for (let i = first(slot); i < end(slot); ++i) {
      const segment = segments.at(slots, i);
      if (runStart == 0) runStart = runEnd = segment.start;
      if (segment.start == 0 || <usize>segment.start != runEnd) return false;
      runEnd += segment.size;
    }
  }
  return runStart != 0 && (runStart & 7) == 0;
}

const openBracket = utf8("[");
const comma = utf8(",");
const closeBracket = utf8("]");

/** Bytes written, whether kept or not. */
let written: u64 = 0;

function compose(): void {
  written = 0;
  for (let slot: u32 = 0; slot < SLOTS; ++slot) {
    if (first(slot) == end(slot)) continue;
    if (isArray) writeText(written == 0 ? openBracket : comma);
    for (let i = first(slot); i < end(slot); ++i) {
      const segment = segments.at(slots, i);
      if (segment.start != 0) write(segment.start, segment.size);
      else writeAsset(segment.hash, segment.size);
    }
  }
  if (isArray && written != 0) writeText(closeBracket);
  align();
  tokens = <u32>min<u64>(written >> 2, u32.MAX_VALUE);
  if (written != 0) keep(text.spare, <u32>min<u64>(written, COMPOSED_MAX));
}

function writeText(what: ArrayBuffer): void {
  write(pointer(what), what.byteLength);
}

function write(from: usize, length: u32): void {
  const kept = room(length);
  memory.copy(text.spare + <usize>written, from, kept);
  written += length;
}

/** How many of `length` bytes can be kept. */
function room(length: u64): u32 {
  if (written + length <= COMPOSED_MAX) return <u32>length;
  truncated = true;
  return written < COMPOSED_MAX ? <u32>(COMPOSED_MAX - written) : 0;
}

function align(): void {
  const rest = <u32>written & 3;
  if (rest == 0) return;
  const zeros = 4 - rest;
  if (written < COMPOSED_MAX) memory.fill(text.spare + <usize>written, 0, zeros);
  written += zeros;
}

function writeAsset(hash: u32, length: u32): void {
  align();
  const size = (<u64>length) << 2;
  const kept = room(size);
  const to = text.spare + <usize>written;
  for (let i: usize = 0; i < kept; i += 4) store<u32>(to + i, hash);
  written += size;
}
