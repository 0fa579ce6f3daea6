// How many simulated servers there are, and what each can do.

import type { SimOptions } from "../../src/sim/server.ts";

export const SERVERS = 8;

/** As of a model of some ten billion parameters on a small GPU, with memory for 32,768 tokens. */
export const SPEED = {
  maxRunning: 16,
  blocks: 2_049,
  blockSize: 16,
  prefillTokensPerS: 8_000,
  decodeTokensPerS: 40,
  decodeSlowdown: 0.3,
} as const satisfies SimOptions;
