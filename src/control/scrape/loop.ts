// One loop per endpoint: fetch its metrics page, read it, wait. Loops share nothing, so a slow endpoint delays no
// other.

import type { Client } from "undici";
import type { Access } from "./access.ts";
import type { Engines } from "./engines.ts";
import { type PageReader, pageReader, type Reading } from "./exposition.ts";
import type { Pace } from "./pace.ts";

/** A page of vLLM has 60 KB; ten times the adapters and ranks do not make it this large. */
const PAGE_BYTES_MAX = 4_194_304;
const TIMEOUT_MS = 1_000;
/** Keeps the loops from falling into step: 10 % either way. */
const JITTER = 0.1;

/** Readers of the pages of all engines. */
export class PageReaders {
  readonly #label: string;
  readonly #readers: ReadonlyMap<string, PageReader>;

  constructor({ labels, families }: Engines) {
    this.#label = labels[0] ?? "";
    this.#readers = new Map(Object.entries(families).map(([name, own]) => [name, pageReader(own)]));
  }

  read(engine: string, page: string): Reading {
    return this.#readers.get(engine)!(page);
  }

  /** What a page without the engine's metrics has instead. */
  strange(page: string, engine: string): string {
    const other = [...this.#readers].find(([, read]) => hasValues(read(page)))?.[0];
    const hint = other === undefined ? "" : `, but those of ${other}: see the pod's label ${this.#label}`;
    return `the page has none of the metrics of ${engine}${hint}`;
  }
}

export type ScrapeTarget = {
  /** `ip:port` or `[ip]:port`. */
  readonly address: string;
  readonly engine: string;
};

export type ScrapeListener = {
  /** `intervalMs` is the time until the next scrape of this endpoint, before jitter. */
  readonly onReading: (reading: Reading, intervalMs: number, durationMs: number) => void;
  readonly onFailure: (reason: string, durationMs: number) => void;
};

/** Scrapes a target as often as the pace says while there is work, and less and less often when idle. */
export class ScrapeLoop {
  readonly #target: ScrapeTarget;
  readonly #access: Access;
  readonly #readers: PageReaders;
  readonly #pace: Pace;
  readonly #listener: ScrapeListener;
  #client: Client;
  #timer: NodeJS.Timeout | undefined;
  /** The scrape under way. An answer to any other is ignored. */
  #current: Scrape | undefined;
  #stopped = false;
  #startedMs = 0;
  #intervalMs: number;
  #failing = false;
  #inFlight = 0;
  #workSeen = false;

  constructor(
    target: ScrapeTarget,
    { access, readers }: { readonly access: Access; readonly readers: PageReaders },
    pace: Pace,
    listener: ScrapeListener,
    firstMs = pace.firstMs(1),
  ) {
    this.#target = target;
    this.#access = access;
    this.#readers = readers;
    this.#pace = pace;
    this.#intervalMs = pace.quietMs;
    this.#listener = listener;
    this.#client = access.connect(target.address);
    this.#timer = setTimeout(() => this.#scrape(), Math.random() * firstMs);
  }

  /** Whether the endpoint has work, ours or from elsewhere. */
  get busy(): boolean {
    return this.#inFlight > 0 || this.#workSeen;
  }

  /** How many requests of ours the endpoint has. The first ends an idle pause. */
  setInFlight(count: number): void {
    this.#inFlight = count;
    if (count === 0 || this.#failing || this.#intervalMs <= this.#pace.busyMs) return;
    this.#intervalMs = this.#pace.busyMs;
    if (this.#current === undefined) this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#current?.abandon();
    this.#current = undefined;
    await this.#client.destroy();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const spread = 1 + JITTER * (2 * Math.random() - 1);
    const delayMs = this.#startedMs + this.#intervalMs * spread - performance.now();
    this.#timer = setTimeout(() => this.#scrape(), Math.max(0, delayMs));
  }

  #scrape(): void {
    this.#startedMs = performance.now();
    const scrape = new Scrape((page, failure) => this.#finish(scrape, page, failure));
    this.#current = scrape;
    this.#client.dispatch(this.#access.request(), scrape);
  }

  #finish(scrape: Scrape, page: string | undefined, failure: string): void {
    if (this.#stopped || scrape !== this.#current) return;
    this.#current = undefined;
    if (scrape.timedOut) {
      this.#client.destroy().catch(() => {});
      this.#client = this.#access.connect(this.#target.address);
    }
    if (page === undefined) this.#failed(failure);
    else this.#read(page);
    this.#schedule();
  }

  #read(page: string): void {
    const { engine } = this.#target;
    const reading = this.#readers.read(engine, page);
    if (!hasValues(reading)) this.#failed(reading.errors[0] ?? this.#readers.strange(page, engine));
    // The line may lack digits, and lines after it are missing: of a sum a part.
    else if (!page.endsWith("\n")) this.#failed("the page breaks off in the middle of a line");
    else this.#succeeded(reading);
  }

  #succeeded(reading: Reading): void {
    this.#failing = false;
    this.#workSeen = (reading.waiting ?? 0) > 0 || (reading.running ?? 0) > 0;
    const { busyMs, quietMs, idleMs } = this.#pace;
    this.#intervalMs = this.busy ? busyMs : Math.min(Math.max(this.#intervalMs * 2, quietMs), idleMs);
    this.#listener.onReading(reading, this.#intervalMs, performance.now() - this.#startedMs);
  }

  #failed(reason: string): void {
    const { quietMs, idleMs } = this.#pace;
    this.#intervalMs = this.#failing ? Math.min(this.#intervalMs * 2, idleMs) : quietMs;
    this.#failing = true;
    this.#workSeen = false;
    this.#listener.onFailure(reason, performance.now() - this.#startedMs);
  }
}

function hasValues({ waiting, running, kvUsage, attributes }: Reading): boolean {
  return waiting !== undefined || running !== undefined || kvUsage !== undefined || attributes.size > 0;
}

type Controller = { abort(reason: Error): void };

/** One request and its time limit. Calls `finish` once, with the page as latin1 text or with why there is none. */
class Scrape {
  readonly #finish: (page: string | undefined, failure: string) => void;
  readonly #timer: NodeJS.Timeout;
  #controller: Controller | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #status = 0;
  #done = false;
  timedOut = false;

  constructor(finish: (page: string | undefined, failure: string) => void) {
    this.#finish = finish;
    // Where it is us who are late, the answer may have come: it is looked at first.
    this.#timer = setTimeout(() => setImmediate(() => this.#late()), TIMEOUT_MS);
  }

  abandon(): void {
    this.#done = true;
    clearTimeout(this.#timer);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
  }

  onResponseStart(_controller: Controller, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > PAGE_BYTES_MAX) {
      this.#controller?.abort(new Error(`page is larger than ${PAGE_BYTES_MAX} bytes`));
      return;
    }
    if (!this.#done) this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#status !== 200) this.#end(undefined, `answered ${this.#status}, expected 200`);
    else {
      const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      this.#end(body.toString("latin1"), "");
    }
  }

  onResponseError(_controller: Controller, error: Error): void {
    // Node's advice is about its own command line.
    this.#end(undefined, error.message.trim().replace(/; if the root CA is .*/, "; see --metrics-ca"));
  }

  #late(): void {
    this.timedOut = !this.#done;
    this.#end(undefined, `no answer within ${TIMEOUT_MS} ms`);
  }

  #end(page: string | undefined, failure: string): void {
    if (this.#done) return;
    this.abandon();
    this.#finish(page, failure);
  }
}
