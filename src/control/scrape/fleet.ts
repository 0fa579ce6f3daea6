// The loops of all endpoints.

import { isDeepStrictEqual } from "node:util";
import type { Log } from "../log.ts";
import type { Access } from "./access.ts";
import type { Engines } from "./engines.ts";
import type { Reading } from "./exposition.ts";
import { PageReaders, type ScrapeListener, ScrapeLoop, type ScrapeTarget } from "./loop.ts";
import { Pace } from "./pace.ts";

/** A single failure is often a kept-alive connection that the server has just closed. */
const FAILURES_TO_TELL = 2;

export type FleetOptions = {
  /** Of an endpoint that has work. */
  readonly intervalMs: number;
  readonly access: Access;
  readonly engines: Engines;
  readonly log: Log;
  readonly onReading: (address: string, reading: Reading, intervalMs: number) => void;
  /** After every scrape. `values` is how many values of the page could not be used. */
  readonly onScrape: (outcome: { readonly ok: boolean; readonly durationMs: number; readonly values: number }) => void;
};

type Member = { readonly target: ScrapeTarget; readonly loop: ScrapeLoop; failures: number; wrong: string };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Map<string, Member>();
  readonly #pace: Pace;
  #engines: Engines;
  #means: { readonly access: Access; readonly readers: PageReaders };

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#engines = options.engines;
    this.#pace = new Pace(options.intervalMs);
    this.#means = { access: options.access, readers: new PageReaders(options.engines) };
  }

  /**
   * Asks and reads in this way from now on. When it is another, all loops start again. Answers the engines whose pages
   * are read otherwise than before.
   */
  setMeans(access: Access, engines: Engines): ReadonlySet<string> {
    if (access === this.#means.access && isDeepStrictEqual(engines, this.#engines)) return new Set();
    const before = this.#engines.families;
    const changed = Object.keys(before).filter((name) => !isDeepStrictEqual(before[name], engines.families[name]));
    this.#engines = engines;
    this.#means = { access, readers: new PageReaders(engines) };
    const targets = [...this.#members.values()].map(({ target }) => target);
    void this.stop();
    this.setTargets(targets.filter(({ engine }) => Object.hasOwn(engines.families, engine)));
    return new Set(changed);
  }

  /** Scrapes these and no others from now on. Each address is there once. */
  setTargets(targets: readonly ScrapeTarget[]): void {
    const wanted = new Map(targets.map((target) => [target.address, target]));
    for (const [address, { target, loop }] of this.#members) {
      if (wanted.get(address)?.engine === target.engine) continue;
      this.#members.delete(address);
      void loop.stop();
    }
    const added = [...wanted.values()].filter(({ address }) => !this.#members.has(address));
    this.#pace.set(wanted.size, this.#busyCount());
    for (const target of added) this.#start(target, this.#pace.firstMs(added.length));
  }

  setInFlight(inFlight: (address: string) => number | undefined): void {
    for (const [address, { loop }] of this.#members) loop.setInFlight(inFlight(address) ?? 0);
    this.#pace.set(this.#members.size, this.#busyCount());
  }

  /** Whether any endpoint has work. */
  busy(): boolean {
    for (const { loop } of this.#members.values()) if (loop.busy) return true;
    return false;
  }

  async stop(): Promise<void> {
    const loops = [...this.#members.values()].map(({ loop }) => loop.stop());
    this.#members.clear();
    await Promise.all(loops);
  }

  #busyCount(): number {
    let count = 0;
    for (const { loop } of this.#members.values()) if (loop.busy) ++count;
    return count;
  }

  #start(target: ScrapeTarget, firstMs: number): void {
    const { onReading, onScrape } = this.#options;
    const { address } = target;
    const listener: ScrapeListener = {
      onReading: (reading, nextMs, durationMs) => {
        this.#tellReading(address, member, reading);
        onScrape({ ok: true, durationMs, values: reading.errors.length });
        onReading(address, reading, nextMs);
      },
      onFailure: (reason, durationMs) => {
        this.#tellFailure(address, member, reason);
        onScrape({ ok: false, durationMs, values: 0 });
      },
    };
    const loop = new ScrapeLoop(target, this.#means, this.#pace, listener, firstMs);
    const member: Member = { target, loop, failures: 0, wrong: "" };
    this.#members.set(address, member);
  }

  #tellReading(endpoint: string, member: Member, reading: Reading): void {
    const { log } = this.#options;
    if (member.failures >= FAILURES_TO_TELL) log("info", "metrics can be read again", { endpoint });
    member.failures = 0;
    const wrong = reading.errors.join("; ");
    if (wrong !== member.wrong && wrong !== "") log("warn", "some metrics cannot be used", { endpoint, reason: wrong });
    member.wrong = wrong;
  }

  #tellFailure(endpoint: string, member: Member, reason: string): void {
    member.failures += 1;
    if (member.failures === FAILURES_TO_TELL)
      this.#options.log("warn", "metrics cannot be read, the last ones age", { endpoint, reason });
  }
}
