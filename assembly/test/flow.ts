// Test entry: what the settings of flow control answer, without requests.

import { BAND_BYTES, FLOW_BYTES } from "../../src/wire/flow";
import * as scratch from "../abi/scratch";
import * as defaults from "../state/default_program";
import * as settings from "../state/flow_settings";
import { isGood, Program } from "../state/program";

const PROGRAM_BYTES_MAX: u32 = 65_536;
const buffer: usize = heap.alloc(PROGRAM_BYTES_MAX);
let program: Program = defaults.program;

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.take(size);
}

/** Where a test writes a program. */
export function bufferPointer(): usize {
  return buffer;
}

/** Takes the program in the buffer, if it is good. */
export function take(length: u32, heapLength: u32): bool {
  if (!isGood(buffer, length, heapLength)) return false;
  program = changetype<Program>(buffer);
  return true;
}

export function takeDefaults(): void {
  program = defaults.program;
}

/** FLOW and its two default bands. */
export function flowPointer(): usize {
  return changetype<usize>(settings.flow(program));
}

export function flowBytes(): u32 {
  return FLOW_BYTES + settings.flow(program).bandCount * BAND_BYTES;
}

/** The number of the band that counts. */
export function bandOf(priority: i32): u32 {
  const flow = settings.flow(program);
  const first = changetype<usize>(flow) + FLOW_BYTES;
  return <u32>(changetype<usize>(settings.band(flow, priority)) - first) / BAND_BYTES;
}

export function ceilingOf(priority: i32): f64 {
  return settings.ceiling(settings.flow(program), priority);
}
