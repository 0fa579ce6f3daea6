// Which pool a request belongs to, and what that pool wants to know of it.

import { NEEDS_LENGTH, NEEDS_PREFIX, NEEDS_TOKENS, PARSERS_DEFAULT } from "../../src/wire/program";
import { monotonicNs } from "../abi/clock";
import * as configs from "../config";
import { hearIfDue } from "../share/sync";
import * as snapshot from "../state/snapshot";
import { NO_POOL } from "../state/stats";

const NEEDS_PROMPT: u32 = NEEDS_PREFIX | NEEDS_TOKENS | NEEDS_LENGTH;

/** Number of the pool, or NO_POOL. */
export function poolOf(config: configs.Config): u32 {
  if (config.defaultPoolLength == 0) return snapshot.poolCount == 1 ? 0 : NO_POOL;
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const pool = snapshot.pool(n);
    if (pool.nameLength != config.defaultPoolLength) continue;
    if (memory.compare(snapshot.poolName(pool), configs.defaultPool(config), pool.nameLength) == 0) return n;
  }
  return NO_POOL;
}

/** The bits of the APIs whose requests the pool reads. */
export function parsersOf(config: configs.Config): u32 {
  if (snapshot.epoch == 0) hearIfDue(monotonicNs());
  const pool = poolOf(config);
  return pool == NO_POOL ? PARSERS_DEFAULT : snapshot.program(snapshot.pool(pool)).parsers;
}

/** Whether the pool's program asks for the prompt, and not only for the model. */
export function readsPrompt(config: configs.Config): bool {
  const pool = poolOf(config);
  return pool != NO_POOL && (snapshot.program(snapshot.pool(pool)).flags & NEEDS_PROMPT) != 0;
}
