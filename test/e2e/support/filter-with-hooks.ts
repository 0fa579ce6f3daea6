// The filter with the hook that makes it trap on demand (assembly/test/hooks.ts), compiled as the
// release is.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "assemblyscript/asc";

const ROOT = join(import.meta.dirname, "../../..");

export interface BuiltFilter {
  readonly path: string;
  readonly remove: () => void;
}

/** Compiles it into a folder of its own. Rejects with the compiler's report when it does not compile. */
export async function buildFilterWithHooks(): Promise<BuiltFilter> {
  const dir = mkdtempSync(join(tmpdir(), "pointsman-filter-"));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  const path = join(dir, "filter.wasm");
  const { error, stderr } = await main(["--target", "release", "--baseDir", ROOT], {
    readFile: (name, baseDir) => (name === "asconfig.json" ? configWithHooks() : textOf(join(baseDir, name))),
    writeFile: (name, contents) => {
      if (name.endsWith(".wasm")) writeFileSync(path, contents);
    },
  });
  if (error === null) return { path, remove };
  remove();
  throw new Error(`The filter with hooks does not compile:\n${stderr.toString()}`);
}

/** The repository's own asconfig.json with the hooks as the entry. */
function configWithHooks(): string {
  const config = JSON.parse(readFileSync(join(ROOT, "asconfig.json"), "utf8")) as object;
  return JSON.stringify({ ...config, entries: ["assembly/test/hooks.ts", "assembly/trap.ts"] });
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
