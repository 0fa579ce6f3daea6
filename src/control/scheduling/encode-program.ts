// Programs to bytes, as src/wire/program.ts lays them out.

import * as p from "../../wire/program.ts";
import type { Heap } from "../heap.ts";
import { encodeFlow } from "./encode-flow.ts";
import { needsOf, type Profile, type Program, type Step } from "./program.ts";

/** Names of headers by number. A step's headers have numbers in a row. */
class HeaderNames {
  readonly names: string[] = [];

  /** The number of the first; NONE for no name. */
  place(wanted: readonly string[]): number {
    if (wanted.length === 0) return p.NONE;
    for (let at = 0; at + wanted.length <= this.names.length; ++at)
      if (wanted.every((name, i) => this.names[at + i] === name)) return at;
    return this.names.push(...wanted) - wanted.length;
  }
}

/** How many header names the program has on the wire. */
export function headerCountOf(program: Program): number {
  return headerNames(program).names.length;
}

function headerNames(program: Program): HeaderNames {
  const headers = new HeaderNames();
  for (const { steps } of program.profiles) for (const step of steps) headers.place(step.headers);
  if (program.handlerHeader !== undefined) headers.place([program.handlerHeader]);
  if (program.sessionHeader !== undefined) headers.place([program.sessionHeader]);
  return headers;
}

/** The same program always gives the same bytes. Texts go to `heap`. */
export function encodeProgram(program: Program, heap: Heap): Buffer {
  const { profiles } = program;
  const headers = headerNames(program);
  const steps = profiles.flatMap((profile) => profile.steps);
  const stepsAt = p.PROGRAM_BYTES + profiles.length * p.PROFILE_BYTES;
  const headersAt = stepsAt + steps.length * p.STEP_BYTES;
  const flowAt = headersAt + headers.names.length * p.HEADER_NAME_BYTES;
  const flow = encodeFlow(program.flow);
  const bytes = Buffer.alloc(flowAt + flow.length);
  bytes.writeUInt32LE(profiles.length, p.G_PROFILE_COUNT);
  bytes.writeUInt32LE(steps.length, p.G_STEP_COUNT);
  bytes.writeUInt32LE(headers.names.length, p.G_HEADER_COUNT);
  bytes.writeUInt32LE(flow.length === 0 ? 0 : flowAt, p.G_FLOW);
  flow.copy(bytes, flowAt);
  writeSettings(bytes, program, headers);
  let firstStep = 0;
  profiles.forEach((profile, i) => {
    writeProfile(bytes, p.PROGRAM_BYTES + i * p.PROFILE_BYTES, profile, firstStep, heap);
    firstStep += profile.steps.length;
  });
  steps.forEach((step, i) => {
    writeStep(bytes, stepsAt + i * p.STEP_BYTES, step, headers, heap);
  });
  headers.names.forEach((name, i) => {
    const { offset, length } = heap.place(name);
    bytes.writeUInt32LE(offset, headersAt + i * p.HEADER_NAME_BYTES);
    bytes.writeUInt32LE(length, headersAt + i * p.HEADER_NAME_BYTES + 4);
  });
  return bytes;
}

function writeSettings(bytes: Buffer, program: Program, headers: HeaderNames): void {
  const { handlerHeader, sessionHeader, prefix, output } = program;
  const flags = needsOf(program) | (prefix.autoTune ? p.AUTO_TUNE : 0) | (output.counts ? p.ADD_OUTPUT_TOKENS : 0);
  const numberOf = (name: string | undefined): number => headers.place(name === undefined ? [] : [name]);
  bytes.writeUInt32LE(flags, p.G_FLAGS);
  bytes.writeUInt32LE(program.handler, p.G_HANDLER);
  bytes.writeUInt32LE(numberOf(handlerHeader), p.G_HANDLER_HEADER);
  bytes.writeUInt32LE(program.defaultProfile ?? p.NONE, p.G_DEFAULT_PROFILE);
  bytes.writeUInt32LE(program.primaryPort, p.G_PRIMARY_PORT);
  bytes.writeUInt32LE(program.parsers, p.G_PARSERS);
  bytes.writeUInt32LE(program.staleMs, p.G_STALE_MS);
  bytes.writeUInt32LE(numberOf(sessionHeader), p.G_SESSION_HEADER);
  bytes.writeUInt32LE(prefix.blockSize, p.G_BLOCK_SIZE);
  bytes.writeUInt32LE(prefix.capacity, p.G_CAPACITY);
  bytes.writeUInt32LE(prefix.maxTokens, p.G_MAX_TOKENS);
  bytes.writeUInt32LE(prefix.maxBlocks, p.G_MAX_BLOCKS);
  bytes.writeDoubleLE(output.ratio, p.G_OUTPUT_RATIO);
  bytes.writeDoubleLE(output.maxTokens, p.G_MAX_OUTPUT_TOKENS);
  bytes.writeDoubleLE(program.sessionTtlMs, p.G_SESSION_TTL_MS);
  bytes.writeUInt32LE(program.coldSize, p.G_COLD_SIZE);
}

function writeProfile(bytes: Buffer, at: number, profile: Profile, firstStep: number, heap: Heap): void {
  const name = heap.place(profile.name);
  const pickerName = heap.place(profile.pickerName);
  bytes.writeUInt32LE(name.offset, at + p.F_NAME_OFFSET);
  bytes.writeUInt32LE(name.length, at + p.F_NAME_LENGTH);
  bytes.writeUInt32LE(firstStep, at + p.F_FIRST_STEP);
  bytes.writeUInt32LE(profile.steps.length, at + p.F_STEP_COUNT);
  bytes.writeUInt32LE(profile.picker, at + p.F_PICKER);
  bytes.writeUInt32LE(profile.endpoints, at + p.F_ENDPOINTS);
  bytes.writeUInt32LE(pickerName.offset, at + p.F_PICKER_NAME_OFFSET);
  bytes.writeUInt32LE(pickerName.length, at + p.F_PICKER_NAME_LENGTH);
}

function writeStep(bytes: Buffer, at: number, step: Step, headers: HeaderNames, heap: Heap): void {
  const name = heap.place(step.name);
  bytes.writeUInt16LE(step.id, at + p.S_ID);
  bytes.writeUInt16LE(step.flags, at + p.S_FLAGS);
  bytes.writeUInt32LE(step.number, at + p.S_NUMBER);
  bytes.writeDoubleLE(step.weight, at + p.S_WEIGHT);
  step.numbers.forEach((value, i) => {
    bytes.writeDoubleLE(value, at + p.S_P0 + i * 8);
  });
  bytes.writeUInt32LE(step.headers.length === 0 ? 0 : headers.place(step.headers), at + p.S_FIRST_HEADER);
  bytes.writeUInt32LE(step.headers.length, at + p.S_HEADER_COUNT);
  bytes.writeUInt32LE(name.offset, at + p.S_NAME_OFFSET);
  bytes.writeUInt32LE(name.length, at + p.S_NAME_LENGTH);
}
