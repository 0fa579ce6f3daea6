// The loops of all endpoints.

import type { Log } from "../log.ts";
import type { Access } from "./access.ts";
import type { EngineName } from "./engines.ts";
import type { Reading } from "./exposition.ts";
import { ScrapeLoop, type ScrapeTarget } from "./loop.ts";

/** A single failure is often a kept-alive connection that the server has just closed. */
const FAILURES_TO_TELL = 2;

export type FleetOptions = {
  /** Of an endpoint that has work. */
  readonly intervalMs: number;
  readonly access: Access;
  readonly log: Log;
  readonly onReading: (address: string, reading: Reading, intervalMs: number) => void;
  /** After every scrape. `values` is how many values of the page could not be used. */
  readonly onScrape: (outcome: { readonly ok: boolean; readonly durationMs: number; readonly values: number }) => void;
};

type Member = { readonly engine: EngineName; readonly loop: ScrapeLoop; failures: number; wrong: string };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Map<string, Member>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Scrapes these and no others from now on. Each address is there once. */
  setTargets(targets: readonly ScrapeTarget[]): void {
    const wanted = new Map(targets.map((target) => [target.address, target]));
    for (const [address, { engine, loop }] of this.#members) {
      if (wanted.get(address)?.engine === engine) continue;
      this.#members.delete(address);
      void loop.stop();
    }
    for (const target of wanted.values()) if (!this.#members.has(target.address)) this.#start(target);
  }

  setInFlight(inFlight: (address: string) => number | undefined): void {
    for (const [address, { loop }] of this.#members) loop.setInFlight(inFlight(address) ?? 0);
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

  #start(target: ScrapeTarget): void {
    const { intervalMs, access, onReading, onScrape } = this.#options;
    const { address, engine } = target;
    const loop = new ScrapeLoop(target, access, intervalMs, {
      onReading: (reading, nextMs, durationMs) => {
        this.#tellReading(address, member, reading);
        onScrape({ ok: true, durationMs, values: reading.errors.length });
        onReading(address, reading, nextMs);
      },
      onFailure: (reason, durationMs) => {
        this.#tellFailure(address, member, reason);
        onScrape({ ok: false, durationMs, values: 0 });
      },
    });
    const member: Member = { engine, loop, failures: 0, wrong: "" };
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
