// The configuration in force: the document's where there is one, the default where there is none, and how metrics are
// asked for, which is for flags to say first. The document is a file's or a ConfigMap's.

import { isDeepStrictEqual } from "node:util";
import { type ConfigMapRef, ConfigMapSource } from "./kube/config-map.ts";
import type { Log } from "./log.ts";
import { type ConfigDocument, type Mistake, told } from "./scheduling/config-document.ts";
import { openConfigFile } from "./scheduling/config-file.ts";
import { describeProgram, type ProgramView } from "./scheduling/describe.ts";
import { SCHEDULING_DEFAULT, type Scheduling } from "./scheduling/scheduling.ts";
import { Access, type AccessOptions, accessOf } from "./scrape/access.ts";
import type { Problem } from "./source/folder.ts";

/** Why the document cannot be used: a line for each error. */
export class ConfigError extends Error {}

export type ConfigOptions = {
  readonly configFile?: string | undefined;
  /** In place of a file. What is in it comes by setConfigMap. */
  readonly configMap?: ConfigMapRef | undefined;
  /** As flags say it. */
  readonly metrics?: Partial<AccessOptions> | undefined;
  readonly log: Log;
};

/** The configuration as GET /snapshot shows it; without a program while no document has been right. */
export type ConfigView = {
  readonly file: string | null;
  /** `namespace/name` */
  readonly configMap: string | null;
  readonly errors: readonly string[];
} & (ProgramView | { readonly [Name in keyof ProgramView]: null });

const NO_PROGRAM = { profileHandler: null, profiles: null, settings: null, flowControl: null } as const;

export class Config {
  readonly #options: ConfigOptions;
  readonly #configMap: ConfigMapSource | undefined;
  readonly #document: ConfigDocument | undefined;
  #accessOptions: AccessOptions;
  access: Access;
  /** Errors of settings that only show when they are tried: the files that a document names. */
  #accessErrors: readonly string[] = [];
  /** Called when another configuration may be in force, or other errors are known. */
  onChange: () => void = () => {};

  /** Throws an Error with a sentence for the user when a file that `metrics` names cannot be used. */
  constructor(options: ConfigOptions) {
    const { configFile, configMap, metrics = {}, log } = options;
    this.#options = options;
    const onChange = () => this.#changed();
    this.#configMap = configMap && new ConfigMapSource({ ref: configMap, log, onChange });
    this.#document =
      this.#configMap?.document ??
      (configFile === undefined ? undefined : openConfigFile({ path: configFile, log, onChange }));
    try {
      this.#accessOptions = accessOf(metrics, this.scheduling.access);
      this.access = new Access(this.#accessOptions, log);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  get scheduling(): Scheduling {
    return this.#document?.scheduling ?? SCHEDULING_DEFAULT;
  }

  /** Whether a document counts, or none was asked for. */
  get isInForce(): boolean {
    return this.#document === undefined || this.#document.scheduling !== undefined;
  }

  /** What is wrong at present, `file:line:column: …` each. */
  get errors(): readonly string[] {
    return [...(this.#document?.errors ?? []).map(told), ...this.#accessErrors];
  }

  get errorsTotal(): number {
    return this.#document?.errorsTotal ?? 0;
  }

  /** What the API server has of the ConfigMap: the object as it came from there, or undefined when there is none. */
  setConfigMap(raw: unknown): void {
    this.#configMap?.setObject(raw);
  }

  /**
   * The errors as of a file of objects: while there is one, what an earlier agent has put in force stays. A ConfigMap
   * of which nothing has been in force yet is waited for, whether there is such an agent or not: unlike a file it may
   * come late, and to pick by the default until then would be to pick by what nobody asked for.
   */
  problems(): readonly Problem[] {
    const awaited = this.#configMap?.awaited();
    if (awaited !== undefined) return [problemOf("awaited", awaited)];
    return (this.#document?.errors ?? []).map((error) => problemOf("broken", error));
  }

  view(): ConfigView {
    const { program, attributes } = this.scheduling;
    const { configFile, configMap } = this.#options;
    return {
      file: configFile ?? null,
      configMap: configMap === undefined ? null : `${configMap.namespace}/${configMap.name}`,
      errors: this.errors,
      ...(this.isInForce ? describeProgram(program, attributes) : NO_PROGRAM),
    };
  }

  stop(): void {
    this.#document?.stop();
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

function problemOf(status: "broken" | "awaited", { place, line, column, message }: Mistake): Problem {
  const where = line === undefined || column === undefined ? {} : { line, column };
  return { status, file: place, ...where, reason: message, key: undefined, kept: [] };
}
