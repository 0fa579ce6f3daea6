// What the objects say about models in one pool, read in place: the overlay of src/wire/models.ts.

import { MODEL_BYTES_MAX, MODELS_MAX, OBJECTIVES_MAX, TARGETS_MAX, TARGETS_PER_MODEL_MAX } from "../../src/wire/limits";
import {
  MODEL_BYTES,
  MODEL_FIRST_TARGET,
  MODEL_FLAGS,
  MODEL_NAME_HASH,
  MODEL_NAME_LENGTH,
  MODEL_NAME_OFFSET,
  MODEL_PRIORITY,
  MODEL_RULE_LENGTH,
  MODEL_RULE_OFFSET,
  MODEL_TARGET_COUNT,
  MODEL_TOTAL_WEIGHT,
  MODELS_BYTES,
  O_GENERIC,
  O_MODEL_COUNT,
  O_OBJECTIVE_COUNT,
  O_TARGET_COUNT,
  OBJECTIVE_BYTES,
  OBJECTIVE_NAME_HASH,
  OBJECTIVE_NAME_LENGTH,
  OBJECTIVE_NAME_OFFSET,
  OBJECTIVE_PRIORITY,
  TARGET_BYTES,
  TARGET_NAME_LENGTH,
  TARGET_NAME_OFFSET,
  TARGET_UP_TO,
} from "../../src/wire/models";
import { NONE } from "../../src/wire/program";
import { hash } from "../abi/text";

/** A name that requests may have, and what they are sent for. */
@unmanaged
export class Model {
  nameHash: u64;
  nameOffset: u32;
  nameLength: u32;
  firstTarget: u32;
  targetCount: u32;
  totalWeight: u32;
  priority: i32;
  flags: u32;
  reserved: u32;
  ruleOffset: u32;
  ruleLength: u32;
}
if (offsetof<Model>() != MODEL_BYTES) ERROR("Model and models.ts differ");
if (offsetof<Model>("nameHash") != MODEL_NAME_HASH) ERROR("Model and models.ts differ");
if (offsetof<Model>("nameOffset") != MODEL_NAME_OFFSET) ERROR("Model and models.ts differ");
if (offsetof<Model>("nameLength") != MODEL_NAME_LENGTH) ERROR("Model and models.ts differ");
if (offsetof<Model>("firstTarget") != MODEL_FIRST_TARGET) ERROR("Model and models.ts differ");
if (offsetof<Model>("targetCount") != MODEL_TARGET_COUNT) ERROR("Model and models.ts differ");
if (offsetof<Model>("totalWeight") != MODEL_TOTAL_WEIGHT) ERROR("Model and models.ts differ");
if (offsetof<Model>("priority") != MODEL_PRIORITY) ERROR("Model and models.ts differ");
if (offsetof<Model>("flags") != MODEL_FLAGS) ERROR("Model and models.ts differ");
if (offsetof<Model>("ruleOffset") != MODEL_RULE_OFFSET) ERROR("Model and models.ts differ");
if (offsetof<Model>("ruleLength") != MODEL_RULE_LENGTH) ERROR("Model and models.ts differ");

/** A model to send requests for. */
@unmanaged
export class Target {
  nameOffset: u32;
  nameLength: u32;
  /** Its weight and those of the targets before it. */
  upTo: u32;
  reserved: u32;
}
if (offsetof<Target>() != TARGET_BYTES) ERROR("Target and models.ts differ");
if (offsetof<Target>("nameOffset") != TARGET_NAME_OFFSET) ERROR("Target and models.ts differ");
if (offsetof<Target>("nameLength") != TARGET_NAME_LENGTH) ERROR("Target and models.ts differ");
if (offsetof<Target>("upTo") != TARGET_UP_TO) ERROR("Target and models.ts differ");

function objectiveCount(section: usize): u32 {
  return load<u32>(section, O_OBJECTIVE_COUNT);
}

function modelCount(section: usize): u32 {
  return load<u32>(section, O_MODEL_COUNT);
}

function objective(section: usize, n: u32): usize {
  return section + MODELS_BYTES + n * OBJECTIVE_BYTES;
}

function model(section: usize, n: u32): Model {
  return changetype<Model>(objective(section, objectiveCount(section)) + n * MODEL_BYTES);
}

function target(section: usize, n: u32): Target {
  return changetype<Target>(changetype<usize>(model(section, modelCount(section))) + n * TARGET_BYTES);
}

// ── Looking up ──

/** The priority of the objective whose name has that hash; 0 where there is no such. */
export function objectivePriority(section: usize, nameHash: u64): i32 {
  let low: u32 = 0;
  let high = objectiveCount(section);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u64>(objective(section, middle), OBJECTIVE_NAME_HASH) < nameHash) low = middle + 1;
    else high = middle;
  }
  if (low == objectiveCount(section)) return 0;
  const found = objective(section, low);
  return load<u64>(found, OBJECTIVE_NAME_HASH) == nameHash ? load<i32>(found, OBJECTIVE_PRIORITY) : 0;
}

/** The row of the model of that name, whose text lies with the others from `texts` on; 0 = there is none. */
export function find(section: usize, texts: usize, name: usize, length: u32): Model {
  const wanted = hash(name, length);
  const all = modelCount(section);
  // The generic row is the last one and has no name.
  const end = load<u32>(section, O_GENERIC) == NONE ? all : all - 1;
  let low: u32 = 0;
  let high = end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (model(section, middle).nameHash < wanted) low = middle + 1;
    else high = middle;
  }
  for (; low < end && model(section, low).nameHash == wanted; ++low) {
    const row = model(section, low);
    if (row.nameLength == length && memory.compare(texts + row.nameOffset, name, length) == 0) return row;
  }
  return changetype<Model>(0);
}

/** The row for models that have no targets of their own; 0 = there is none. */
export function generic(section: usize): Model {
  const n = load<u32>(section, O_GENERIC);
  return n == NONE ? changetype<Model>(0) : model(section, n);
}

export function isNone(row: Model): bool {
  return changetype<usize>(row) == 0;
}

/** The model's target in whose share `drawn` falls, below its totalWeight. */
export function targetAt(section: usize, owner: Model, drawn: u32): Target {
  const last = owner.firstTarget + owner.targetCount - 1;
  let n = owner.firstTarget;
  while (n < last && target(section, n).upTo <= drawn) ++n;
  return target(section, n);
}

// ── What must hold before a section is used ──

/** Whether the `length` bytes at `p` are such a section whose texts lie in a heap of `heapLength` bytes. */
export function isGood(p: usize, length: u32, heapLength: u32): bool {
  if (length < MODELS_BYTES) return false;
  const objectives = objectiveCount(p);
  const models = modelCount(p);
  const targets = load<u32>(p, O_TARGET_COUNT);
  if (objectives > OBJECTIVES_MAX || models > MODELS_MAX || targets > TARGETS_MAX) return false;
  if (MODELS_BYTES + objectives * OBJECTIVE_BYTES + models * MODEL_BYTES + targets * TARGET_BYTES > length)
    return false;
  const last = load<u32>(p, O_GENERIC);
  if (last != NONE && last + 1 != models) return false;
  for (let n: u32 = 0; n < objectives; ++n) {
    const row = objective(p, n);
    if (!isInHeap(load<u32>(row, OBJECTIVE_NAME_OFFSET), load<u32>(row, OBJECTIVE_NAME_LENGTH), heapLength))
      return false;
  }
  for (let n: u32 = 0; n < models; ++n) if (!isGoodModel(model(p, n), targets, heapLength)) return false;
  for (let n: u32 = 0; n < targets; ++n) if (!isGoodTarget(target(p, n), heapLength)) return false;
  return true;
}

function isInHeap(offset: u32, length: u32, heapLength: u32): bool {
  return <u64>offset + length <= <u64>heapLength;
}

function isGoodModel(row: Model, targets: u32, heapLength: u32): bool {
  if (row.nameLength > MODEL_BYTES_MAX || !isInHeap(row.nameOffset, row.nameLength, heapLength)) return false;
  if (!isInHeap(row.ruleOffset, row.ruleLength, heapLength)) return false;
  if (row.targetCount == 0) return true;
  if (row.targetCount > TARGETS_PER_MODEL_MAX || row.totalWeight == 0) return false;
  return <u64>row.firstTarget + row.targetCount <= <u64>targets;
}

function isGoodTarget(row: Target, heapLength: u32): bool {
  if (row.nameLength == 0 || row.nameLength > MODEL_BYTES_MAX) return false;
  return isInHeap(row.nameOffset, row.nameLength, heapLength);
}
