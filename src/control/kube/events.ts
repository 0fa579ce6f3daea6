// Kubernetes Events: what a person should do something about, shown beside the object that it is about by `kubectl
// describe` and `kubectl get events`. They are a courtesy: bounded in number and rate, never tried again. The log says
// the same to whoever reads it.
//
// Only the leader writes them. What is found while nobody leads, at the start or when the leader has died, is kept for
// as long as it takes until somebody does.

import { randomBytes } from "node:crypto";
import type { Log } from "../log.ts";
import type { KubeClient } from "./client.ts";
import { microTime } from "./micro-time.ts";
import type { ObjectRef } from "./object-ref.ts";

export type EventsTiming = {
  /** The same is not said twice within this. */
  readonly sameMs: number;
  /** What is found while not leading is worth saying for this long. */
  readonly keepMs: number;
  /** Between two Events, when `burst` of them came at once. */
  readonly intervalMs: number;
  readonly burst: number;
};

/**
 * The API server forgets Events after an hour; some times in it is often enough. A dead leader is replaced within 20 s.
 * The rate is that of a controller which client-go lets talk undisturbed.
 */
const TIMING: EventsTiming = { sameMs: 600_000, keepMs: 30_000, intervalMs: 200, burst: 25 };
/** Waiting: what is behind so many is no longer read by anybody. */
const QUEUE_MAX = 100;

/** Of the API server, in bytes. */
const NOTE_BYTES_MAX = 1024;
const INSTANCE_BYTES_MAX = 128;
const NAME_LENGTH_MAX = 253;
const CONTROLLER = "pointsman";
/** What was done when it was found. */
const ACTION = "Configure";

export type EventsOptions = {
  readonly client: KubeClient;
  /** Of this replica. */
  readonly identity: string;
  readonly log: Log;
  readonly timing?: EventsTiming | undefined;
};

type Waiting = {
  /** The same for what says the same of the same object. */
  readonly key: string;
  /** What the Event is about. */
  readonly regarding: ObjectRef;
  readonly reason: string;
  readonly note: string;
  /** When it was found: by the API server's clock that of the Event, and by performance.now(). */
  readonly time: string;
  readonly atMs: number;
};

export class Events {
  readonly #options: EventsOptions;
  readonly #timing: EventsTiming;
  readonly #queue = new Map<string, Waiting>();
  /** When it was said, the oldest first. The rate bounds how many there are. */
  readonly #said = new Map<string, number>();
  /** Ends with the term as leader. */
  #term: AbortController | undefined;
  /** Events that may be written at once, as of `#filledMs`. */
  #tokens: number;
  #filledMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #writing = false;
  #dropping = false;
  #failing = false;

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#timing = options.timing ?? TIMING;
    this.#tokens = this.#timing.burst;
  }

  /** `reason` is in CamelCase; `note` says what, where, what was expected and what is in force. */
  warn(regarding: ObjectRef, reason: string, note: string): void {
    const { apiVersion, kind, namespace, name, uid } = regarding;
    const key = JSON.stringify([apiVersion, kind, namespace, name, uid, reason, note]);
    this.#forgetOld();
    if (this.#said.has(key) || (this.#queue.has(key) && this.#term !== undefined)) return;
    // What is found again is as new as what is found first.
    this.#queue.delete(key);
    if (this.#queue.size >= QUEUE_MAX) {
      this.#drop();
      return;
    }
    this.#queue.set(key, { key, regarding, reason, note, time: microTime(), atMs: performance.now() });
    this.#pump();
  }

  /** Only the leader writes. */
  setLeading(leading: boolean): void {
    if (leading === (this.#term !== undefined)) return;
    this.#term?.abort();
    this.#term = leading ? new AbortController() : undefined;
    this.#forgetOld();
    this.#pump();
  }

  stop(): void {
    this.setLeading(false);
    clearTimeout(this.#timer);
    this.#queue.clear();
  }

  #forgetOld(): void {
    const nowMs = performance.now();
    const { sameMs, keepMs } = this.#timing;
    for (const [key, saidMs] of this.#said) {
      if (nowMs - saidMs <= sameMs) break;
      this.#said.delete(key);
    }
    for (const [key, { atMs }] of this.#queue) {
      if (nowMs - atMs <= keepMs) break;
      this.#queue.delete(key);
    }
    if (this.#queue.size === 0) this.#dropping = false;
  }

  #drop(): void {
    const message = `more than ${QUEUE_MAX} Events wait to be written: those that come now are left out`;
    // A replica that does not lead writes none of them.
    if (this.#term === undefined || this.#dropping) return;
    this.#dropping = true;
    this.#options.log("warn", message);
  }

  /** Writes what waits, one after the other and no faster than the rate. */
  #pump(): void {
    if (this.#term === undefined || this.#writing) return;
    const [next] = this.#queue.values();
    if (next === undefined) return;
    const waitMs = this.#untilNextMs();
    clearTimeout(this.#timer);
    if (waitMs > 0) {
      this.#timer = setTimeout(() => this.#pump(), waitMs);
      return;
    }
    this.#tokens -= 1;
    this.#queue.delete(next.key);
    this.#said.set(next.key, performance.now());
    this.#writing = true;
    void this.#write(next, this.#term.signal).finally(() => {
      this.#writing = false;
      this.#pump();
    });
  }

  #untilNextMs(): number {
    const { intervalMs, burst } = this.#timing;
    const nowMs = performance.now();
    this.#tokens = Math.min(burst, this.#tokens + (nowMs - this.#filledMs) / intervalMs);
    this.#filledMs = nowMs;
    return Math.ceil((1 - this.#tokens) * intervalMs);
  }

  async #write(waiting: Waiting, signal: AbortSignal): Promise<void> {
    const { client, identity, log } = this.#options;
    const path = `/apis/events.k8s.io/v1/namespaces/${waiting.regarding.namespace}/events`;
    try {
      await client.send("POST", path, eventOf(waiting, identity), { signal });
      if (this.#failing) log("info", "Events are written again");
      this.#failing = false;
    } catch (error) {
      this.#said.delete(waiting.key);
      if (signal.aborted) return;
      const fields = { reason: (error as Error).message };
      if (!this.#failing) log("warn", "Events cannot be written; the log says what they would have said", fields);
      this.#failing = true;
    }
  }
}

function eventOf({ regarding, reason, note, time }: Waiting, identity: string): object {
  const { namespace, name } = regarding;
  const suffix = `.${randomBytes(8).toString("hex")}`;
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { namespace, name: `${name.slice(0, NAME_LENGTH_MAX - suffix.length).replace(/[.-]+$/, "")}${suffix}` },
    type: "Warning",
    reason,
    action: ACTION,
    note: cut(note, NOTE_BYTES_MAX),
    regarding,
    eventTime: time,
    reportingController: CONTROLLER,
    reportingInstance: cut(identity, INSTANCE_BYTES_MAX),
  };
}

/** To a number of bytes, with an ellipsis for what is missing. */
function cut(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text).subarray(0, bytesMax - Buffer.byteLength("…"));
  // A character that was cut through leaves replacement characters.
  return `${bytes.toString().replace(/\uFFFD+$/, "")}…`;
}
