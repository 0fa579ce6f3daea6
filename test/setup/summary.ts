// The reporter behind "N passed, N failed": writes that line to the file that scripts/test prints last.

import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

export class SummaryReporter implements Reporter {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    // An error outside every test, or a file that could not be loaded, fails the run: it counts as one.
    let failed = unhandledErrors.length;
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      const failedTests = tests.filter((test) => test.result().state === "failed").length;
      passed += tests.filter((test) => test.result().state === "passed").length;
      failed += !module.ok() && failedTests === 0 ? 1 : failedTests;
    }
    if (passed === 0 && failed === 0) process.exitCode = 1;
    writeFileSync(this.#path, `${passed} passed, ${failed} failed\n`);
  }
}
