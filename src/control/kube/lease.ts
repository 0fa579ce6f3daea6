// Which of several agents writes to the API server: the one that holds a Lease. Every replica feeds its own proxy; but
// a status written by two of them would say twice what is to be said once. The record in the Lease is only ever
// replaced as it was read (its resourceVersion says so), so of two that are after it one is refused.
//
// Clocks of machines are never compared: a holder has gone when its record has not changed for as long as it says it
// may take, by the time here. The holder in turn stops to lead well before that, by the time there.

import { isDeepStrictEqual } from "node:util";
import type { Log } from "../log.ts";
import { type KubeClient, KubeError } from "./client.ts";
import { microTime } from "./micro-time.ts";

export type LeaseTiming = {
  /** Others wait this long for the holder to renew before they take the Lease; in whole seconds. */
  readonly leaseMs: number;
  /** The holder leads no longer when it could not renew for this long. */
  readonly renewDeadlineMs: number;
  /** Between two tries. */
  readonly retryMs: number;
};

/** As client-go's users have it: a call may fail some times before it matters, and a dead leader is replaced soon. */
const TIMING: LeaseTiming = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };
/** Of the time between two tries, so that replicas which wait for the same do not try together. */
const JITTER_RETRY = 0.5;
const JITTER_EXPIRY = 0.1;
/** Of the time to stop, which is 30 s for a pod: a Lease that is not given up expires by itself. */
const RELEASE_MS = 2_000;

export type LeaseOptions = {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** No other replica has this one. */
  readonly identity: string;
  readonly log: Log;
  readonly onChange: (leading: boolean) => void;
  readonly timing?: LeaseTiming | undefined;
};

/** A coordination.k8s.io/v1 Lease: what is written here by name, all else as it was found. */
type LeaseSpec = {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
};
type LeaseObject = { readonly metadata?: object; readonly spec?: LeaseSpec };

export class Lease {
  readonly #options: LeaseOptions;
  readonly #timing: LeaseTiming;
  readonly #path: string;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  /** As the server has it to the best of our knowledge; undefined when it has to be asked. */
  #known: LeaseObject | undefined;
  /** The record that was seen last, and when it was first seen so. */
  #seen: { readonly spec: LeaseSpec; readonly sinceMs: number } | undefined;
  #leading = false;
  /** Runs out at the end of what the last renewal gives. */
  #term: NodeJS.Timeout | undefined;
  #termEndsMs = 0;
  #problem: string | undefined;
  #wake: () => void = () => {};

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#timing = options.timing ?? TIMING;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
    this.#running = this.#run();
  }

  get leading(): boolean {
    // A timer that is late, after a machine was halted, must not prolong the term.
    return this.#leading && performance.now() < this.#termEndsMs;
  }

  /** Leads no longer, and gives the Lease up, so that the next takes it at once. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#wake();
    await this.#running;
    this.#setLeading(false);
    await this.#release();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedMs = performance.now();
      const known = this.#known;
      try {
        const isOurs = await this.#tryToHold();
        // What was sent before the end of the term may be answered after it.
        if (isOurs) this.#holdFrom(startedMs);
        else this.#setLeading(false);
        this.#setProblem(undefined);
      } catch (error) {
        // Also a mistake of ours must not end the loop.
        this.#known = undefined;
        // The Lease is not as it was known: another look says how it is.
        if (known !== undefined && isStatus(error, 404, 409)) continue;
        if (!signal.aborted && !isStatus(error, 409)) this.#setProblem((error as Error).message);
      }
      if (!signal.aborted) await this.#sleep(this.#pauseMs());
    }
  }

  /** True when the Lease is ours, for the first time or again. Throws a KubeError; 409: somebody was faster. */
  async #tryToHold(): Promise<boolean> {
    const { name, namespace, identity } = this.#options;
    const found = this.#known ?? (await this.#get());
    if (found === undefined) {
      const metadata = { name, namespace };
      this.#take(await this.#write("POST", this.#path, { metadata, spec: this.#recordAfter(undefined) }));
      return true;
    }
    this.#take(found);
    const { holderIdentity = "" } = found.spec ?? {};
    if (holderIdentity !== "" && holderIdentity !== identity && this.#expiresInMs() >= 0) {
      this.#known = undefined;
      return false;
    }
    const spec = { ...found.spec, ...this.#recordAfter(found.spec) };
    this.#take(await this.#write("PUT", `${this.#path}/${name}`, { ...found, spec }));
    return true;
  }

  async #get(signal?: AbortSignal): Promise<LeaseObject | undefined> {
    try {
      const path = `${this.#path}/${this.#options.name}`;
      return (await this.#options.client.get(path, {}, signal ?? this.#callSignal())) as LeaseObject;
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async #write(method: "POST" | "PUT", path: string, lease: LeaseObject): Promise<LeaseObject> {
    const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", ...lease };
    return (await this.#options.client.send(method, path, body, { signal: this.#callSignal() })) as LeaseObject;
  }

  /** A call is worth no more than what is left of the term. */
  #callSignal(): AbortSignal {
    const leftMs = this.#leading ? this.#termEndsMs - performance.now() : this.#timing.renewDeadlineMs;
    return AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(Math.max(1, Math.ceil(leftMs)))]);
  }

  #recordAfter(last: LeaseSpec | undefined): LeaseSpec {
    const { identity } = this.#options;
    const now = microTime();
    const isSame = last?.holderIdentity === identity;
    const transitions = last?.leaseTransitions ?? 0;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#timing.leaseMs / 1000),
      acquireTime: (isSame ? last.acquireTime : undefined) ?? now,
      renewTime: now,
      leaseTransitions: last === undefined || isSame ? transitions : transitions + 1,
    };
  }

  #take(lease: LeaseObject): void {
    this.#known = lease;
    const { spec = {} } = lease;
    if (!isDeepStrictEqual(spec, this.#seen?.spec)) this.#seen = { spec, sinceMs: performance.now() };
  }

  /** Until the holder has gone if its record stays as it is; below 0 when it has. */
  #expiresInMs(): number {
    if (this.#seen === undefined) return 0;
    const { spec, sinceMs } = this.#seen;
    const durationMs =
      spec.leaseDurationSeconds === undefined ? this.#timing.leaseMs : spec.leaseDurationSeconds * 1000;
    return sinceMs + durationMs - performance.now();
  }

  /** `startedMs` is when the call was sent that renewed: others may count from then on. */
  #holdFrom(startedMs: number): void {
    this.#termEndsMs = startedMs + this.#timing.renewDeadlineMs;
    const leftMs = this.#termEndsMs - performance.now();
    clearTimeout(this.#term);
    if (leftMs > 0) this.#term = setTimeout(() => this.#setLeading(false), leftMs);
    this.#setLeading(leftMs > 0);
  }

  #setLeading(leading: boolean): void {
    if (!leading) clearTimeout(this.#term);
    if (leading === this.#leading) return;
    this.#leading = leading;
    const { namespace, name, identity, log, onChange } = this.#options;
    const isEnd = this.#stopping.signal.aborted;
    const what = leading ? "leads: writes statuses and events" : "leads no longer: writes no statuses and events";
    log(leading || isEnd ? "info" : "warn", what, { lease: `${namespace}/${name}`, identity });
    onChange(leading);
  }

  #setProblem(problem: string | undefined): void {
    const { namespace, name, log } = this.#options;
    const fields = { lease: `${namespace}/${name}` };
    if (problem !== undefined && this.#problem === undefined)
      log("warn", "the Lease cannot be read or written, trying again", { ...fields, reason: problem });
    if (problem === undefined && this.#problem !== undefined)
      log("info", "the Lease is read and written again", fields);
    this.#problem = problem;
  }

  /** Also what was taken by a call whose answer nobody waited for. */
  async #release(): Promise<void> {
    const { client, name, identity } = this.#options;
    const signal = AbortSignal.timeout(RELEASE_MS);
    try {
      const found = await this.#get(signal);
      if (found?.spec?.holderIdentity !== identity) return;
      const now = microTime();
      // The shortest duration there is, for those who go by nothing else.
      const spec = { ...found.spec, holderIdentity: "", leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
      await client.send("PUT", `${this.#path}/${name}`, { ...found, spec }, { signal });
    } catch {
      // It expires by itself.
    }
  }

  #pauseMs(): number {
    const { retryMs } = this.#timing;
    if (this.#leading) return retryMs;
    const pauseMs = retryMs * (1 - Math.random() * JITTER_RETRY);
    const expiresInMs = this.#expiresInMs();
    // A holder that has gone is replaced as soon as that is certain.
    const soonMs = expiresInMs + 1 + Math.random() * JITTER_EXPIRY * retryMs;
    return expiresInMs >= 0 ? Math.min(pauseMs, soonMs) : pauseMs;
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function isStatus(error: unknown, ...among: readonly number[]): boolean {
  return error instanceof KubeError && error.status !== undefined && among.includes(error.status);
}
