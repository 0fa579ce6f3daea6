// The flags that say how metrics pages are asked for, common to `agent` and `up`.

import { ACCESS_DEFAULT, type AccessOptions } from "../control/scrape/access.ts";
import { AUTHORITIES_EXPECTED, readAuthorities, readToken, TOKEN_EXPECTED } from "../control/scrape/credentials.ts";
import { choice, type FlagValues, type Kind, SWITCH, URL_PATH, UsageError } from "./flags.ts";

/** A file, which has what is expected in it. */
function fileWith(expected: string, read: (path: string) => unknown): Kind<string> {
  return { placeholder: "FILE", expected, parse: (path) => (read(path) === undefined ? undefined : path) };
}

export const scrapeFlags = {
  "metrics-scheme": { kind: choice("http", "https"), help: "of the model servers' metrics pages (default http)" },
  "metrics-path": { kind: URL_PATH, help: "of the metrics pages (default /metrics)" },
  "metrics-ca": {
    kind: fileWith(AUTHORITIES_EXPECTED, readAuthorities),
    help: "who may have signed the model servers' certificates (default: the authorities Node knows)",
  },
  "metrics-insecure-skip-verify": { kind: SWITCH, help: "takes any certificate of a model server" },
  "metrics-token-file": {
    kind: fileWith(TOKEN_EXPECTED, readToken),
    help: "bearer token for the metrics pages, read again when the file changes",
  },
} as const;

/** The flags as the agent takes them. */
export function scrapeAccess(command: string, given: FlagValues<typeof scrapeFlags>): AccessOptions {
  const scheme = given["metrics-scheme"] ?? ACCESS_DEFAULT.scheme;
  const caFile = given["metrics-ca"];
  const insecureSkipVerify = given["metrics-insecure-skip-verify"];
  const path = given["metrics-path"] ?? ACCESS_DEFAULT.path;
  const tokenFile = given["metrics-token-file"];
  const aboutTls = caFile !== undefined ? "--metrics-ca" : insecureSkipVerify ? "--metrics-insecure-skip-verify" : "";
  if (scheme === "http" && aboutTls !== "") {
    throw new UsageError(`pointsman ${command}: ${aboutTls}: expected with --metrics-scheme https only`);
  }
  if (caFile !== undefined && insecureSkipVerify) {
    const contrary = "--metrics-insecure-skip-verify, which checks nothing";
    throw new UsageError(`pointsman ${command}: --metrics-ca ${caFile}: expected without ${contrary}`);
  }
  return { scheme, path, caFile, insecureSkipVerify, tokenFile };
}

/** The flags again, for the agent that `up` starts. */
export function scrapeArguments(access: AccessOptions): readonly string[] {
  const { scheme, path, caFile, insecureSkipVerify, tokenFile } = access;
  return [
    `--metrics-scheme=${scheme}`,
    `--metrics-path=${path}`,
    ...(caFile === undefined ? [] : [`--metrics-ca=${caFile}`]),
    ...(insecureSkipVerify ? ["--metrics-insecure-skip-verify"] : []),
    ...(tokenFile === undefined ? [] : [`--metrics-token-file=${tokenFile}`]),
  ];
}
