// Builds build/filter.wasm and build/filter-usage.wasm when a source of them is newer. Run by `make build` and
// by the test set-up.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");
const BUILD = join(ROOT, "build");
const SOURCES = ["assembly", "src/wire", "asconfig.json", "package-lock.json"];

/** A module: its target in asconfig.json, and the entries it has beside those named there. */
interface Build {
  readonly file: string;
  readonly target: string;
  readonly entries: readonly string[];
}

const BUILDS: readonly Build[] = [
  { file: "filter.wasm", target: "release", entries: [] },
  { file: "filter-usage.wasm", target: "usage", entries: ["assembly/usage.ts"] },
];

if (import.meta.main) {
  const problem = buildFilter();
  if (problem !== undefined) {
    console.error(problem);
    process.exit(1);
  }
}

/** Compiles what is out of date of the two. Returns the compiler's report when one does not compile. */
export function buildFilter(): string | undefined {
  const changed = Math.max(...SOURCES.map((source) => newestMs(join(ROOT, source))));
  for (const build of BUILDS) {
    const problem = modifiedMs(join(BUILD, build.file)) >= changed ? undefined : compile(build);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function compile({ file, target, entries }: Build): string | undefined {
  const started = Date.now();
  mkdirSync(BUILD, { recursive: true });
  // A folder of its own and a rename: a test run and a build at the same time see whole files only.
  const work = mkdtempSync(join(BUILD, "asc-"));
  try {
    const asc = join(ROOT, "node_modules/assemblyscript/bin/asc.js");
    const args = [asc, ...entries, "--target", target, "--outFile", join(work, file)];
    const done = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
    if (done.status !== 0) return `${file} does not compile:\n${done.stdout}${done.stderr}`.trimEnd();
    renameSync(join(work, `${file}.map`), join(BUILD, `${file}.map`));
    renameSync(join(work, file), join(BUILD, file));
    console.log(`Built build/${file} (${statSync(join(BUILD, file)).size} bytes, ${Date.now() - started} ms)`);
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
