// Waiting for what comes about by itself.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";

/** Looks every few milliseconds until `look` gives something; fails with `what` after `limitMs`. */
export async function until<T>(what: string, look: () => T | undefined | false, limitMs = 3_000): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`did not come within ${limitMs} ms: ${what}`);
    await sleep(3);
  }
}

/** A directory that the running test's end removes. */
export function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "pointsman-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
