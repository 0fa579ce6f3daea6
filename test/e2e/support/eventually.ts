// Waits for a state that is reached by itself.

import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 5;

/**
 * Asks `probe` until what it gives passes `isReached`; resolves to that. Rejects after `limitMs` with
 * what it gave last.
 */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  isReached: (value: T) => boolean,
  limitMs = 5_000,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (isReached(value)) return value;
    if (performance.now() > deadline) {
      throw new Error(`not reached within ${limitMs} ms; at the end it was ${JSON.stringify(value)}`);
    }
    await sleep(POLL_MS);
  }
}
