// The filter with a hook: one that makes it trap on demand (assembly/test/hooks.ts), or one that renames
// models (assembly/test/renames.ts), compiled as what is shipped.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "assemblyscript/asc";

const ROOT = join(import.meta.dirname, "../../..");

export interface BuiltFilter {
  readonly path: string;
  readonly remove: () => void;
}

/**
 * Compiles it into a folder of its own, by a target of asconfig.json. Rejects with the compiler's report when it
 * does not compile.
 */
export async function buildFilterWithHooks(
  entry = "assembly/test/hooks.ts",
  target: "release" | "usage" = "release",
): Promise<BuiltFilter> {
  const dir = mkdtempSync(join(tmpdir(), "pointsman-filter-"));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  const path = join(dir, "filter.wasm");
  const { error, stderr } = await main(["--target", target, "--baseDir", ROOT], {
    readFile: (name, baseDir) => (name === "asconfig.json" ? configWith(entry) : textOf(join(baseDir, name))),
    writeFile: (name, contents) => {
      if (name.endsWith(".wasm")) writeFileSync(path, contents);
    },
  });
  if (error === null) return { path, remove };
  remove();
  throw new Error(`The filter with hooks does not compile:\n${stderr.toString()}`);
}

/** The repository's own asconfig.json with another entry. */
function configWith(entry: string): string {
  const config = JSON.parse(readFileSync(join(ROOT, "asconfig.json"), "utf8")) as object;
  return JSON.stringify({ ...config, entries: [entry, "assembly/trap.ts"] });
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
