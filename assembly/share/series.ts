// Tells what this worker counted by labels (src/wire/series.ts): the rows in use, at most once a heartbeat, and
// only when something was counted since.

import { DECISIONS_MAX, HEARTBEAT_MS, LABEL_BYTES_MAX, SERIES_MAX } from "../../src/wire/limits";
import { KEY_SERIES } from "../../src/wire/names";
import {
  DECISION_ROW_BYTES,
  H_DECISION_BYTES,
  H_DECISION_COUNT,
  H_GENERATION,
  H_MAGIC,
  H_ROW_BYTES,
  H_ROW_COUNT,
  H_STARTED_NS,
  H_VERSION,
  S_CALLER,
  S_FAIRNESS,
  S_TARGET,
  SERIES_HEADER_BYTES,
  SERIES_LABEL_BYTES,
  SERIES_MAGIC,
  SERIES_ROW_BYTES,
  SERIES_VERSION,
} from "../../src/wire/series";
import { setShared } from "../abi/host";
import { put, putNumber, utf8 } from "../abi/text";
import * as decisions from "../state/decisions";
import * as series from "../state/series";

const prefix = utf8(KEY_SERIES);
const keyBuffer = memory.data(32);
let startedNs: u64 = 0;
let toldGeneration: u64 = 0;
let toldNs: u64 = 0;
/** Ticks jitter: a whole period would make every other one the first that is late enough. */
const PERIOD_NS: u64 = <u64>HEARTBEAT_MS * 900_000;

if (SERIES_LABEL_BYTES != LABEL_BYTES_MAX) ERROR("labels of series must have room for the longest");
if (S_TARGET != S_CALLER + LABEL_BYTES_MAX || SERIES_ROW_BYTES != S_FAIRNESS + LABEL_BYTES_MAX) ERROR("labels overlap");
if (SERIES_HEADER_BYTES + SERIES_MAX * SERIES_ROW_BYTES + DECISIONS_MAX * DECISION_ROW_BYTES > 2_097_152)
  ERROR("series must fit an answer of ingest");

/** The key of a slot's series, `keyLength` bytes. */
export function key(slot: u32): usize {
  keyLength = <u32>(putNumber(put(keyBuffer, prefix), slot) - keyBuffer);
  return keyBuffer;
}

export let keyLength: u32 = 0;

export function publish(slot: u32, generation: u64, nowNs: u64): void {
  if (generation == toldGeneration && (!series.changed || nowNs < toldNs + PERIOD_NS)) return;
  toldGeneration = generation;
  toldNs = nowNs;
  if (startedNs == 0) startedNs = nowNs;
  const table = series.table;
  store<u32>(table, SERIES_MAGIC, H_MAGIC);
  store<u32>(table, SERIES_VERSION, H_VERSION);
  store<u64>(table, generation, H_GENERATION);
  store<u64>(table, startedNs, H_STARTED_NS);
  store<u32>(table, series.used, H_ROW_COUNT);
  store<u32>(table, SERIES_ROW_BYTES, H_ROW_BYTES);
  store<u32>(table, decisions.used, H_DECISION_COUNT);
  store<u32>(table, DECISION_ROW_BYTES, H_DECISION_BYTES);
  const rowsEnd = SERIES_HEADER_BYTES + series.used * SERIES_ROW_BYTES;
  const decisionBytes = decisions.used * DECISION_ROW_BYTES;
  // A row that is used later is cleared before.
  memory.copy(table + rowsEnd, decisions.rows, decisionBytes);
  setShared(key(slot), keyLength, table, rowsEnd + decisionBytes, 0);
  series.told();
}
