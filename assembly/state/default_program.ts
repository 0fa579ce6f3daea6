// The program of a pool that brings none: the default profile.

import {
  DESTINATIONS_DEFAULT,
  IN_FLIGHT_FLOOR,
  PREFIX_CAPACITY,
  PREFIX_TOKENS_MAX,
  STALE_MS,
  WEIGHT_IN_FLIGHT,
  WEIGHT_KV_USAGE,
  WEIGHT_PREFIX,
  WEIGHT_QUEUE,
} from "../../src/wire/policy";
import {
  AUTO_TUNE,
  NEEDS_PREFIX,
  NONE,
  PARSERS_DEFAULT,
  PICKER_MAX_SCORE,
  PROFILE_BYTES,
  PROGRAM_BYTES,
  SCORER_IN_FLIGHT,
  SCORER_KV_USAGE,
  SCORER_PREFIX,
  SCORER_QUEUE,
  STEP_BYTES,
} from "../../src/wire/program";
import { put, utf8 } from "../abi/text";
import { Program, profile, step } from "./program";

const STEPS: u32 = 4;

/** Where its names lie. */
export const texts: usize = heap.alloc(256);
let textsEnd: usize = texts;

const bytes: usize = heap.alloc(PROGRAM_BYTES + PROFILE_BYTES + STEPS * STEP_BYTES);
export const program: Program = build();

function build(): Program {
  memory.fill(bytes, 0, PROGRAM_BYTES + PROFILE_BYTES + STEPS * STEP_BYTES);
  const built = changetype<Program>(bytes);
  built.profileCount = 1;
  built.stepCount = STEPS;
  built.flags = NEEDS_PREFIX | AUTO_TUNE;
  built.handlerHeader = NONE;
  built.sessionHeader = NONE;
  built.parsers = PARSERS_DEFAULT;
  built.staleMs = STALE_MS;
  built.capacity = PREFIX_CAPACITY;
  built.maxTokens = PREFIX_TOKENS_MAX;
  built.maxOutputTokens = Infinity;
  const only = profile(built, 0);
  only.nameOffset = place(utf8("default"));
  only.nameLength = <u32>(textsEnd - texts) - only.nameOffset;
  only.stepCount = STEPS;
  only.picker = PICKER_MAX_SCORE;
  only.endpoints = DESTINATIONS_DEFAULT;
  only.pickerNameOffset = place(utf8("max-score-picker"));
  only.pickerNameLength = <u32>(textsEnd - texts) - only.pickerNameOffset;
  scorer(built, 0, SCORER_PREFIX, WEIGHT_PREFIX, utf8("prefix-cache-scorer"));
  scorer(built, 1, SCORER_QUEUE, WEIGHT_QUEUE, utf8("queue-scorer"));
  scorer(built, 2, SCORER_KV_USAGE, WEIGHT_KV_USAGE, utf8("kv-cache-utilization-scorer"));
  scorer(built, 3, SCORER_IN_FLIGHT, WEIGHT_IN_FLIGHT, utf8("in-flight-scorer"));
  step(built, 0).p1 = 8192; // matchLengthScaleTokens, of no effect with matchLengthWeight 0
  step(built, 3).p0 = IN_FLIGHT_FLOOR;
  return built;
}

function scorer(built: Program, n: u32, id: u32, weight: f64, name: ArrayBuffer): void {
  const made = step(built, n);
  made.id = <u16>id;
  made.weight = weight;
  made.nameOffset = place(name);
  made.nameLength = name.byteLength;
}

/** Adds a name. Answers its offset. */
function place(name: ArrayBuffer): u32 {
  const at = <u32>(textsEnd - texts);
  textsEnd = put(textsEnd, name);
  return at;
}
