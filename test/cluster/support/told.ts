// What the processes of a test file have written, shown when a test of it fails.

import { beforeEach } from "vitest";

const LINES_SHOWN = 100;

/** To be called once in a test file. `lines` is asked after a test has failed. */
export function showWhenTestsFail(lines: () => readonly string[]): void {
  beforeEach(({ onTestFailed }) => {
    const before = lines().length;
    onTestFailed(() => console.error(lines().slice(before).slice(-LINES_SHOWN).join("\n")));
  });
}
