// An open loop: requests come when they come, whether the servers keep up or not.

import { setTimeout as sleep } from "node:timers/promises";
import type { Words } from "./words.ts";

/** A request may be sent this much later than planned. */
const TICK_MS = 5;

/** Calls `send` at random moments, `ratePerS` times a second on the average; resolves after the last. */
export async function openLoop(words: Words, ratePerS: number, seconds: number, send: () => void): Promise<void> {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  for (let dueMs = startMs; ; dueMs += words.gap(1000 / ratePerS)) {
    if (dueMs >= endMs) return;
    while (performance.now() < dueMs) await sleep(TICK_MS);
    send();
  }
}
