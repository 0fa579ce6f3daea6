// How endpoints of a pool are picked (src/wire/program.ts), read in place in the topology's bytes.

import {
  ATTRIBUTES_MAX,
  COLUMNS_MAX,
  DESTINATIONS_MAX,
  HEADER_NAME_BYTES_MAX,
  HEADER_NAMES_MAX,
  LABEL_FILTERS_MAX,
  PROFILES_MAX,
  STEPS_MAX,
} from "../../src/wire/limits";
import {
  FILTER_ATTRIBUTE,
  FILTER_CONTEXT_LENGTH,
  FILTER_LABELS,
  FILTER_TOPOLOGY,
  FILTERS,
  G_COLD_SIZE,
  G_FLOW,
  G_PARSERS,
  G_SESSION_TTL_MS,
  HANDLER_DATA_PARALLEL,
  HEADER_NAME_BYTES,
  NONE,
  PICKER_WEIGHTED_RANDOM,
  PROFILE_BYTES,
  PROGRAM_BYTES,
  SCORER_ATTRIBUTE,
  SCORER_CONTEXT_LENGTH,
  SCORER_FIRST,
  SCORER_HEADER_LABEL,
  SCORER_TOPOLOGY,
  SCORERS,
  STEP_BYTES,
} from "../../src/wire/program";
import { isGoodFlow } from "./flow_rows";

@unmanaged
export class Program {
  profileCount: u32;
  stepCount: u32;
  headerCount: u32;
  flags: u32;
  handler: u32;
  handlerHeader: u32;
  defaultProfile: u32;
  primaryPort: u32;
  parsers: u32;
  staleMs: u32;
  sessionHeader: u32;
  flow: u32;
  blockSize: u32;
  capacity: u32;
  maxTokens: u32;
  maxBlocks: u32;
  outputRatio: f64;
  maxOutputTokens: f64;
  sessionTtlMs: f64;
  coldSize: u32;
}
if (offsetof<Program>("parsers") != G_PARSERS) ERROR("Program and program.ts differ");
if (offsetof<Program>("flow") != G_FLOW) ERROR("Program and program.ts differ");
if (offsetof<Program>("sessionTtlMs") != G_SESSION_TTL_MS) ERROR("Program and program.ts differ");
if (offsetof<Program>("coldSize") != G_COLD_SIZE) ERROR("Program and program.ts differ");

@unmanaged
export class Profile {
  nameOffset: u32;
  nameLength: u32;
  firstStep: u32;
  stepCount: u32;
  picker: u32;
  endpoints: u32;
  pickerNameOffset: u32;
  pickerNameLength: u32;
}
if (offsetof<Profile>() != PROFILE_BYTES) ERROR("Profile and program.ts differ");

/** One filter or scorer. */
@unmanaged
export class Step {
  id: u16;
  flags: u16;
  number: u32;
  weight: f64;
  p0: f64;
  p1: f64;
  p2: f64;
  p3: f64;
  firstHeader: u32;
  headerCount: u32;
  nameOffset: u32;
  nameLength: u32;
}
if (offsetof<Step>() != STEP_BYTES) ERROR("Step and program.ts differ");

/** A text in the heap that the names of a program lie in. */
@unmanaged
class HeaderName {
  offset: u32;
  length: u32;
}

export function profile(program: Program, n: u32): Profile {
  return changetype<Profile>(changetype<usize>(program) + PROGRAM_BYTES + n * PROFILE_BYTES);
}

export function step(program: Program, n: u32): Step {
  const steps = changetype<usize>(program) + PROGRAM_BYTES + program.profileCount * PROFILE_BYTES;
  return changetype<Step>(steps + n * STEP_BYTES);
}

function header(program: Program, n: u32): HeaderName {
  const headers = changetype<usize>(step(program, program.stepCount));
  return changetype<HeaderName>(headers + n * HEADER_NAME_BYTES);
}

/** Offset of a header's name in the heap. */
export function headerOffset(program: Program, n: u32): u32 {
  return header(program, n).offset;
}

export function headerLength(program: Program, n: u32): u32 {
  return header(program, n).length;
}

// ── What must hold before a program is used ──

/** Whether the `length` bytes at `p` are a program whose texts lie in a heap of `heapLength` bytes. */
export function isGood(p: usize, length: u32, heapLength: u32): bool {
  if (length < PROGRAM_BYTES) return false;
  const program = changetype<Program>(p);
  const profiles = program.profileCount;
  const steps = program.stepCount;
  const headers = program.headerCount;
  if (profiles == 0 || profiles > PROFILES_MAX || steps > STEPS_MAX || headers > HEADER_NAMES_MAX) return false;
  const bytes = PROGRAM_BYTES + profiles * PROFILE_BYTES + steps * STEP_BYTES + headers * HEADER_NAME_BYTES;
  if (bytes > length || !isGoodHead(program)) return false;
  for (let n: u32 = 0; n < profiles; ++n) if (!isGoodProfile(program, profile(program, n), heapLength)) return false;
  for (let n: u32 = 0; n < steps; ++n) if (!isGoodStep(program, step(program, n), heapLength)) return false;
  for (let n: u32 = 0; n < headers; ++n) {
    const name = header(program, n);
    if (name.length == 0 || name.length > HEADER_NAME_BYTES_MAX) return false;
    if (!isInHeap(name.offset, name.length, heapLength)) return false;
  }
  const flowAt = program.flow;
  if (flowAt == 0) return true;
  return flowAt >= bytes && flowAt <= length && (flowAt & 7) == 0 && isGoodFlow(p + flowAt, length - flowAt);
}

function isInHeap(offset: u32, length: u32, heapLength: u32): bool {
  return <u64>offset + length <= <u64>heapLength;
}

function isNumberOf(n: u32, count: u32): bool {
  return n == NONE || n < count;
}

function isGoodHead(program: Program): bool {
  if (program.handler > HANDLER_DATA_PARALLEL || program.primaryPort > 65_535) return false;
  if (!isNumberOf(program.handlerHeader, program.headerCount)) return false;
  if (!isNumberOf(program.sessionHeader, program.headerCount)) return false;
  return isNumberOf(program.defaultProfile, program.profileCount);
}

function isGoodProfile(program: Program, checked: Profile, heapLength: u32): bool {
  if (<u64>checked.firstStep + checked.stepCount > <u64>program.stepCount) return false;
  if (checked.picker > PICKER_WEIGHTED_RANDOM) return false;
  if (checked.endpoints == 0 || checked.endpoints > DESTINATIONS_MAX) return false;
  if (!isInHeap(checked.pickerNameOffset, checked.pickerNameLength, heapLength)) return false;
  return isInHeap(checked.nameOffset, checked.nameLength, heapLength);
}

function isGoodStep(program: Program, checked: Step, heapLength: u32): bool {
  const id = <u32>checked.id;
  const isFilter = id > 0 && id < FILTERS;
  if (!isFilter && (id < SCORER_FIRST || id >= SCORERS)) return false;
  if (!(abs<f64>(checked.weight) < Infinity) || checked.number >= numbersOf(id)) return false;
  if (<u64>checked.firstHeader + checked.headerCount > <u64>program.headerCount) return false;
  if (id == SCORER_HEADER_LABEL && checked.headerCount == 0) return false;
  return isInHeap(checked.nameOffset, checked.nameLength, heapLength);
}

/** One more than the largest `number` that a step of that id may have. */
function numbersOf(id: u32): u32 {
  if (id == FILTER_LABELS) return LABEL_FILTERS_MAX;
  if (id == FILTER_ATTRIBUTE || id == SCORER_ATTRIBUTE) return ATTRIBUTES_MAX;
  if (id == FILTER_TOPOLOGY || id == SCORER_TOPOLOGY || id == SCORER_HEADER_LABEL) return COLUMNS_MAX;
  return id == FILTER_CONTEXT_LENGTH || id == SCORER_CONTEXT_LENGTH ? COLUMNS_MAX : 1;
}
