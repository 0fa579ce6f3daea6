// Where this program's own files are: in a checkout, or beside the bundle in an image.

import { basename, join, resolve } from "node:path";

const BUNDLED = basename(import.meta.filename) !== "paths.ts";

/** The file that Node runs for `pointsman …`. */
export const ENTRY_PATH = BUNDLED ? import.meta.filename : join(import.meta.dirname, "main.ts");

/** The compiled filter: `make build` puts it into build/, the image beside the bundle. */
export const FILTER_PATH = BUNDLED
  ? join(import.meta.dirname, "filter.wasm")
  : resolve(import.meta.dirname, "../../build/filter.wasm");
