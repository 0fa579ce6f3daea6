// A copy of one collection of the API server: a list, then a watch of what changes, and both again for ever. Whatever
// goes wrong, what is held stays as it is: an object goes only when the server says so, by a DELETED or by a complete
// list without it. The client library's ListWatch is not used: it stops for good on most errors.

import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import { type KubeClient, KubeError, type Query, type WatchEvent } from "./client.ts";

/**
 * Objects of a page of a list: of pods some 800 KB of JSON, garbage that V8 collects while it is young. Pages of 500
 * are not quicker, and take 35 MB more for 5,000 pods in ten pools.
 */
const PAGE_OBJECTS = 100;
/** Failures in a row after which there is a list: the cause may be a version that the server does not know. */
const RESUMES_MAX = 3;
/** A server that asks to be left alone for longer is asked again after this. */
const RETRY_AFTER_MS_MAX = 60_000;
/** Not authenticated and overloaded: a list would help with neither. */
const RESUMABLE: readonly number[] = [401, 429];

export type Collection = {
  /** Such as /api/v1/namespaces/x/pods. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
};

export type WatchView = {
  /** Such as pods or inferencepools.inference.networking.k8s.io. */
  readonly resource: string;
  /** In words. */
  readonly scope: string;
  /** Whether a list was complete once. */
  readonly synced: boolean;
  /** Since the server last said something that shows that what is held is current; null before the first list. */
  readonly ageMs: number | null;
  /** Lists after the first one, and watches after an error. */
  readonly restarts: number;
  /** Why nothing is heard at present; undefined while it watches. */
  readonly problem: string | undefined;
};

export type Timing = {
  /** The server is asked to end each watch after this and a random part of `watchSpreadMs`. */
  readonly watchMs: number;
  readonly watchSpreadMs: number;
  /** A watch that is not ended by the server so much later is given up. */
  readonly slackMs: number;
  /** Between tries: the first, doubled with each failure, up to the last; half of it is random. */
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  /** A watch that has said nothing yet counts as a success after this. */
  readonly steadyMs: number;
  /** A right that is missing for so long is missing. */
  readonly forbiddenMs: number;
  /** From 0 to 1, without 1. */
  readonly random: () => number;
};

const TIMING: Timing = {
  // A connection that died silently is noticed when the end of its watch does not come. To start one costs little.
  watchMs: 30_000,
  // Agents that started together do not come back together.
  watchSpreadMs: 10_000,
  slackMs: 10_000,
  // One try in the blink of a restart; nobody waits long for an API server that is back.
  backoffMs: 200,
  backoffMsMax: 10_000,
  // A server that ends each watch so early, and has nothing to tell, is asked less and less often.
  steadyMs: 3_000,
  forbiddenMs: 5_000,
  random: Math.random,
};

export type ReflectorOptions<T> = {
  readonly client: KubeClient;
  readonly collection: Collection;
  /** What to keep of an object; undefined for nothing. The same as before is no change. */
  readonly take: (object: unknown, previous: T | undefined) => T | undefined;
  /** Called when anything has changed, for each page of a list and for each event. */
  readonly onChange: () => void;
  readonly log: Log;
  readonly timing?: Partial<Timing>;
};

type Meta = { readonly namespace?: string; readonly name?: string; readonly resourceVersion?: string };
type KubeObject = { apiVersion?: string; kind?: string; readonly metadata?: Meta };
type Page = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly KubeObject[] | null;
};

export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #timing: Timing;
  readonly #resource: string;
  readonly #scope: string;
  readonly #selectors: Query;
  readonly #stopping = new AbortController();
  readonly #items = new Map<string, T>();
  /** resourceVersion of each item. */
  readonly #versions = new Map<string, string>();

  /** From where to watch; undefined when there has to be a list first. */
  #resumeAt: string | undefined;
  #synced = false;
  #heardAtMs: number | undefined;
  #restarts = 0;
  /** In a row. */
  #failures = 0;
  /** Whether nobody answered when it failed last. */
  #wasSilent = false;
  #problem: string | undefined = "the API server has not answered yet";
  /** Since when the server says that it may not be read. */
  #forbiddenSinceMs: number | undefined;
  #isRefused = false;
  /** Whether the log says that it is lost. */
  #isToldLost = false;

  /** Starts at once. */
  constructor(options: ReflectorOptions<T>) {
    const { path, labelSelector, fieldSelector } = options.collection;
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#selectors = { labelSelector, fieldSelector };
    this.#resource = resourceOf(path);
    this.#scope = [namespacesOf(path), labelSelector, fieldSelector].filter(Boolean).join(", ");
    void this.#run();
  }

  /** By namespace/name; /name for what is in no namespace. */
  get items(): ReadonlyMap<string, T> {
    return this.#items;
  }

  /** Whether a list was complete once. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Whether the server keeps saying that it may not be read: what is not ours to read is not to be waited for. */
  get refused(): boolean {
    return this.#isRefused;
  }

  view(): WatchView {
    return {
      resource: this.#resource,
      scope: this.#scope,
      synced: this.#synced,
      ageMs: this.#heardAtMs === undefined ? null : performance.now() - this.#heardAtMs,
      restarts: this.#restarts,
      problem: this.#problem,
    };
  }

  /** What is held stays; nothing is called any more. */
  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const listed = this.#resumeAt === undefined;
        if (listed) await this.#list();
        await this.#watch(listed);
      } catch (error) {
        if (signal.aborted) return;
        const delayMs = this.#failed(error as Error);
        // Ends early, and wrongly, only when it is stopped.
        if (delayMs > 0) await sleep(delayMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Returns after how long to try again. */
  #failed(error: Error): number {
    const { status, retryAfterMs } = error instanceof KubeError ? error : { status: undefined, retryAfterMs: 0 };
    const { backoffMs, backoffMsMax, random } = this.#timing;
    // Who answers after a silence has just started: what it cannot do yet it will be able to in a second.
    if (status !== undefined && this.#wasSilent) this.#failures = 0;
    this.#wasSilent = status === undefined;
    this.#failures += 1;
    this.#problem = error.message;
    if (status === 403) this.#forbidden();
    const isRefused = status !== undefined && status >= 400 && status < 500 && !RESUMABLE.includes(status);
    if (isRefused || this.#failures > RESUMES_MAX) this.#resumeAt = undefined;
    // One that breaks and can be resumed at once is everyday life.
    if (!this.#isToldLost && (this.#failures > 1 || !this.#synced)) this.#tellLost(error.message);
    if (status === 410 && this.#failures === 1) return 0;
    const longestMs = Math.min(backoffMsMax, backoffMs * 2 ** (this.#failures - 1));
    const askedMs = Math.min(RETRY_AFTER_MS_MAX, retryAfterMs ?? 0);
    return askedMs + longestMs * (0.5 + random() / 2);
  }

  /** An API server that has just started refuses for a moment what it allows when it knows all roles. */
  #forbidden(): void {
    const nowMs = performance.now();
    this.#forbiddenSinceMs ??= nowMs;
    if (this.#isRefused || nowMs - this.#forbiddenSinceMs < this.#timing.forbiddenMs) return;
    this.#isRefused = true;
    this.#options.onChange();
  }

  #tellLost(problem: string): void {
    this.#isToldLost = true;
    const held = this.#synced ? "what is known stays in force" : "nothing is known yet";
    this.#log("error", `${problem}; ${held}`);
  }

  #log(level: "error" | "info", sentence: string): void {
    const fields = { resource: this.#resource, scope: this.#scope };
    this.#options.log(level, `${this.#resource} in ${this.#scope}: ${sentence}`, fields);
  }

  async #list(): Promise<void> {
    const { client, collection, onChange } = this.#options;
    const { signal } = this.#stopping;
    const seen = new Set<string>();
    let page: Page | undefined;
    do {
      const query = { ...this.#selectors, limit: PAGE_OBJECTS, continue: page?.metadata.continue };
      page = pageOf(await client.get(collection.path, query, signal), client.server);
      if (signal.aborted) return;
      if (this.#takePage(page, seen)) onChange();
    } while (page.metadata.continue);
    const gone = [...this.#items.keys()].filter((key) => !seen.has(key));
    for (const key of gone) this.#remove(key);
    if (this.#synced) this.#restarts += 1;
    const isFirst = !this.#synced;
    this.#synced = true;
    this.#forbiddenSinceMs = undefined;
    this.#isRefused = false;
    this.#resumeAt = page.metadata.resourceVersion;
    this.#heardAtMs = performance.now();
    // That an empty collection is known to be empty is a change too.
    if (gone.length > 0 || isFirst) onChange();
  }

  /** Whether anything changed. */
  #takePage({ kind, apiVersion, items }: Page, seen: Set<string>): boolean {
    let changed = false;
    for (const item of items ?? []) {
      // The items of built-in types leave out what the list says.
      item.kind ??= kind.slice(0, -"List".length);
      item.apiVersion ??= apiVersion;
      seen.add(keyOf(item));
      changed = this.#take(item) || changed;
    }
    return changed;
  }

  /** Whether anything changed. */
  #take(object: KubeObject): boolean {
    const key = keyOf(object);
    const version = object.metadata?.resourceVersion ?? "";
    const previous = this.#items.get(key);
    if (previous !== undefined && this.#versions.get(key) === version) return false;
    const kept = this.#kept(key, object, previous);
    if (kept === undefined) return this.#remove(key);
    this.#items.set(key, kept);
    this.#versions.set(key, version);
    return kept !== previous;
  }

  #kept(key: string, object: KubeObject, previous: T | undefined): T | undefined {
    try {
      return this.#options.take(object, previous);
    } catch (error) {
      this.#log("error", `${key} cannot be read, it stays as it was: ${(error as Error).message}`);
      return previous;
    }
  }

  #remove(key: string): boolean {
    this.#versions.delete(key);
    return this.#items.delete(key);
  }

  /** Returns when the server has ended the watch in good order. */
  async #watch(listed: boolean): Promise<void> {
    const { client, collection } = this.#options;
    const { watchMs, watchSpreadMs, slackMs, steadyMs, random } = this.#timing;
    const endsAfterMs = watchMs + random() * watchSpreadMs;
    const query = {
      ...this.#selectors,
      resourceVersion: this.#resumeAt,
      allowWatchBookmarks: "true",
      timeoutSeconds: Math.ceil(endsAfterMs / 1_000),
    };
    let isSteady = false;
    const succeed = (): void => {
      isSteady = true;
      this.#succeeded();
    };
    let steady: NodeJS.Timeout | undefined;
    try {
      await client.watch(collection.path, query, {
        onStart: () => {
          if (this.#failures > 0 && !listed) this.#restarts += 1;
          this.#problem = undefined;
          this.#heardAtMs = performance.now();
          steady = setTimeout(succeed, steadyMs);
        },
        onEvent: (event) => {
          this.#onEvent(event);
          succeed();
        },
        silenceMs: endsAfterMs + slackMs,
        signal: this.#stopping.signal,
      });
    } finally {
      clearTimeout(steady);
    }
    // Else a server that ends each watch would be asked for the next one as fast as it can answer.
    if (!isSteady) throw new KubeError(`${client.server} ends the watch at once`, undefined);
    this.#heardAtMs = performance.now();
  }

  #onEvent({ type, object }: WatchEvent): void {
    if (this.#stopping.signal.aborted) return;
    if (type === "ERROR") throw errorOf(object);
    const taken = object as KubeObject;
    this.#heardAtMs = performance.now();
    const changed =
      type === "DELETED" ? this.#remove(keyOf(taken)) : (type === "ADDED" || type === "MODIFIED") && this.#take(taken);
    this.#resumeAt = taken.metadata?.resourceVersion ?? this.#resumeAt;
    if (changed) this.#options.onChange();
  }

  #succeeded(): void {
    this.#failures = 0;
    if (!this.#isToldLost) return;
    this.#isToldLost = false;
    this.#log("info", "watched again");
  }
}

/** Throws a KubeError for what is no list: some proxy's kind words must not pass for an empty collection. */
function pageOf(answer: unknown, server: string): Page {
  const { kind, items, metadata } = (answer ?? {}) as Partial<Page>;
  const isList = typeof kind === "string" && kind.endsWith("List") && (items === null || Array.isArray(items));
  if (isList && metadata?.resourceVersion) return answer as Page;
  throw new KubeError(`${server} gives ${kind ?? "something"}, expected a list with a resourceVersion`, undefined);
}

/** From the Status that an ERROR of a watch holds. */
function errorOf(object: unknown): KubeError {
  const { code, message } = (object ?? {}) as { readonly code?: number; readonly message?: string };
  return new KubeError(`${code ?? "error"}: ${message ?? "the watch failed, no reason given"}`, code);
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`;
}

/** /apis/g/v1/namespaces/x/things → things.g */
function resourceOf(path: string): string {
  const resource = path.slice(path.lastIndexOf("/") + 1);
  const group = /^\/apis\/([^/]+)\//.exec(path)?.[1];
  return group === undefined ? resource : `${resource}.${group}`;
}

function namespacesOf(path: string): string {
  const namespace = /\/namespaces\/([^/]+)\//.exec(path)?.[1];
  return namespace === undefined ? "all namespaces" : `namespace ${namespace}`;
}
