// How metrics pages are asked for: scheme and path, whom to trust, which token to show.

import { createSecureContext } from "node:tls";
import { Client } from "undici";
import type { Log } from "../log.ts";
import { AUTHORITIES_EXPECTED, readAuthorities, TokenFile } from "./credentials.ts";

export type AccessOptions = {
  readonly scheme: "http" | "https";
  /** Begins with a slash; may have a query. */
  readonly path: string;
  /** PEM file of who may have signed the servers' certificates; undefined for the authorities that Node knows. */
  readonly caFile?: string | undefined;
  /** The certificates in that file, where they have been read already. */
  readonly authorities?: readonly string[] | undefined;
  /** Any certificate will do. */
  readonly insecureSkipVerify?: boolean | undefined;
  /** Holds the bearer token to show. Looked at again while the agent runs. */
  readonly tokenFile?: string | undefined;
};

export const ACCESS_DEFAULT: AccessOptions = { scheme: "http", path: "/metrics" };

/** Settings of flags and of a document together: where both say something, the flags count. */
export function accessOf(flags: Partial<AccessOptions>, document: Partial<AccessOptions>): AccessOptions {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const isDecided = flags.scheme === "http" || flags.caFile !== undefined || flags.insecureSkipVerify === true;
  const { caFile: _caFile, authorities: _authorities, insecureSkipVerify: _insecure, ...withoutTrust } = document;
  // Flags about certificates mean https, also where a document says otherwise or cannot be read.
  const implied = flags.caFile !== undefined || flags.insecureSkipVerify === true ? { scheme: "https" as const } : {};
  return { ...ACCESS_DEFAULT, ...(isDecided ? withoutTrust : document), ...implied, ...given };
}

/** Why these settings contradict each other; undefined when they do not. */
export function accessProblem({ scheme, caFile, insecureSkipVerify }: Partial<AccessOptions>): string | undefined {
  const aboutTls = caFile !== undefined ? "--metrics-ca" : insecureSkipVerify ? "--metrics-insecure-skip-verify" : "";
  if (scheme === "http" && aboutTls !== "") return `${aboutTls}: expected with --metrics-scheme https only`;
  if (caFile === undefined || !insecureSkipVerify) return undefined;
  return `--metrics-ca ${caFile}: expected without --metrics-insecure-skip-verify, which checks nothing`;
}

type Request = {
  readonly path: string;
  readonly method: "GET";
  readonly headers: Readonly<Record<string, string>>;
};

const HEADERS = { accept: "text/plain;version=0.0.4", "user-agent": "pointsman" } as const;

/** The same for all endpoints. */
export class Access {
  readonly #options: AccessOptions;
  readonly #connection: Client.Options;
  readonly #tokenFile: TokenFile | undefined;
  #token = "";
  #request: Request;

  /** Throws an Error with a sentence for the user when a file cannot be used. */
  constructor(options: AccessOptions, log: Log) {
    const problem = accessProblem(options);
    if (problem !== undefined) throw new Error(problem);
    this.#options = options;
    this.#connection = connectionOf(options);
    this.#request = { path: options.path, method: "GET", headers: HEADERS };
    const { tokenFile } = options;
    this.#tokenFile = tokenFile === undefined ? undefined : new TokenFile(tokenFile, performance.now(), log);
  }

  /** A connection, made when first used, to `ip:port`. */
  connect(address: string): Client {
    return new Client(`${this.#options.scheme}://${address}`, this.#connection);
  }

  /** What to ask for now. */
  request(): Request {
    const token = this.#tokenFile?.token(performance.now());
    if (token !== undefined && token !== this.#token) {
      this.#token = token;
      this.#request = { ...this.#request, headers: { ...HEADERS, authorization: `Bearer ${token}` } };
    }
    return this.#request;
  }
}

/** Time limits are ours (see Scrape): undici's are in steps of half a second. */
function connectionOf(options: AccessOptions): Client.Options {
  const plain = { headersTimeout: 0, bodyTimeout: 0, pipelining: 1, allowH2: false };
  if (options.scheme === "http") return plain;
  const { caFile, authorities, insecureSkipVerify = false } = options;
  const ca = authorities ?? (caFile === undefined ? undefined : readAuthorities(caFile));
  if (caFile !== undefined && ca === undefined) throw new Error(`${caFile}: expected ${AUTHORITIES_EXPECTED}`);
  // Made once: a context per connection would read the certificates each time.
  const secureContext = createSecureContext(ca === undefined ? {} : { ca: [...ca] });
  return { ...plain, connect: { secureContext, rejectUnauthorized: !insecureSkipVerify } };
}
