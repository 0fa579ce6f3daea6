// Parts of the filter alone, inside V8: compiled with an entry that does nothing else, and called without Envoy.

import { type Imports, instantiateSync } from "@assemblyscript/loader";
import { compileEntry } from "../test/host/compile.ts";

type Started = { _initialize(): void };

/** The host's status for what is not there. */
const NOT_FOUND = 1;

/** An instance of the entry; every function of the host that it imports answers that there is nothing. */
export async function startEntry<Exports extends object>(path: string): Promise<Exports> {
  const module = await compileEntry(path);
  const imports: Record<string, Record<string, () => number>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] = { ...imports[from], [name]: () => NOT_FOUND };
  }
  // The type knows only the names of env that the loader itself fills.
  const { exports } = instantiateSync<Exports & Started>(module, imports as object as Imports);
  exports._initialize();
  return exports;
}
