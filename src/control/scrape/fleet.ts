// The loops of all endpoints.

import type { Log } from "../log.ts";
import type { Reading } from "./exposition.ts";
import { ScrapeLoop } from "./loop.ts";

/** A single failure is often a kept-alive connection that the server has just closed. */
const FAILURES_TO_TELL = 2;

export type FleetOptions = {
  /** Of an endpoint that has work. */
  readonly intervalMs: number;
  readonly log: Log;
  readonly onReading: (address: string, reading: Reading, intervalMs: number) => void;
  /** After every scrape. `values` is how many values of the page could not be used. */
  readonly onScrape: (outcome: { readonly ok: boolean; readonly durationMs: number; readonly values: number }) => void;
};

type Member = { readonly loop: ScrapeLoop; failures: number; wrong: string };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Map<string, Member>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Scrapes these and no others from now on. */
  setAddresses(addresses: readonly string[]): void {
    const wanted = new Set(addresses);
    for (const [address, { loop }] of this.#members) {
      if (wanted.has(address)) continue;
      this.#members.delete(address);
      void loop.stop();
    }
    for (const address of wanted) if (!this.#members.has(address)) this.#start(address);
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

  #start(address: string): void {
    const { intervalMs, onReading, onScrape } = this.#options;
    const loop = new ScrapeLoop(address, intervalMs, {
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
    const member: Member = { loop, failures: 0, wrong: "" };
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
