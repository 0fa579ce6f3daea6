// Where this program's own files are: in a checkout, or beside the bundle in an image.

import { basename, join, resolve } from "node:path";

const BUNDLED = basename(import.meta.filename) !== "paths.ts";

/** The file that Node runs for `pointsman …`. */
export const ENTRY_PATH = BUNDLED ? import.meta.filename : join(import.meta.dirname, "main.ts");

/** The compiled filters: `make build` puts them into build/, the image beside the bundle. */
const BUILD = BUNDLED ? import.meta.dirname : resolve(import.meta.dirname, "../../build");

/** Reads the bodies of responses: token counts, times per token, the caller's name of the model put back. */
export const USAGE_FILTER_PATH = join(BUILD, "filter-usage.wasm");

/** Lets the bodies of responses pass without a call: no chunk of a stream costs anything. */
export const LEAN_FILTER_PATH = join(BUILD, "filter.wasm");
