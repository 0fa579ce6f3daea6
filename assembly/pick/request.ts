// What steps may ask about the request at hand: its model, tokens and headers. Computed when first asked.

import { ADD_OUTPUT_TOKENS, NEEDS_PREFIX } from "../../src/wire/program";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { hash } from "../abi/text";
import * as scanner from "../request/3_scan";
import * as model from "../request/model";
import * as prompt from "../request/prompt";
import * as programs from "../state/program";
import * as snapshot from "../state/snapshot";
import * as candidates from "./candidates";

let program: programs.Program = changetype<programs.Program>(0);
let texts: usize = 0;
let knownHash: u64 = 0;
/** When it is picked for. */
export let nowNs: u64 = 0;

let pool: snapshot.Pool = changetype<snapshot.Pool>(0);

/** Before a pick: of which pool, and when. */
export function begin(among: snapshot.Pool, at: u64): void {
  pool = among;
  program = snapshot.program(among);
  texts = snapshot.programTexts(among);
  nowNs = at;
  knownHash = 0;
}

/** The hash of a name that means something within the pool only. */
export function hashInPool(p: usize, length: u32): u64 {
  return hash(p, length) ^ hash(snapshot.poolName(pool), pool.nameLength);
}

export function sessionTtlNs(): u64 {
  return <u64>(program.sessionTtlMs * 1_000_000);
}

/** FNV-1a of the name of the model that the server is asked for; 0 when the request has none. */
export function modelHash(): u64 {
  if (knownHash == 0 && model.targetLength != 0) knownHash = hash(model.target, model.targetLength);
  return knownHash;
}

/** Tokens of all prompts. */
export function tokens(): u32 {
  return prompt.tokens;
}

/**
 * Tokens that candidate n has still to compute for this request: those of blocks it does not hold, what no
 * block covers, and an estimate of the output if the program wants one.
 */
export function tokensToCompute(n: u32): f64 {
  const all = <f64>prompt.tokens;
  let input = all;
  if ((program.flags & NEEDS_PREFIX) != 0 && candidates.blocks(n) != 0) {
    const indexed = <f64>candidates.blocks(n) * <f64>candidates.blockTokens(n);
    const held = <f64>candidates.matched(n) * <f64>candidates.blockTokens(n);
    input = max<f64>(0, indexed - held) + max<f64>(0, all - indexed);
  }
  return (program.flags & ADD_OUTPUT_TOKENS) != 0 ? input + outputTokens(all) : input;
}

function outputTokens(input: f64): f64 {
  if (input <= 0) return 0;
  let estimate = Math.floor(input * program.outputRatio + 0.5);
  const limit = scanner.maxOutput;
  if (limit >= 0) estimate = min<f64>(estimate, <f64>limit);
  return min<f64>(estimate, program.maxOutputTokens);
}

// ── Headers ──

/** What readHeader found: the value without blanks around it. */
export let value: usize = 0;
export let valueLength: u32 = 0;

/** Reads the request header that the program numbers `n`. False when it is not there or blank. */
export function readHeader(n: u32): bool {
  const name = texts + programs.headerOffset(program, n);
  if (!host.getHeaderNamed(REQUEST_HEADERS, name, programs.headerLength(program, n))) return false;
  value = host.data;
  valueLength = host.size;
  while (valueLength != 0 && isBlank(load<u8>(value))) {
    ++value;
    --valueLength;
  }
  while (valueLength != 0 && isBlank(load<u8>(value + valueLength - 1))) --valueLength;
  return valueLength != 0;
}

function isBlank(c: u8): bool {
  return c == 0x20 || c == 0x09;
}
