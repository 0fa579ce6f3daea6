// The last line of `make test`: what the reporter counts.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../setup/source-files.ts";

// Below the repository, so that the trial's files find vitest.
let dir: string;
beforeAll(() => {
  mkdirSync(join(ROOT, "build"), { recursive: true });
  dir = mkdtempSync(join(ROOT, "build/summary-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const PASS = 'test("good", () => {});';
const FAIL = 'test("bad", () => { throw new Error("bad"); });';

/** Runs vitest over these files in a folder of its own. */
function trial(name: string, files: Readonly<Record<string, string>>): { summary: string; status: number | null } {
  const root = join(dir, name);
  const summary = join(root, "summary");
  mkdirSync(root);
  for (const [file, text] of Object.entries(files)) {
    writeFileSync(join(root, file), `import { test } from "vitest";\n${text}\n`);
  }
  const reporter = join(ROOT, "test/setup/summary.ts");
  const config = `import { SummaryReporter } from ${JSON.stringify(reporter)};
export default { test: { reporters: [new SummaryReporter(${JSON.stringify(summary)})] } };\n`;
  writeFileSync(join(root, "vitest.config.ts"), config);
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const done = spawnSync(process.execPath, [vitest, "run", "--root", root], { encoding: "utf8" });
  return { summary: readFileSync(summary, "utf8"), status: done.status };
}

test("passed tests", () => {
  const files = { "a.test.ts": PASS + PASS, "b.test.ts": `${PASS} test.skip("later", () => {});` };
  expect(trial("passed", files)).toEqual({ summary: "3 passed, 0 failed\n", status: 0 });
});

test("failed tests, files that do not load and errors outside tests", () => {
  const files = {
    "a.test.ts": PASS + FAIL + FAIL,
    "b.test.ts": 'throw new Error("broken");',
    "c.test.ts": `${PASS} Promise.reject(new Error("stray"));`,
  };
  expect(trial("failed", files)).toEqual({ summary: "2 passed, 4 failed\n", status: 1 });
});

test("no test at all is a failure", () => {
  expect(trial("none", { "a.ts": "" })).toEqual({ summary: "0 passed, 0 failed\n", status: 1 });
  expect(trial("skipped", { "a.test.ts": 'test.skip("later", () => {});' })).toMatchObject({ status: 1 });
});
