// Which of the kinds that mean something here the API server serves. Clusters have some of them and not others, and
// custom resource definitions come and go, so this is asked for again and again. Discovery needs no right of its own.

import { apiVersionsRead, converterOf } from "../kinds/menu.ts";
import type { Log } from "../log.ts";
import { type KubeClient, KubeError } from "./client.ts";

/** A kind installed later is found after this at most. A look costs three small answers. */
const LOOK_MS = 5_000;
/** After a look that was not answered; doubled with each that follows, up to LOOK_MS. */
const BACKOFF_MS = 250;
/** A kind that is no longer served is believed gone after this: a server that has just started may not know all. */
const GONE_MS = 30_000;

export type ServedKind = {
  readonly apiVersion: string;
  readonly kind: string;
  /** As paths have it. */
  readonly plural: string;
};

export type ServedOptions = {
  readonly client: KubeClient;
  readonly log: Log;
  /** Called after every first look that was answered, and when something has changed. */
  readonly onChange: () => void;
};

type ResourceList = {
  readonly resources?: readonly {
    readonly name: string;
    readonly kind: string;
    readonly verbs?: readonly string[];
  }[];
};

export class Served {
  readonly #options: ServedOptions;
  readonly #stopping = new AbortController();
  /** By apiVersion, what was answered last, and since when a kind of it is missing. */
  readonly #known = new Map<string, readonly ServedKind[]>();
  readonly #missingSinceMs = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #backoffMs = BACKOFF_MS;
  #problem: string | undefined = "the API server has not answered yet";

  constructor(options: ServedOptions) {
    this.#options = options;
    void this.#look();
  }

  /** Undefined until every group has been asked for with an answer. */
  kinds(): readonly ServedKind[] | undefined {
    return this.#known.size < APIS.length ? undefined : [...this.#known.values()].flat();
  }

  /** Why nothing is known at present; undefined when it is. */
  problem(): string | undefined {
    return this.#problem;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stopping.abort();
  }

  async #look(): Promise<void> {
    const before = JSON.stringify(this.kinds());
    try {
      for (const apiVersion of APIS) this.#take(apiVersion, await this.#servedOf(apiVersion));
      this.#problem = undefined;
      this.#backoffMs = BACKOFF_MS;
    } catch (error) {
      this.#problem = (error as Error).message;
    }
    if (this.#stopping.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#look(), this.#problem === undefined ? LOOK_MS : this.#nextBackoffMs());
    const after = this.kinds();
    if (after === undefined || JSON.stringify(after) === before) return;
    const kinds = after.map(({ apiVersion, kind }) => `${kind} ${apiVersion}`);
    this.#options.log("info", "the API server serves", { kinds });
    this.#options.onChange();
  }

  /** Half of it is random: agents that lost the API server together do not come back together. */
  #nextBackoffMs(): number {
    const longestMs = this.#backoffMs;
    this.#backoffMs = Math.min(2 * longestMs, LOOK_MS);
    return longestMs * (0.5 + Math.random() / 2);
  }

  async #servedOf(apiVersion: string): Promise<readonly ServedKind[]> {
    try {
      const list = (await this.#options.client.get(`/apis/${apiVersion}`, {}, this.#stopping.signal)) as ResourceList;
      return (list.resources ?? []).flatMap(({ name, kind, verbs = [] }) => {
        const isCollection = !name.includes("/") && verbs.includes("list") && verbs.includes("watch");
        return isCollection && converterOf(apiVersion, kind) ? [{ apiVersion, kind, plural: name }] : [];
      });
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return [];
      throw error;
    }
  }

  /** What is missing all of a sudden stays for a while. */
  #take(apiVersion: string, found: readonly ServedKind[]): void {
    const nowMs = performance.now();
    const kept = (this.#known.get(apiVersion) ?? []).filter(({ kind }) => {
      const name = `${apiVersion} ${kind}`;
      if (found.some((served) => served.kind === kind)) {
        this.#missingSinceMs.delete(name);
        return false;
      }
      const sinceMs = this.#missingSinceMs.get(name) ?? nowMs;
      this.#missingSinceMs.set(name, sinceMs);
      if (nowMs - sinceMs < GONE_MS) return true;
      this.#missingSinceMs.delete(name);
      return false;
    });
    this.#known.set(apiVersion, [...found, ...kept]);
  }
}

/** All but the core group, whose Pods are always there. */
const APIS = apiVersionsRead().filter((apiVersion) => apiVersion.includes("/"));
