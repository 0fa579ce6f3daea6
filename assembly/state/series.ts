// What this worker counted by the labels of requests: the model as the caller names it, the model that is
// asked for, the fairness id and the priority. Rows as src/wire/series.ts lays them out, written in place, so
// that they are told as they are. A row is never given back: what has no room counts in the first.

import { DECISIONS_MAX, SERIES_MAX } from "../../src/wire/limits";
import {
  BYTE_BOUNDS,
  DECISION_ROW_BYTES,
  ERROR_CODE_COUNT,
  ERROR_CODES,
  ERROR_NO_ANSWER,
  ERROR_OTHER_4XX,
  ERROR_OTHER_5XX,
  ITL_BOUNDS,
  LATENCY_BOUNDS,
  S_ATTEMPTS,
  S_CACHED,
  S_CALLER,
  S_CALLER_LENGTH,
  S_DURATION,
  S_ERRORS,
  S_FAIRNESS,
  S_FAIRNESS_LENGTH,
  S_INPUT,
  S_ITL,
  S_NTPOT,
  S_OUTPUT,
  S_PRIORITY,
  S_REQUEST_BYTES,
  S_REQUESTS,
  S_RESPONSE_BYTES,
  S_RUNNING,
  S_TARGET,
  S_TARGET_LENGTH,
  S_TPOT,
  S_TTFT,
  S_TTFT_STREAMING,
  SERIES_HEADER_BYTES,
  SERIES_ROW_BYTES,
  TOKEN_BOUNDS,
  TPOT_BOUNDS,
  TTFT_BOUNDS,
} from "../../src/wire/series";
import { hash, pointer, utf8 } from "../abi/text";
import * as fairness from "./fairness_ids";
import { label } from "./label";
import { IS_EVENTS, NO_TOKENS, Response } from "./responses";
import { NO_SERIES, Stream } from "./streams";

/** Room for the header before the first row, and for what else is told behind the rows in use. */
export const table: usize = heap.alloc(
  SERIES_HEADER_BYTES + SERIES_MAX * SERIES_ROW_BYTES + DECISIONS_MAX * DECISION_ROW_BYTES,
);
const rows: usize = table + SERIES_HEADER_BYTES;
export let used: u32 = 0;
/** Something was counted since it was last told. */
export let changed: bool = false;

/** Open addressing: the hash of a row's labels, and its number + 1; 0 = empty. Less than half full. */
const CELLS: u32 = 2048;
const hashes: usize = heap.alloc(CELLS * 8);
const numbers: usize = heap.alloc(CELLS * 4);
if (CELLS < SERIES_MAX * 2) ERROR("the index of series must stay half empty");

const otherText = utf8("other");

export function told(): void {
  changed = false;
}

function at(row: u32): usize {
  return rows + row * SERIES_ROW_BYTES;
}

/** A request is decided on: from here on it counts under its labels. */
export function begin(stream: Stream, caller: usize, callerLength: u32, target: usize, targetLength: u32): void {
  if (stream.series != NO_SERIES) return;
  if (used == 0) open(0, pointer(otherText), otherText.byteLength, pointer(otherText), otherText.byteLength);
  const labels = labelsHash(stream, caller, callerLength, target, targetLength);
  const cell = cellOf(labels);
  let row = load<u32>(numbers + (cell << 2));
  if (row == 0 && used < SERIES_MAX) {
    row = used + 1;
    store<u64>(hashes + (cell << 3), labels);
    store<u32>(numbers + (cell << 2), row);
    open(stream.fairness, caller, callerLength, target, targetLength);
    store<i32>(at(row - 1), stream.priority, S_PRIORITY);
  }
  stream.series = row == 0 ? 0 : row - 1;
  const counted = at(stream.series);
  store<u32>(counted, load<u32>(counted, S_RUNNING) + 1, S_RUNNING);
  store<u64>(counted, load<u64>(counted, S_REQUESTS) + 1, S_REQUESTS);
  changed = true;
}

function labelsHash(stream: Stream, caller: usize, callerLength: u32, target: usize, targetLength: u32): u64 {
  const models = rotl<u64>(hash(caller, callerLength), 1) ^ rotl<u64>(hash(target, targetLength), 2);
  return models ^ rotl<u64>(stream.fairness, 3) ^ (<u64>(<u32>stream.priority) * 0x9e3779b97f4a7c15);
}

function cellOf(labels: u64): u32 {
  let cell = <u32>(labels ^ (labels >> 32)) & (CELLS - 1);
  while (load<u32>(numbers + (cell << 2)) != 0 && load<u64>(hashes + (cell << 3)) != labels) {
    cell = (cell + 1) & (CELLS - 1);
  }
  return cell;
}

/** Takes the next row for these labels. */
function open(fairnessId: u64, caller: usize, callerLength: u32, target: usize, targetLength: u32): void {
  const row = at(used++);
  memory.fill(row, 0, SERIES_ROW_BYTES);
  fairness.find(fairnessId);
  label(row, S_CALLER, S_CALLER_LENGTH, caller, callerLength);
  label(row, S_TARGET, S_TARGET_LENGTH, target, targetLength);
  label(row, S_FAIRNESS, S_FAIRNESS_LENGTH, fairness.text, fairness.length);
}

/** An endpoint was picked for the stream, or none was found. */
export function noteAttempt(stream: Stream, isPicked: bool): void {
  if (stream.series == NO_SERIES) return;
  const count = at(stream.series) + S_ATTEMPTS + (isPicked ? 0 : 4);
  store<u32>(count, load<u32>(count) + 1);
  changed = true;
}

/** A piece of an event stream came so long after the one before. */
export function noteGap(stream: Stream, ns: u64): void {
  if (stream.series == NO_SERIES) return;
  observe(at(stream.series) + S_ITL, ITL_BOUNDS, ns / 1000);
  changed = true;
}

/** The stream is over, as `response` says. */
export function end(stream: Stream, response: Response, nowNs: u64): void {
  if (stream.series == NO_SERIES) return;
  const row = at(stream.series);
  stream.series = NO_SERIES;
  changed = true;
  store<u32>(row, load<u32>(row, S_RUNNING) - 1, S_RUNNING);
  observe(row + S_REQUEST_BYTES, BYTE_BOUNDS, stream.received);
  if (response.status >= 400 || response.status == 0) {
    const error = row + S_ERRORS + (errorOf(response.status) << 2);
    store<u32>(error, load<u32>(error) + 1);
    return;
  }
  const durationUs = (nowNs - stream.receivedNs) / 1000;
  observe(row + S_DURATION, LATENCY_BOUNDS, durationUs);
  if (response.firstNs != 0) endBody(row, stream, response);
  if (response.input != NO_TOKENS) observe(row + S_INPUT, TOKEN_BOUNDS, response.input);
  if (response.cached != NO_TOKENS) observe(row + S_CACHED, TOKEN_BOUNDS, response.cached);
  if (response.output == NO_TOKENS) return;
  observe(row + S_OUTPUT, TOKEN_BOUNDS, response.output);
  if (response.output != 0) observe(row + S_NTPOT, TPOT_BOUNDS, durationUs / response.output);
}

function endBody(row: usize, stream: Stream, response: Response): void {
  observe(row + S_RESPONSE_BYTES, BYTE_BOUNDS, response.bytes);
  const isEvents = (response.flags & IS_EVENTS) != 0;
  const firstUs = (response.firstNs - stream.receivedNs) / 1000;
  observe(row + (isEvents ? S_TTFT_STREAMING : S_TTFT), TTFT_BOUNDS, firstUs);
  if (!isEvents || response.output == NO_TOKENS || response.output < 2) return;
  observe(row + S_TPOT, TPOT_BOUNDS, (response.lastNs - response.firstNs) / 1000 / (response.output - 1));
}

function errorOf(status: u32): u32 {
  if (status == 0) return ERROR_NO_ANSWER;
  for (let n: u32 = 0; n < ERROR_CODE_COUNT; ++n) if (ERROR_CODES[n] == status) return n;
  return status < 500 ? ERROR_OTHER_4XX : ERROR_OTHER_5XX;
}

/** Adds a value to the histogram at `p`: its sum, then the counts of its buckets. */
function observe(p: usize, bounds: StaticArray<u32>, value: u64): void {
  store<u64>(p, load<u64>(p) + value);
  let n = 0;
  while (n < bounds.length && value > unchecked(bounds[n])) ++n;
  const count = p + 8 + (n << 2);
  store<u32>(count, load<u32>(count) + 1);
}
