// How fast and how large a simulated server is unless told otherwise.

import type { EngineOptions } from "./engine.ts";

const DEFAULTS: EngineOptions = {
  maxRunning: 64,
  blocks: 8192,
  blockSize: 16,
  startMs: 0,
  prefillTokensPerS: 20_000,
  decodeTokensPerS: 50,
  decodeSlowdown: 0.3,
  maxLoras: 4,
  loraLoadMs: 200,
};

/** The engine's part of `options`, with the defaults for what is not given. */
export function engineOptionsOf(options: Partial<EngineOptions>): EngineOptions {
  const given = Object.keys(DEFAULTS).map((key) => [key, options[key as keyof EngineOptions]]);
  return { ...DEFAULTS, ...Object.fromEntries(given.filter(([, value]) => value !== undefined)) };
}
