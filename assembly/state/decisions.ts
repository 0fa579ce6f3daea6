// What rules decided about models on this worker: how often a rule had which target asked for in the place of which
// name. Rows as src/wire/series.ts lays them out. A row is never given back: what has no room counts in the first.

import { DECISIONS_MAX } from "../../src/wire/limits";
import {
  D_CALLER,
  D_CALLER_LENGTH,
  D_COUNT,
  D_RULE,
  D_RULE_LENGTH,
  D_TARGET,
  D_TARGET_LENGTH,
  DECISION_ROW_BYTES,
} from "../../src/wire/series";
import { hash, pointer, utf8 } from "../abi/text";
import { label } from "./label";

export const rows: usize = heap.alloc(DECISIONS_MAX * DECISION_ROW_BYTES);
export let used: u32 = 0;
/** Hash of each row's texts. */
const keys: usize = heap.alloc(DECISIONS_MAX << 3);

const otherText = utf8("other");

function at(row: u32): usize {
  return rows + row * DECISION_ROW_BYTES;
}

/** A rule had the target asked for in the place of the caller's name. */
export function count(
  rule: usize,
  ruleLength: u32,
  caller: usize,
  callerLength: u32,
  target: usize,
  targetLength: u32,
): void {
  const other = pointer(otherText);
  const otherLength = otherText.byteLength;
  if (used == 0) open(0, other, otherLength, other, otherLength, other, otherLength);
  const names = rotl<u64>(hash(caller, callerLength), 1) ^ rotl<u64>(hash(target, targetLength), 2);
  const key = names ^ hash(rule, ruleLength);
  let row: u32 = 1;
  while (row < used && load<u64>(keys + (row << 3)) != key) ++row;
  if (row == DECISIONS_MAX) row = 0;
  else if (row == used) open(key, rule, ruleLength, caller, callerLength, target, targetLength);
  store<u64>(at(row), load<u64>(at(row), D_COUNT) + 1, D_COUNT);
}

/** Takes the next row for these texts. */
function open(
  key: u64,
  rule: usize,
  ruleLength: u32,
  caller: usize,
  callerLength: u32,
  target: usize,
  targetLength: u32,
): void {
  store<u64>(keys + (used << 3), key);
  const row = at(used++);
  memory.fill(row, 0, DECISION_ROW_BYTES);
  label(row, D_RULE, D_RULE_LENGTH, rule, ruleLength);
  label(row, D_CALLER, D_CALLER_LENGTH, caller, callerLength);
  label(row, D_TARGET, D_TARGET_LENGTH, target, targetLength);
}
