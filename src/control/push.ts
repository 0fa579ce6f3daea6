// Pushes snapshots to the proxy's ingest role and asks it what the workers know. One loop, one connection, one call at
// a time: see docs/protocol.md for the calls and their order.

import type { Client } from "undici";
import { PATH_METRICS, PATH_REPORT, PATH_TOPOLOGY } from "../wire/names.ts";
import { controlClient } from "./control-client.ts";
import type { Log } from "./log.ts";
import { decodeReport, type Report } from "./report.ts";

const POLL_BUSY_MS = 100;
const POLL_IDLE_MS = 250;
const BACKOFF_MS = 50;
/** A try on a Unix socket costs next to nothing, and a proxy that has just started answers 503 until it is filled. */
const BACKOFF_MS_MAX = 500;
/**
 * Topologies are pushed at most this often, the newest counting: a rolling update changes membership hundreds of times
 * in a row, and each topology is encoded, taken by ingest and read by every worker as a whole.
 */
const TOPOLOGY_INTERVAL_MS = 50;
/** A topology that was refused is tried again after this: the proxy may have been replaced by a newer one. */
const REFUSED_RETRY_MS = 1_000;

/** Metrics are pushed after so many times what the last push took: those of thousands of endpoints take some 10 ms. */
const METRICS_TIMES = 10;

/** What to push: encoders that are called when the number is known. */
export type Pushed = {
  readonly topology: (epoch: number) => Buffer;
  readonly metrics: (epoch: number, sequence: number) => Buffer;
};

export type PushOptions = {
  readonly socketPath: string;
  /** Metrics are pushed at most this often. */
  readonly intervalMs: number;
  readonly log: Log;
  /** Whether requests are in flight or endpoints at work: then reports are asked for more often. */
  readonly busy: () => boolean;
  /** Called with each report, and with undefined when the proxy is lost. */
  readonly onReport: (report: Report | undefined) => void;
  /** Called after each push that was answered. `code` is undefined when the blob was taken. */
  readonly onPush: (blob: "topology" | "metrics", code: string | undefined) => void;
};

export type PushState = {
  /** Of the last topology sent, 0 before the first. */
  readonly sentEpoch: number;
  /** What all workers pick by; what ingest holds while no worker has spoken; 0 when that is nothing or not known. */
  readonly appliedEpoch: number;
  /** Why the filter holds no snapshot of ours; undefined when it does. */
  readonly notReady: string | undefined;
};

/** The answer of ingest to a blob that it does not take. */
type Refusal = { readonly code: string; readonly message: string };

export class Pusher {
  readonly #options: PushOptions;
  readonly #client: Client;
  readonly #running: Promise<void>;
  #stopped = false;
  #wakeSleeper: () => void = () => {};
  /** Told whether the filter has taken theirs. */
  #waiters = new Map<Pushed, (taken: boolean) => void>();

  #wanted: Pushed | undefined;
  /** Number of the wanted topology; 0 until it is given one. */
  #wantedEpoch = 0;
  /** What the filter holds of ours. */
  #held: { readonly pushed: Pushed; readonly epoch: number } | undefined;
  /** On its way, or sent with no answer: only the next report tells whether the filter has it. */
  #sent: { readonly pushed: Pushed; readonly epoch: number } | undefined;
  #lastEpoch = 0;
  #foundEpoch: number | undefined;
  #appliedEpoch = 0;
  #sequence = 0;
  #metricsChanged = false;
  #metricsNotBeforeMs = Number.NEGATIVE_INFINITY;
  #polledAtMs = Number.NEGATIVE_INFINITY;
  #topologyAtMs = Number.NEGATIVE_INFINITY;
  #topologyNotBeforeMs = Number.NEGATIVE_INFINITY;

  #contact: "none yet" | "up" | "down" = "none yet";
  #lostBecause = "the proxy has not answered yet";
  #refusals: Partial<Record<"topology" | "metrics", string>> = {};

  constructor(options: PushOptions) {
    this.#options = options;
    this.#client = controlClient(options.socketPath);
    this.#running = this.#run();
  }

  /**
   * Puts a topology in force in place of the last one, at once or when the interval since that one is over. True when
   * the filter has taken it; false when it never will: because a newer one came before, or at stop.
   */
  setTopology(pushed: Pushed): Promise<boolean> {
    const last = this.#wanted;
    this.#wanted = pushed;
    if (last && last !== this.#sent?.pushed) this.#settle(last, false);
    this.#wantedEpoch = 0;
    this.#topologyNotBeforeMs = Number.NEGATIVE_INFINITY;
    this.#wakeSleeper();
    return new Promise((resolve) => this.#waiters.set(pushed, resolve));
  }

  /** Rows have changed and are to be pushed soon. */
  metricsChanged(): void {
    if (this.#metricsChanged) return;
    this.#metricsChanged = true;
    this.#wakeSleeper();
  }

  state(): PushState {
    const notReady = this.#held ? undefined : this.#lostBecause;
    return { sentEpoch: this.#lastEpoch, appliedEpoch: this.#appliedEpoch, notReady };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wakeSleeper();
    await this.#client.destroy();
    await this.#running;
    for (const pushed of this.#waiters.keys()) this.#settle(pushed, false);
  }

  async #run(): Promise<void> {
    let backoffMs = BACKOFF_MS;
    while (!this.#stopped) {
      try {
        await this.#work();
        backoffMs = BACKOFF_MS;
        await this.#sleep(this.#dueMs() - performance.now(), true);
      } catch (error) {
        if (this.#stopped) return;
        this.#lost(error as Error);
        await this.#sleep(backoffMs * (0.5 + Math.random() * 0.5), false);
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX);
      }
    }
  }

  async #work(): Promise<void> {
    const nowMs = performance.now();
    if (this.#foundEpoch === undefined || nowMs >= this.#pollDueMs()) await this.#poll();
    if (this.#topologyDue() && nowMs >= this.#topologyDueMs()) await this.#pushTopology(this.#wanted!);
    if (this.#held && this.#metricsChanged && performance.now() >= this.#metricsNotBeforeMs) await this.#pushMetrics();
  }

  #topologyDue(): boolean {
    return (
      this.#wanted !== undefined && (this.#held?.pushed !== this.#wanted || this.#held.epoch !== this.#wantedEpoch)
    );
  }

  #pollDueMs(): number {
    return this.#polledAtMs + (this.#options.busy() ? POLL_BUSY_MS : POLL_IDLE_MS);
  }

  #topologyDueMs(): number {
    return Math.max(this.#topologyNotBeforeMs, this.#topologyAtMs + TOPOLOGY_INTERVAL_MS);
  }

  #dueMs(): number {
    let dueMs = this.#pollDueMs();
    if (this.#topologyDue()) dueMs = Math.min(dueMs, this.#topologyDueMs());
    if (this.#held && this.#metricsChanged) dueMs = Math.min(dueMs, this.#metricsNotBeforeMs);
    return dueMs;
  }

  /** Waits; news ends the wait early when it is `wakeable`, the end of the agent always does. */
  async #sleep(delayMs: number, wakeable: boolean): Promise<void> {
    if (this.#stopped || delayMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wakeSleeper = () => {
        if (!wakeable && !this.#stopped) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wakeSleeper = () => {};
  }

  async #poll(): Promise<void> {
    this.#polledAtMs = performance.now();
    const { status, body } = await this.#call("GET", PATH_REPORT);
    if (status !== 200) throw new Error(`GET ${PATH_REPORT} answered ${status}, expected 200`);
    const decoded = decodeReport(body);
    if (!decoded.ok) throw new Error(`GET ${PATH_REPORT} answered what is no report: ${decoded.error.message}`);
    const report = decoded.value;
    this.#foundEpoch = report.topologyEpoch;
    this.#settleSent(this.#sent?.epoch === report.topologyEpoch);
    this.#appliedEpoch = Math.min(...report.workers.map((worker) => worker.topologyEpoch), report.topologyEpoch);
    this.#inContact();
    if (this.#held && this.#held.epoch !== report.topologyEpoch) this.#replaced(report.topologyEpoch);
    this.#options.onReport(report);
  }

  #inContact(): void {
    if (this.#contact !== "up") this.#options.log("info", "the proxy answers", { socket: this.#options.socketPath });
    this.#contact = "up";
    if (!this.#held) this.#lostBecause = "the proxy has not taken a snapshot yet";
  }

  #replaced(foundEpoch: number): void {
    const { log } = this.#options;
    this.#held = undefined;
    if (foundEpoch === 0) {
      this.#lostBecause = "the proxy has lost its snapshot";
      log("info", "the proxy has started again, everything is sent again");
      return;
    }
    this.#wantedEpoch = 0;
    this.#lostBecause = "another agent has replaced the snapshot";
    log("warn", "another agent has replaced the snapshot, everything is sent again", { epoch: foundEpoch });
  }

  #lost(error: Error): void {
    const { log, socketPath, onReport } = this.#options;
    if (this.#contact !== "down")
      log("warn", "the proxy does not answer", { socket: socketPath, reason: error.message });
    this.#contact = "down";
    this.#lostBecause = `the proxy does not answer on ${socketPath}: ${error.message}`;
    this.#held = undefined;
    this.#foundEpoch = undefined;
    this.#appliedEpoch = 0;
    onReport(undefined);
  }

  async #pushTopology(pushed: Pushed): Promise<void> {
    if (this.#wantedEpoch <= (this.#foundEpoch ?? 0))
      this.#wantedEpoch = Math.max(Date.now(), (this.#foundEpoch ?? 0) + 1);
    const epoch = this.#wantedEpoch;
    this.#topologyAtMs = performance.now();
    this.#lastEpoch = epoch;
    this.#sent = { pushed, epoch };
    const refusal = await this.#put("topology", PATH_TOPOLOGY, pushed.topology(epoch));
    this.#settleSent(refusal === undefined);
    if (refusal) {
      this.#topologyNotBeforeMs = performance.now() + REFUSED_RETRY_MS;
      if (!this.#held) this.#lostBecause = `the proxy refused the topology: ${refusal.code}: ${refusal.message}`;
      return;
    }
    this.#foundEpoch = epoch;
    this.#held = { pushed, epoch };
    this.#sequence = 0;
    this.#metricsChanged = true;
    this.#metricsNotBeforeMs = Number.NEGATIVE_INFINITY;
  }

  async #pushMetrics(): Promise<void> {
    const held = this.#held!;
    this.#metricsChanged = false;
    const startMs = performance.now();
    this.#sequence += 1;
    await this.#put("metrics", PATH_METRICS, held.pushed.metrics(held.epoch, this.#sequence));
    const tookMs = performance.now() - startMs;
    this.#metricsNotBeforeMs = startMs + Math.max(this.#options.intervalMs, METRICS_TIMES * tookMs);
  }

  /** Undefined when the blob was taken. */
  async #put(blob: "topology" | "metrics", path: string, bytes: Buffer): Promise<Refusal | undefined> {
    const { log, onPush } = this.#options;
    const { status, body } = await this.#call("PUT", path, bytes);
    const refusal = status === 200 ? undefined : refusalOf(status, body);
    onPush(blob, refusal?.code);
    const told = refusal && `${refusal.code}: ${refusal.message}`;
    if (told !== undefined && told !== this.#refusals[blob])
      log("error", `the proxy refused a ${blob} blob`, { reason: told });
    if (told === undefined) delete this.#refusals[blob];
    else this.#refusals[blob] = told;
    return refusal;
  }

  async #call(method: "GET" | "PUT", path: string, body?: Buffer): Promise<{ status: number; body: Buffer }> {
    const headers = body ? { "content-type": "application/octet-stream" } : {};
    const answer = await this.#client.request({ method, path, headers, body: body ?? null });
    return { status: answer.statusCode, body: Buffer.from(await answer.body.arrayBuffer()) };
  }

  /** One that was not taken but is still wanted is sent again. */
  #settleSent(taken: boolean): void {
    const pushed = this.#sent?.pushed;
    this.#sent = undefined;
    if (pushed && (taken || pushed !== this.#wanted)) this.#settle(pushed, taken);
  }

  #settle(pushed: Pushed, taken: boolean): void {
    this.#waiters.get(pushed)?.(taken);
    this.#waiters.delete(pushed);
  }
}

/** From a body of the form {"error":{"message","code"}}; the status stands in for a code that is not there. */
function refusalOf(status: number, body: Buffer): Refusal {
  const text = body.toString("utf8");
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; code?: unknown } };
    const code = typeof error?.code === "string" ? error.code : String(status);
    return { code, message: typeof error?.message === "string" ? error.message : text.slice(0, 200) };
  } catch {
    return { code: String(status), message: text.slice(0, 200) };
  }
}
