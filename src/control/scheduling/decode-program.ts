// Bytes to programs. Nothing is believed: every count and number is checked before it is used.

import { HEADER_NAME_BYTES_MAX, HEADER_NAMES_MAX, PROFILES_MAX, STEPS_MAX } from "../../wire/limits.ts";
import * as p from "../../wire/program.ts";
import type { HeapReader } from "../heap.ts";
import { decodeFlow } from "./decode-flow.ts";
import { FLOW_DEFAULT } from "./flow.ts";
import { needsOf, type Profile, type Program, type Step } from "./program.ts";

/** Names of plugins and profiles are free text of a document. */
const NAME_BYTES_MAX = 1024;

/** Counts of the tables, once they are known to fit. */
type Tables = { readonly profiles: number; readonly steps: number; readonly headers: number };

/** The program in `bytes`, or a sentence that says what is wrong. Texts lie in `heap`, which keeps its own errors. */
export function decodeProgram(bytes: Buffer, heap: HeapReader): Program | string {
  const tables = tablesOf(bytes);
  if (typeof tables === "string") return tables;
  const stepsAt = p.PROGRAM_BYTES + tables.profiles * p.PROFILE_BYTES;
  const headersAt = stepsAt + tables.steps * p.STEP_BYTES;
  const word = (at: number): number => bytes.readUInt32LE(at);
  const headers = Array.from({ length: tables.headers }, (_, i) => {
    const at = headersAt + i * p.HEADER_NAME_BYTES;
    return heap.text(`name of header ${i}`, word(at), word(at + 4), HEADER_NAME_BYTES_MAX);
  });
  const steps: Step[] = [];
  for (let i = 0; i < tables.steps; ++i) {
    const step = readStep(bytes, stepsAt + i * p.STEP_BYTES, i, headers, heap);
    if (typeof step === "string") return step;
    steps.push(step);
  }
  const profiles: Profile[] = [];
  for (let i = 0; i < tables.profiles; ++i) {
    const profile = readProfile(bytes, p.PROGRAM_BYTES + i * p.PROFILE_BYTES, i, steps, heap);
    if (typeof profile === "string") return profile;
    profiles.push(profile);
  }
  const numbers = [
    ["header of the handler", word(p.G_HANDLER_HEADER), headers.length],
    ["header of the sessions", word(p.G_SESSION_HEADER), headers.length],
    ["default profile", word(p.G_DEFAULT_PROFILE), profiles.length],
  ] as const;
  for (const [what, number, end] of numbers)
    if (number !== p.NONE && number >= end) return `number ${number} of the ${what}, expected less than ${end}`;
  const flow = word(p.G_FLOW) === 0 ? FLOW_DEFAULT : decodeFlow(bytes.subarray(word(p.G_FLOW)));
  if (typeof flow === "string") return flow;
  const program = { profiles, ...settingsOf(bytes, headers), flow };
  const always = (word(p.G_FLAGS) & p.NEEDS_PREFIX & ~needsOf(program)) !== 0;
  return { ...program, prefix: { ...program.prefix, always } };
}

function tablesOf(bytes: Buffer): Tables | string {
  if (bytes.length < p.PROGRAM_BYTES) return `${bytes.length} bytes, expected at least ${p.PROGRAM_BYTES}`;
  const counts = [
    ["profiles", p.G_PROFILE_COUNT, PROFILES_MAX],
    ["steps", p.G_STEP_COUNT, STEPS_MAX],
    ["headers", p.G_HEADER_COUNT, HEADER_NAMES_MAX],
  ] as const;
  for (const [what, at, most] of counts) {
    const count = bytes.readUInt32LE(at);
    if (count > most) return `${count} ${what}, expected at most ${most}`;
  }
  const [profiles, steps, headers] = counts.map(([, at]) => bytes.readUInt32LE(at)) as [number, number, number];
  const expected = p.PROGRAM_BYTES + profiles * p.PROFILE_BYTES + steps * p.STEP_BYTES + headers * p.HEADER_NAME_BYTES;
  const flowAt = bytes.readUInt32LE(p.G_FLOW);
  if (flowAt !== 0 && flowAt !== expected) return `flow control at ${flowAt}, expected at ${expected}`;
  if (flowAt === 0 ? bytes.length !== expected : bytes.length < expected)
    return `${bytes.length} bytes, expected ${expected} for its counts`;
  return { profiles, steps, headers };
}

function readStep(
  bytes: Buffer,
  at: number,
  index: number,
  headers: readonly string[],
  heap: HeapReader,
): Step | string {
  const word = (offset: number): number => bytes.readUInt32LE(at + offset);
  const first = word(p.S_FIRST_HEADER);
  const end = first + word(p.S_HEADER_COUNT);
  if (end > headers.length) return `step ${index} has headers ${first}…${end} of ${headers.length}`;
  const number = (offset: number): number => bytes.readDoubleLE(at + offset);
  return {
    id: bytes.readUInt16LE(at + p.S_ID),
    name: heap.text(`name of step ${index}`, word(p.S_NAME_OFFSET), word(p.S_NAME_LENGTH), NAME_BYTES_MAX),
    flags: bytes.readUInt16LE(at + p.S_FLAGS),
    number: word(p.S_NUMBER),
    weight: number(p.S_WEIGHT),
    numbers: [number(p.S_P0), number(p.S_P1), number(p.S_P2), number(p.S_P3)],
    headers: headers.slice(first, end),
  };
}

function readProfile(
  bytes: Buffer,
  at: number,
  index: number,
  steps: readonly Step[],
  heap: HeapReader,
): Profile | string {
  const word = (offset: number): number => bytes.readUInt32LE(at + offset);
  const first = word(p.F_FIRST_STEP);
  const end = first + word(p.F_STEP_COUNT);
  if (end > steps.length) return `profile ${index} has steps ${first}…${end} of ${steps.length}`;
  const text = (what: string, offset: number, length: number): string =>
    heap.text(`${what} of profile ${index}`, word(offset), word(length), NAME_BYTES_MAX);
  return {
    name: text("name", p.F_NAME_OFFSET, p.F_NAME_LENGTH),
    steps: steps.slice(first, end),
    picker: word(p.F_PICKER),
    pickerName: text("picker", p.F_PICKER_NAME_OFFSET, p.F_PICKER_NAME_LENGTH),
    endpoints: word(p.F_ENDPOINTS),
  };
}

function settingsOf(bytes: Buffer, headers: readonly string[]): Omit<Program, "profiles" | "flow"> {
  const word = (at: number): number => bytes.readUInt32LE(at);
  const optional = (at: number): number | undefined => (word(at) === p.NONE ? undefined : word(at));
  const flags = word(p.G_FLAGS);
  return {
    handler: word(p.G_HANDLER),
    handlerHeader: headers[word(p.G_HANDLER_HEADER)],
    defaultProfile: optional(p.G_DEFAULT_PROFILE),
    primaryPort: word(p.G_PRIMARY_PORT),
    parsers: word(p.G_PARSERS),
    staleMs: word(p.G_STALE_MS),
    sessionHeader: headers[word(p.G_SESSION_HEADER)],
    prefix: {
      always: false,
      autoTune: (flags & p.AUTO_TUNE) !== 0,
      blockSize: word(p.G_BLOCK_SIZE),
      capacity: word(p.G_CAPACITY),
      maxTokens: word(p.G_MAX_TOKENS),
      maxBlocks: word(p.G_MAX_BLOCKS),
    },
    output: {
      counts: (flags & p.ADD_OUTPUT_TOKENS) !== 0,
      ratio: bytes.readDoubleLE(p.G_OUTPUT_RATIO),
      maxTokens: bytes.readDoubleLE(p.G_MAX_OUTPUT_TOKENS),
    },
    sessionTtlMs: bytes.readDoubleLE(p.G_SESSION_TTL_MS),
    coldSize: word(p.G_COLD_SIZE),
  };
}
