// What the agent shows to model servers and whom it trusts: files that come from secret stores.

import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { stampOf } from "../file-stamp.ts";
import type { Log } from "../log.ts";

/** Tokens are some hundred bytes; anything much larger is another file. */
const TOKEN_BYTES_MAX = 65_536;
/** How often a token's file is looked at, at most: those that orchestrators rotate overlap by minutes. */
const LOOK_INTERVAL_MS = 1_000;

export const AUTHORITIES_EXPECTED = "a PEM file with at least one certificate";
export const TOKEN_EXPECTED = "a file with one token in it, printable and without blanks";

/** The certificates of a PEM file, as PEM; undefined when it is not AUTHORITIES_EXPECTED. */
export function readAuthorities(path: string): readonly string[] | undefined {
  try {
    if (!statSync(path).isFile()) return undefined;
    const blocks = readFileSync(path, "latin1").match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
    return blocks?.map((block) => new X509Certificate(block).toString());
  } catch {
    return undefined;
  }
}

/** The token of a file, less the blanks and newlines around it; undefined when the file is not TOKEN_EXPECTED. */
export function readToken(path: string): string | undefined {
  try {
    const file = statSync(path);
    if (!file.isFile() || file.size > TOKEN_BYTES_MAX) return undefined;
    const token = readFileSync(path, "latin1").trim();
    return /^[\x21-\x7e]+$/.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
}

/** A token that is read again when its file changes. A file that has gone bad leaves the last good token in force. */
export class TokenFile {
  readonly #path: string;
  readonly #log: Log;
  #token: string;
  /** Of the file as it was last read. */
  #stamp: string;
  #lookedMs: number;

  /** Throws an Error with a sentence for the user. */
  constructor(path: string, nowMs: number, log: Log) {
    this.#path = path;
    this.#log = log;
    this.#lookedMs = nowMs;
    this.#stamp = stampOf(path);
    const token = readToken(path);
    if (token === undefined) throw new Error(`${path}: expected ${TOKEN_EXPECTED}`);
    this.#token = token;
  }

  /** `nowMs` is any clock that only goes forward. */
  token(nowMs: number): string {
    if (nowMs - this.#lookedMs < LOOK_INTERVAL_MS) return this.#token;
    this.#lookedMs = nowMs;
    const stamp = stampOf(this.#path);
    if (stamp === this.#stamp) return this.#token;
    this.#stamp = stamp;
    const token = readToken(this.#path);
    if (token === undefined) {
      this.#log("error", "the token for metrics cannot be read, the last one stays in use", {
        file: this.#path,
        expected: TOKEN_EXPECTED,
      });
    } else if (token !== this.#token) {
      this.#token = token;
      this.#log("info", "the token for metrics was read again", { file: this.#path });
    }
    return this.#token;
  }
}
