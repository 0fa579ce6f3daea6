// The flags that say how metrics pages are asked for, common to `agent` and `up`.

import { ACCESS_DEFAULT, type AccessOptions, accessProblem } from "../control/scrape/access.ts";
import { AUTHORITIES_EXPECTED, readAuthorities, readToken, TOKEN_EXPECTED } from "../control/scrape/credentials.ts";
import { choice, type FlagValues, type Kind, SWITCH, URL_PATH, UsageError } from "./flags.ts";
import { present } from "./present.ts";

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

/** What the flags say; the rest is for a configuration to say. */
export function scrapeAccess(
  command: string,
  given: FlagValues<typeof scrapeFlags> & { readonly config?: string | undefined },
): Partial<AccessOptions> {
  const scheme = given["metrics-scheme"] ?? (given.config === undefined ? ACCESS_DEFAULT.scheme : undefined);
  const access = present({
    scheme,
    path: given["metrics-path"],
    caFile: given["metrics-ca"],
    insecureSkipVerify: given["metrics-insecure-skip-verify"],
    tokenFile: given["metrics-token-file"],
  });
  const problem = accessProblem(access);
  if (problem !== undefined) throw new UsageError(`pointsman ${command}: ${problem}`);
  return access;
}

/** The flags again, for the agent that `up` starts. */
export function scrapeArguments(access: Partial<AccessOptions>): readonly string[] {
  const { scheme, path, caFile, insecureSkipVerify, tokenFile } = access;
  return [
    ...(scheme === undefined ? [] : [`--metrics-scheme=${scheme}`]),
    ...(path === undefined ? [] : [`--metrics-path=${path}`]),
    ...(caFile === undefined ? [] : [`--metrics-ca=${caFile}`]),
    ...(insecureSkipVerify ? ["--metrics-insecure-skip-verify"] : []),
    ...(tokenFile === undefined ? [] : [`--metrics-token-file=${tokenFile}`]),
  ];
}
