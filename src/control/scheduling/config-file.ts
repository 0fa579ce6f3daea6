// The file with the EndpointPickerConfig, watched with the files that it names. A changed document takes force when it
// has no error; one with errors leaves the last one in force. As with folders of objects, the system's notice makes
// things fast and a poll makes them sure: a ConfigMap's files are links whose target changes, and editors rename.

import { type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import type { Log } from "../log.ts";
import { readAuthorities } from "../scrape/credentials.ts";
import { type Compiled, compileConfig } from "./compile.ts";
import type { Complaint } from "./document.ts";
import type { Scheduling } from "./scheduling.ts";

const POLL_MS = 250;
/** A changed file is read when it has stayed the same this long: writers that do not rename write in pieces. */
const SETTLE_MS = 30;
/** A file that vanished or became empty is believed after this: editors move the old file away first. */
const GONE_MS = 150;
/** A file that never settles is read all the same. */
const UNSETTLED_MS = 500;
const FILE_BYTES_MAX = 1_048_576;

export type ConfigFileOptions = {
  readonly path: string;
  readonly log: Log;
  /** Called when the file has been read again, be there errors in it or not. */
  readonly onChange: () => void;
};

type Text = { readonly text: string } | { readonly unread: string };

/** The document of a file as it is now. `stamps` gets those of all files that are read, by path. */
export function readConfig(path: string, stamps: Map<string, string> = new Map()): Compiled {
  stamps.set(path, stampOf(path));
  const read = readText(path);
  const authorities = (file: string): readonly string[] | undefined => {
    stamps.set(file, stampOf(file));
    return readAuthorities(file);
  };
  if ("text" in read) return compileConfig(read.text, authorities);
  return { ok: false, errors: [{ line: 1, column: 1, message: read.unread }], warnings: [] };
}

/** A complaint with its place, as compilers write it. */
export function told(path: string, { line, column, message }: Complaint): string {
  return `${path}:${line}:${column}: ${message}`;
}

function readText(path: string): Text {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > FILE_BYTES_MAX)
      return { unread: `file has ${bytes.length} bytes, expected at most ${FILE_BYTES_MAX}` };
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch (error) {
    return { unread: `file cannot be read, expected UTF-8 text: ${(error as Error).message}` };
  }
}

export class ConfigFile {
  readonly #options: ConfigFileOptions;
  readonly #poll: NodeJS.Timeout;
  #watcher: FSWatcher | undefined;
  #soon: NodeJS.Timeout | undefined;
  /** Of the file and of those that the document names, as they were last read. */
  #stamps: ReadonlyMap<string, string> = new Map();
  /** A newer state that has to settle first, since when it is seen, and since when the file is changing at all. */
  #pending: { readonly stamp: string; readonly sinceMs: number; readonly changingSinceMs: number } | undefined;
  #warned = new Set<string>();
  #errors: readonly Complaint[] = [];
  #scheduling: Scheduling | undefined;
  /** Errors found since the start. */
  errorsTotal = 0;

  /** Reads the file once and goes on watching it. */
  constructor(options: ConfigFileOptions) {
    this.#options = options;
    this.#read(true);
    this.#watch();
    this.#poll = setInterval(() => {
      this.#watch();
      this.#look();
    }, POLL_MS);
  }

  /** The last document without an error; undefined before the first. */
  scheduling(): Scheduling | undefined {
    return this.#scheduling;
  }

  /** What is wrong with the file at present. */
  errors(): readonly Complaint[] {
    return this.#errors;
  }

  stop(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#soon);
    this.#watcher?.close();
  }

  #watch(): void {
    if (this.#watcher) return;
    try {
      const watcher = watch(dirname(this.#options.path), () => this.#lookSoon(5));
      watcher.on("error", () => {
        watcher.close();
        this.#watcher = undefined;
      });
      this.#watcher = watcher;
    } catch {
      this.#watcher = undefined;
    }
  }

  #lookSoon(delayMs: number): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#look();
    }, delayMs);
  }

  #look(): void {
    const now = [...this.#stamps.keys()].map(stampOf);
    const stamp = now.join("\n");
    if (stamp === [...this.#stamps.values()].join("\n")) {
      this.#pending = undefined;
      return;
    }
    const nowMs = performance.now();
    if (this.#pending?.stamp !== stamp)
      this.#pending = { stamp, sinceMs: nowMs, changingSinceMs: this.#pending?.changingSinceMs ?? nowMs };
    const settleMs = now.some((each) => each === "" || each.startsWith("0 ")) ? GONE_MS : SETTLE_MS;
    const { sinceMs, changingSinceMs } = this.#pending;
    if (nowMs - sinceMs < settleMs && nowMs - changingSinceMs < UNSETTLED_MS) {
      this.#lookSoon(SETTLE_MS + 5);
      return;
    }
    this.#pending = undefined;
    this.#read(false);
  }

  #read(first: boolean): void {
    const { path, log, onChange } = this.#options;
    const stamps = new Map<string, string>();
    const reading = readConfig(path, stamps);
    this.#stamps = stamps;
    const warnings = reading.warnings.map((warning) => told(path, warning));
    for (const warning of warnings) if (!this.#warned.has(warning)) log("warn", warning);
    this.#warned = new Set(warnings);
    this.#errors = reading.ok ? [] : reading.errors;
    this.errorsTotal += this.#errors.length;
    for (const error of this.#errors) log("error", told(path, error));
    if (reading.ok) this.#scheduling = reading.scheduling;
    if (first) return;
    if (reading.ok) log("info", "the configuration was read again", { file: path });
    else if (this.#scheduling) log("error", "the last configuration stays in force", { file: path });
    onChange();
  }
}

/** Differs when the file was written or replaced, also by a link that leads elsewhere. Of one out of reach: "". */
function stampOf(path: string): string {
  try {
    const found = statSync(path, { bigint: true });
    return `${found.size} ${found.mtimeNs} ${found.ctimeNs} ${found.ino} ${found.dev}`;
  } catch {
    return "";
  }
}
