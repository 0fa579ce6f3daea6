// Compiles an entry of assembly/ for a test, as the release build compiles the filter.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { main } from "assemblyscript/asc";

const ROOT = new URL("../..", import.meta.url).pathname;
const RELEASE = ["-O3", "--converge", "--runtime", "stub", "--enable", "simd", "--exportStart", "_initialize"];
const OUT = "out.wasm";

/** Into memory. `entry`: its path below the root of the repository. */
export async function compileEntry(entry: string): Promise<WebAssembly.Module> {
  let wasm: Uint8Array | undefined;
  const options = [entry, "assembly/trap.ts", "--baseDir", ROOT, "--outFile", OUT];
  const { error, stderr } = await main([...options, ...RELEASE, "--use", "abort=assembly/trap/abort"], {
    readFile(name: string, baseDir: string): string | null {
      if (name === "asconfig.json") return null;
      try {
        return readFileSync(join(baseDir, name), "utf8");
      } catch {
        return null;
      }
    },
    writeFile(name: string, contents: Uint8Array | string): void {
      if (name === OUT) wasm = contents as Uint8Array;
    },
  });
  if (error !== null || wasm === undefined) throw new Error(stderr.toString());
  return new WebAssembly.Module(wasm);
}
