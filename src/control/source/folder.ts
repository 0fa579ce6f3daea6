// A folder of Kubernetes documents as the source of objects. Files are looked at when the system says that something
// changed, and every half second in case it did not. All file access is synchronous: a look is a readdir and one stat
// per file (about 3 µs each), and a look that cannot be interrupted needs no guard against another.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DirNotice } from "../dir-notice.ts";
import type { ConfigObject } from "../kinds/object.ts";
import type { Log } from "../log.ts";
import { type DocumentCache, type DocumentState, readDocuments } from "./documents.ts";
import { type Held, takeOver } from "./take-over.ts";

const POLL_MS = 500;
/** A changed file is read when it has stayed the same this long: writers that do not rename write in pieces. */
const SETTLE_MS = 30;
/** A file that vanished or became empty is gone after this: editors move the old file away before the new one comes. */
const GONE_MS = 150;
/** A file that never settles is read all the same, so that a change is in force within a second. */
const UNSETTLED_MS = 500;
const FILE_BYTES_MAX = 16_777_216;
/** Starts the stamp of a file that the system refuses to look at, a sentence that goes on with why. */
const UNSEEN = "file cannot be looked at, expected one that can be read: ";

/** What is wrong with a document or a file at present. */
export type Problem = {
  /**
   * "second": a good document of an object that an earlier document defines. "awaited": what is not there yet, and
   * without which nothing can be put in force.
   */
  readonly status: "broken" | "second" | "awaited";
  /** Or another place with a name. */
  readonly file: string;
  /** Not of what is wrong with a place as a whole. */
  readonly line?: number;
  readonly column?: number;
  readonly reason: string;
  /** The object that the document means, where it says so: `kind/namespace/name`. */
  readonly key: string | undefined;
  /** Keys of the objects whose last good state stays in force because of this. */
  readonly kept: readonly string[];
};

export type FolderOptions = {
  readonly dir: string;
  readonly log: Log;
  /**
   * Called with all objects and all that is wrong, at once and whenever files changed. Keys of objects are unique, and
   * their order is that of the names of files, then of the places in a file.
   */
  readonly onObjects: (objects: readonly ConfigObject[], problems: readonly Problem[]) => void;
};

type FileRecord = {
  /** What stat said when the file was last read. */
  readStamp: string;
  /** A newer state that has to settle first, since when it is seen, and since when the file is changing at all. */
  pending: { stamp: string; sinceMs: number; changingSinceMs: number } | undefined;
  goneSinceMs: number | undefined;
  cache: DocumentCache;
  held: ReadonlyMap<string, Held>;
  problems: readonly Problem[];
};

/** Why an object directory cannot be used at all. */
export class FolderError extends Error {}

export class Folder {
  readonly #options: FolderOptions;
  readonly #files = new Map<string, FileRecord>();
  readonly #foreignSeen = new Set<string>();
  #reported = new Map<string, Problem>();
  #dirProblem: string | undefined;
  readonly #notice: DirNotice;
  readonly #poll: NodeJS.Timeout;
  #soon: NodeJS.Timeout | undefined;
  /** Problems reported since the start. */
  problemsTotal = 0;

  /** Reads the folder once and goes on watching it. Throws a FolderError when `dir` is not a readable directory. */
  constructor(options: FolderOptions) {
    this.#options = options;
    this.#look(true);
    this.#publish();
    this.#notice = new DirNotice(options.dir, () => this.#lookSoon(5));
    this.#notice.ensure();
    this.#poll = setInterval(() => {
      this.#notice.ensure();
      this.#look(false);
    }, POLL_MS);
  }

  problems(): readonly Problem[] {
    return [...this.#reported.values()];
  }

  stop(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#soon);
    this.#notice.stop();
  }

  #lookSoon(delayMs: number): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#look(false);
    }, delayMs);
  }

  #look(first: boolean): void {
    const names = this.#names(first);
    if (!names) return;
    const stamps = stampsOf(this.#options.dir, names);
    const nowMs = performance.now();
    let changed = false;
    let unsettled = false;
    for (const [file, stamp] of stamps) {
      const record = this.#recordOf(file);
      record.goneSinceMs = undefined;
      const due = first ? stamp !== record.readStamp : isDue(record, stamp, nowMs);
      if (due) {
        this.#read(file, record, stamp);
        changed = true;
      }
      unsettled ||= record.pending !== undefined;
    }
    for (const [file, record] of this.#files) {
      if (stamps.has(file)) continue;
      record.goneSinceMs ??= nowMs;
      if (nowMs - record.goneSinceMs < GONE_MS) unsettled = true;
      else changed = this.#files.delete(file);
    }
    if (unsettled) this.#lookSoon(SETTLE_MS + 5);
    if (changed && !first) this.#publish();
  }

  /** Names that say that they are files of objects; undefined when the folder cannot be listed now. */
  #names(first: boolean): readonly string[] | undefined {
    const { dir, log } = this.#options;
    let names: readonly string[];
    try {
      names = readdirSync(dir);
    } catch (error) {
      const reason = (error as Error).message;
      if (first) throw new FolderError(`${dir}: expected a readable directory of objects: ${reason}`);
      if (this.#dirProblem !== reason)
        log("error", "objects cannot be read, the last ones stay in force", { dir, reason });
      this.#dirProblem = reason;
      return undefined;
    }
    if (this.#dirProblem) log("info", "objects can be read again", { dir });
    this.#dirProblem = undefined;
    return names.filter((name) => !name.startsWith(".") && /\.(ya?ml|json)$/.test(name)).sort();
  }

  #recordOf(file: string): FileRecord {
    const known = this.#files.get(file);
    if (known) return known;
    const record: FileRecord = {
      readStamp: "",
      pending: undefined,
      goneSinceMs: undefined,
      cache: new Map(),
      held: new Map(),
      problems: [],
    };
    this.#files.set(file, record);
    return record;
  }

  #read(file: string, record: FileRecord, stamp: string): void {
    record.readStamp = stamp;
    record.pending = undefined;
    const path = join(this.#options.dir, file);
    const read = stamp.startsWith(UNSEEN) ? unread(stamp, record.cache) : readFile(path, record.cache);
    record.cache = read.cache;
    const taken = takeOver(file, record.held, read.documents);
    record.held = taken.held;
    record.problems = taken.problems;
    for (const document of read.documents) if (document.status === "foreign") this.#reportForeign(file, document);
  }

  #reportForeign(file: string, document: Extract<DocumentState, { status: "foreign" }>): void {
    const name = `${document.apiVersion} ${document.kind}`;
    if (this.#foreignSeen.has(name)) return;
    this.#foreignSeen.add(name);
    this.#options.log("info", `objects of kind ${name} are ignored`, { file, line: document.line });
  }

  /** Hands on what is in force. Of objects that several files name, the one in the first file by name counts. */
  #publish(): void {
    const inForce = new Map<string, ConfigObject>();
    const owners = new Map<string, string>();
    const problems: Problem[] = [];
    for (const file of [...this.#files.keys()].sort()) {
      const record = this.#files.get(file)!;
      problems.push(...record.problems);
      for (const [key, { object, line }] of inOrder(record.held)) {
        const owner = owners.get(key);
        if (owner === undefined) {
          inForce.set(key, object);
          owners.set(key, file);
        } else problems.push(second(file, line, key, owner));
      }
    }
    this.#report(problems);
    this.#options.onObjects([...inForce.values()], problems);
  }

  #report(problems: readonly Problem[]): void {
    const { log } = this.#options;
    const reported = new Map<string, Problem>();
    for (const problem of problems) {
      const { file, line, reason, key, kept } = problem;
      const id = `${file}\n${key ?? line}\n${reason}`;
      reported.set(id, problem);
      if (this.#reported.has(id)) continue;
      this.problemsTotal += 1;
      log("error", `${file}:${line}: ${reason}`, { file, line, reason, kept });
    }
    for (const [id, { file, reason }] of this.#reported)
      if (!reported.has(id)) log("info", `${file}: no longer wrong`, { file, was: reason });
    this.#reported = reported;
  }
}

/** What a broken document keeps in force stands where that document does. */
function inOrder(held: ReadonlyMap<string, Held>): readonly (readonly [string, Held])[] {
  return [...held].sort(([, a], [, b]) => a.line - b.line);
}

function second(file: string, line: number, key: string, owner: string): Problem {
  const reason = `${key} is already defined in ${owner}, which counts`;
  return { status: "second", file, line, reason, key, kept: [] };
}

/** What tells the states of each file apart. One that the system refuses to look at is a state too: UNSEEN and why. */
function stampsOf(dir: string, names: readonly string[]): ReadonlyMap<string, string> {
  const stamps = new Map<string, string>();
  for (const name of names) {
    try {
      const stat = statSync(join(dir, name), { bigint: true, throwIfNoEntry: false });
      if (stat?.isFile()) stamps.set(name, `${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}`);
    } catch (error) {
      stamps.set(name, `${UNSEEN}${(error as Error).message}`);
    }
  }
  return stamps;
}

function isDue(record: FileRecord, stamp: string, nowMs: number): boolean {
  if (stamp === record.readStamp) {
    record.pending = undefined;
    return false;
  }
  if (record.pending?.stamp !== stamp)
    record.pending = { stamp, sinceMs: nowMs, changingSinceMs: record.pending?.changingSinceMs ?? nowMs };
  const settleMs = stamp.startsWith("0 ") && record.held.size > 0 ? GONE_MS : SETTLE_MS;
  return nowMs - record.pending.sinceMs >= settleMs || nowMs - record.pending.changingSinceMs >= UNSETTLED_MS;
}

type Reading = { readonly documents: readonly DocumentState[]; readonly cache: DocumentCache };

function unread(reason: string, known: DocumentCache): Reading {
  return { documents: [{ status: "broken", key: undefined, certain: false, line: 1, reason }], cache: known };
}

function readFile(path: string, known: DocumentCache): Reading {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > FILE_BYTES_MAX)
      return unread(`file has ${bytes.length} bytes, expected at most ${FILE_BYTES_MAX}`, known);
    return readDocuments(new TextDecoder("utf-8", { fatal: true }).decode(bytes), known);
  } catch (error) {
    return unread(`file cannot be read, expected UTF-8 text: ${(error as Error).message}`, known);
  }
}
