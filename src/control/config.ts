// The configuration in force: the document's where there is one, the default where there is none, and how metrics are
// asked for, which is for flags to say first.

import { isDeepStrictEqual } from "node:util";
import type { Log } from "./log.ts";
import { ConfigFile, told } from "./scheduling/config-file.ts";
import { describeProgram, type ProgramView } from "./scheduling/describe.ts";
import { SCHEDULING_DEFAULT, type Scheduling } from "./scheduling/scheduling.ts";
import { Access, type AccessOptions, accessOf } from "./scrape/access.ts";
import type { Problem } from "./source/folder.ts";

/** Why the document cannot be used: a line for each error. */
export class ConfigError extends Error {}

export type ConfigOptions = {
  readonly configFile?: string | undefined;
  /** As flags say it. */
  readonly metrics?: Partial<AccessOptions> | undefined;
  readonly log: Log;
};

/** The configuration as GET /snapshot shows it; without a program while no document has been right. */
export type ConfigView = { readonly file: string | null; readonly errors: readonly string[] } & (
  | ProgramView
  | { readonly [Name in keyof ProgramView]: null }
);

const NO_PROGRAM = { profileHandler: null, profiles: null, settings: null, flowControl: null } as const;

export class Config {
  readonly #options: ConfigOptions;
  readonly #file: ConfigFile | undefined;
  #accessOptions: AccessOptions;
  access: Access;
  /** Errors of settings that only show when they are tried: the files that a document names. */
  #accessErrors: readonly string[] = [];
  /** Called when another configuration may be in force, or other errors are known. */
  onChange: () => void = () => {};

  /** Throws an Error with a sentence for the user when a file that `metrics` names cannot be used. */
  constructor(options: ConfigOptions) {
    const { configFile, metrics = {}, log } = options;
    this.#options = options;
    this.#file =
      configFile === undefined ? undefined : new ConfigFile({ path: configFile, log, onChange: () => this.#changed() });
    try {
      this.#accessOptions = accessOf(metrics, this.scheduling.access);
      this.access = new Access(this.#accessOptions, log);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  get scheduling(): Scheduling {
    return this.#file?.scheduling() ?? SCHEDULING_DEFAULT;
  }

  /** What is wrong at present, `file:line:column: …` each. */
  get errors(): readonly string[] {
    const path = this.#options.configFile ?? "";
    return [...(this.#file?.errors() ?? []).map((error) => told(path, error)), ...this.#accessErrors];
  }

  get errorsTotal(): number {
    return this.#file?.errorsTotal ?? 0;
  }

  /** The errors as of a file of objects: while there is one, what an earlier agent has put in force stays. */
  problems(): readonly Problem[] {
    return (this.#file?.errors() ?? []).map(({ line, column, message }) => ({
      status: "broken",
      file: this.#options.configFile!,
      line,
      column,
      reason: message,
      key: undefined,
      kept: [],
    }));
  }

  view(): ConfigView {
    const { program, attributes } = this.scheduling;
    const isKnown = this.#file === undefined || this.#file.scheduling() !== undefined;
    return {
      file: this.#options.configFile ?? null,
      errors: this.errors,
      ...(isKnown ? describeProgram(program, attributes) : NO_PROGRAM),
    };
  }

  stop(): void {
    this.#file?.stop();
  }

  #changed(): void {
    const { metrics = {}, log } = this.#options;
    const wanted = accessOf(metrics, this.scheduling.access);
    this.#accessErrors = [];
    if (!isDeepStrictEqual(wanted, this.#accessOptions)) {
      try {
        this.access = new Access(wanted, log);
        this.#accessOptions = wanted;
      } catch (error) {
        this.#accessErrors = [(error as Error).message];
        log("error", "metrics are asked for as before", { reason: (error as Error).message });
      }
    }
    this.onChange();
  }
}
