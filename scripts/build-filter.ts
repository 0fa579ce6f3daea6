// Builds build/filter.wasm when a source of it is newer. Run by `make build` and by the test set-up.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");
const BUILD = join(ROOT, "build");
const WASM = join(BUILD, "filter.wasm");
const SOURCES = ["assembly", "src/wire", "asconfig.json", "package-lock.json"];

if (import.meta.main) {
  const problem = buildFilter();
  if (problem !== undefined) {
    console.error(problem);
    process.exit(1);
  }
}

/** Compiles the filter if it is out of date. Returns the compiler's report when it does not compile. */
export function buildFilter(): string | undefined {
  const built = modifiedMs(WASM);
  if (built > 0 && built >= Math.max(...SOURCES.map((source) => newestMs(join(ROOT, source))))) return undefined;
  const started = Date.now();
  mkdirSync(BUILD, { recursive: true });
  // A folder of its own and a rename: a test run and a build at the same time see whole files only.
  const work = mkdtempSync(join(BUILD, "asc-"));
  try {
    const asc = join(ROOT, "node_modules/assemblyscript/bin/asc.js");
    const args = [asc, "--target", "release", "--outFile", join(work, "filter.wasm")];
    const done = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
    if (done.status !== 0) return `The filter does not compile:\n${done.stdout}${done.stderr}`.trimEnd();
    renameSync(join(work, "filter.wasm.map"), `${WASM}.map`);
    renameSync(join(work, "filter.wasm"), WASM);
    console.log(`Built build/filter.wasm (${statSync(WASM).size} bytes, ${Date.now() - started} ms)`);
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function newestMs(path: string): number {
  if (!statSync(path).isDirectory()) return modifiedMs(path);
  const names = readdirSync(path, { recursive: true, withFileTypes: true });
  return Math.max(0, ...names.filter((e) => e.isFile()).map((e) => modifiedMs(join(e.parentPath, e.name))));
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
