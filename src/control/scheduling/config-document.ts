// What the EndpointPickerConfig says, wherever its text comes from. A changed document takes force when it has no
// error; one with errors leaves the last one in force. It is read again when its text changes, which its source says,
// and when a file that it names does.

import type { Log } from "../log.ts";
import { readAuthorities } from "../scrape/credentials.ts";
import { compileConfig } from "./compile.ts";
import type { Scheduling } from "./scheduling.ts";
import { WatchedFiles } from "./watched-files.ts";

/** What is wrong, and where: `place` names the text; line and column are there when there is a text. */
export type Mistake = {
  readonly place: string;
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
};

/** The text of a document, or why there is none. */
export type ConfigText = { readonly place: string; readonly text: string } | Mistake;

export type Reading = {
  /** Undefined when there are errors. */
  readonly scheduling: Scheduling | undefined;
  readonly errors: readonly Mistake[];
  readonly warnings: readonly Mistake[];
};

export type ConfigDocumentOptions = {
  readonly log: Log;
  /** The text as it is now. Files that are read for it are noted first. */
  readonly text: (note: (path: string) => void) => ConfigText;
  /** Where files are read from that shall be found changed at once. */
  readonly dir?: string;
  /** Called when the document has been read again, be there errors in it or not. */
  readonly onChange: () => void;
};

/** A mistake with its place, as compilers write it. */
export function told({ place, line, column, message }: Mistake): string {
  return line === undefined ? `${place}: ${message}` : `${place}:${line}:${column}: ${message}`;
}

/** What a text says. The files that it names are noted before they are read. */
export function readText(found: ConfigText, note: (path: string) => void): Reading {
  if (!("text" in found)) return { scheduling: undefined, errors: [found], warnings: [] };
  const { place } = found;
  const compiled = compileConfig(found.text, (path) => {
    note(path);
    return readAuthorities(path);
  });
  const warnings = compiled.warnings.map((warning) => ({ place, ...warning }));
  if (compiled.ok) return { scheduling: compiled.scheduling, errors: [], warnings };
  return { scheduling: undefined, errors: compiled.errors.map((error) => ({ place, ...error })), warnings };
}

export class ConfigDocument {
  readonly #options: ConfigDocumentOptions;
  readonly #files: WatchedFiles;
  #warned = new Set<string>();
  #errors: readonly Mistake[] = [];
  #scheduling: Scheduling | undefined;
  /** Errors found since the start. */
  errorsTotal = 0;

  /** Reads nothing yet. */
  constructor(options: ConfigDocumentOptions) {
    this.#options = options;
    this.#files = new WatchedFiles({ dir: options.dir, onChange: () => this.readAgain() });
  }

  /** The last document without an error; undefined before the first. */
  get scheduling(): Scheduling | undefined {
    return this.#scheduling;
  }

  /** What is wrong with the document at present. */
  get errors(): readonly Mistake[] {
    return this.#errors;
  }

  /** Reads the document and says what is wrong with it. */
  read(): ConfigText {
    const { log, text } = this.#options;
    const { found, reading } = this.#files.during((note) => {
      const found = text(note);
      return { found, reading: readText(found, note) };
    });
    const warnings = reading.warnings.map(told);
    for (const warning of warnings) if (!this.#warned.has(warning)) log("warn", warning);
    this.#warned = new Set(warnings);
    this.#errors = reading.errors;
    this.errorsTotal += this.#errors.length;
    for (const error of this.#errors) log("error", told(error));
    this.#scheduling = reading.scheduling ?? this.#scheduling;
    return found;
  }

  /** Reads the document because it has changed, and says what is in force now. */
  readAgain(): void {
    const { log, onChange } = this.#options;
    const isFirst = this.#scheduling === undefined;
    const { place } = this.read();
    if (this.#errors.length === 0)
      log("info", isFirst ? "the configuration was read" : "the configuration was read again", { place });
    else if (this.#scheduling) log("error", "the last configuration stays in force", { place });
    onChange();
  }

  stop(): void {
    this.#files.stop();
  }
}
