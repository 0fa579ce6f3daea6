// Tells the owner of an InferenceModel whether it counts: a condition of type Accepted in its status. Only that
// condition is ours. Server-side apply leaves those of others alone, and needs no look at the object first.

import type { Log } from "../log.ts";
import type { Verdict } from "../models/resolve.ts";
import { type KubeClient, KubeError } from "./client.ts";
import { type Condition, isAsNew, type SeenModel, seenModel } from "./seen-model.ts";

const API_VERSION = "inference.networking.x-k8s.io/v1alpha2";
/** Under this name the API server remembers which fields are ours. */
const FIELD_MANAGER = "pointsman";

export type RetryTiming = {
  /** After the first failure of an object; doubled with each that follows. */
  readonly firstMs: number;
  readonly longestMs: number;
};

/** A status is read by people: a second late is soon. What fails for long fails until somebody has done something. */
const RETRY: RetryTiming = { firstMs: 1_000, longestMs: 60_000 };

const STATUSES: Readonly<Record<Verdict["reason"], string>> = {
  Accepted: "True",
  ModelNameInUse: "False",
  Pending: "Unknown",
};

export type ModelStatusOptions = {
  readonly client: KubeClient;
  readonly log: Log;
  readonly retry?: RetryTiming | undefined;
};

/** On a generation of the object: the one that was seen when the verdict came. */
type Dated = { readonly verdict: Verdict; readonly generation: number | undefined };
/** An object whose last write failed; with a timer while it waits for the next. */
type Retry = { readonly delayMs: number; timer: NodeJS.Timeout | undefined };

export class ModelStatus {
  readonly #options: ModelStatusOptions;
  readonly #retry: RetryTiming;
  /** All by namespace/name. */
  #seen: ReadonlyMap<string, SeenModel> = new Map();
  #verdicts: ReadonlyMap<string, Dated> = new Map();
  /** What answers to writes showed, as long as the watch is behind them. */
  readonly #written = new Map<string, SeenModel>();
  /** Gone by an answer, while the watch still shows them. */
  readonly #gone = new Map<string, SeenModel>();
  readonly #due = new Set<string>();
  readonly #retries = new Map<string, Retry>();
  #writing: Promise<void> | undefined;
  /** Ends with the term as leader: nothing is written after it. */
  #term: AbortController | undefined;
  #failing = false;

  constructor(options: ModelStatusOptions) {
    this.#options = options;
    this.#retry = options.retry ?? RETRY;
  }

  /** All InferenceModels as the watch shows them now; to be called before the verdicts on them. */
  setSeen(models: readonly SeenModel[]): void {
    this.#seen = new Map(models.map((model) => [keyOf(model), model]));
    for (const [key, model] of this.#written) {
      const seen = this.#seen.get(key);
      if (seen === undefined || isAsNew(seen, model)) this.#written.delete(key);
    }
    for (const [key, model] of this.#gone) {
      if (this.#seen.get(key)?.resourceVersion !== model.resourceVersion) this.#gone.delete(key);
    }
    this.#look();
  }

  /** Verdicts on what the watch shows now, which take the place of all earlier ones. */
  setVerdicts(verdicts: readonly Verdict[]): void {
    this.#verdicts = new Map(
      [...verdicts, ...this.#unread()].map((verdict) => {
        const key = keyOf(verdict);
        return [key, { verdict, generation: this.#seen.get(key)?.generation }];
      }),
    );
    this.#look();
  }

  /**
   * On what cannot be read, whatever is in force in its place. Of the reasons that the API names for this condition it
   * is the one for an object whose present form does not count.
   */
  #unread(): readonly Verdict[] {
    return [...this.#seen.values()].flatMap(({ namespace, name, problem }) =>
      problem === undefined ? [] : { namespace, name, reason: "Pending", message: problem },
    );
  }

  /** Only the leader writes. */
  setLeading(leading: boolean): void {
    if (leading === (this.#term !== undefined)) return;
    this.#term?.abort();
    this.#term = leading ? new AbortController() : undefined;
    for (const { timer } of this.#retries.values()) clearTimeout(timer);
    for (const each of [this.#retries, this.#due, this.#written, this.#gone]) each.clear();
    this.#failing = false;
    this.#look();
  }

  async stop(): Promise<void> {
    this.setLeading(false);
    await this.#writing;
  }

  /** Finds what is to be written. */
  #look(): void {
    if (this.#term === undefined) return;
    for (const key of this.#verdicts.keys()) {
      if (this.#retries.get(key)?.timer === undefined && this.#wanted(key) !== undefined) this.#due.add(key);
    }
    this.#pump();
  }

  #pump(): void {
    if (this.#writing !== undefined || this.#due.size === 0) return;
    this.#writing = this.#writeDue().finally(() => {
      this.#writing = undefined;
      this.#pump();
    });
  }

  /** One after the other: also what becomes due meanwhile. */
  async #writeDue(): Promise<void> {
    for (const key of this.#due) {
      this.#due.delete(key);
      const condition = this.#wanted(key);
      if (condition !== undefined && this.#term !== undefined) await this.#write(key, condition, this.#term.signal);
      else this.#forgive(key);
    }
  }

  /** The condition that an object should have; undefined when it has it, or when there is no such object. */
  #wanted(key: string): Condition | undefined {
    const dated = this.#verdicts.get(key);
    const seen = this.#written.get(key) ?? this.#seen.get(key);
    if (dated === undefined || seen === undefined || this.#gone.has(key)) return undefined;
    const { reason, message } = dated.verdict;
    const status = STATUSES[reason];
    const observedGeneration = dated.generation ?? seen.generation;
    const last = seen.condition;
    const isSame =
      last?.reason === reason && last.message === message && last.observedGeneration === observedGeneration;
    if (isSame && last.status === status) return undefined;
    const lastTransitionTime = last?.status === status ? last.lastTransitionTime : nowInSeconds();
    return { status, reason, message, observedGeneration, lastTransitionTime };
  }

  async #write(key: string, condition: Condition, signal: AbortSignal): Promise<void> {
    const { namespace, name } = this.#seen.get(key)!;
    const path = `/apis/${API_VERSION}/namespaces/${namespace}/inferencemodels/${name}/status`;
    const body = {
      apiVersion: API_VERSION,
      kind: "InferenceModel",
      metadata: { namespace, name },
      status: { conditions: [{ type: "Accepted", ...condition }] },
    };
    const query = { fieldManager: FIELD_MANAGER, force: "true" };
    const contentType = "application/apply-patch+yaml";
    try {
      const answer = seenModel(await this.#options.client.send("PATCH", path, body, { query, contentType, signal }));
      // What was asked for, whatever others made of it on its way: nobody argues with them.
      if (!signal.aborted) this.#succeeded(key, answer && { ...answer, condition });
    } catch (error) {
      if (!signal.aborted) this.#failed(key, error as Error);
    }
  }

  #succeeded(key: string, written: SeenModel | undefined): void {
    const seen = this.#seen.get(key);
    if (written !== undefined && seen !== undefined && !isAsNew(seen, written)) this.#written.set(key, written);
    this.#forgive(key);
    // The verdict may have changed meanwhile.
    if (this.#wanted(key) !== undefined) this.#due.add(key);
  }

  #failed(key: string, error: Error): void {
    const seen = this.#seen.get(key);
    if (error instanceof KubeError && error.status === 404) {
      if (seen !== undefined) this.#gone.set(key, seen);
      this.#forgive(key);
      return;
    }
    const object = `InferenceModel ${key}`;
    const message = "the status of an InferenceModel cannot be written, trying again";
    if (!this.#failing) this.#options.log("warn", message, { object, reason: error.message });
    this.#failing = true;
    const { firstMs, longestMs } = this.#retry;
    const delayMs = Math.min(longestMs, (this.#retries.get(key)?.delayMs ?? firstMs / 2) * 2);
    const timer = setTimeout(() => this.#tryAgain(key), delayMs * (0.5 + Math.random() * 0.5));
    this.#retries.set(key, { delayMs, timer });
  }

  #tryAgain(key: string): void {
    this.#retries.get(key)!.timer = undefined;
    this.#due.add(key);
    this.#pump();
  }

  /** Nothing is left of earlier failures of an object. */
  #forgive(key: string): void {
    clearTimeout(this.#retries.get(key)?.timer);
    this.#retries.delete(key);
    if (!this.#failing || this.#retries.size > 0) return;
    this.#failing = false;
    this.#options.log("info", "statuses of InferenceModels are written again");
  }
}

function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** Times of conditions are in seconds. */
function nowInSeconds(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}
