// All that is known of one endpoint, from its metrics, from this proxy's requests and from other workers.

import { FAILURE_COOLDOWN_MS, FAILURE_COOLDOWN_MS_MAX, STALE_INTERVALS } from "../../src/wire/policy.ts";
import type { Told } from "../host/column.ts";
import type { EndpointSpec, RowSpec } from "../host/snapshot.ts";
import type { Adapters } from "./candidates.ts";

/** A cooldown: doubled for each failure in a row. */
function cooldownNs(failures: number): bigint {
  const ms = Math.min(FAILURE_COOLDOWN_MS * 2 ** (failures - 1), FAILURE_COOLDOWN_MS_MAX);
  return failures === 0 ? 0n : BigInt(ms) * 1_000_000n;
}

export class KnownEndpoint {
  readonly spec: EndpointSpec;
  readonly id: string;
  readonly row: number;
  private measured: RowSpec = {};
  /** As of when anything was known of it last. */
  blockSize: number | undefined;
  private receivedNs = 0n;
  private scrape = 0;
  private inFlightAtScrape = 0;
  private ownInFlight = 0;
  private ownTokens = 0;
  private readonly ownAdapters: string[] = [];
  private failures = 0;
  private failedNs = 0n;
  private downUntilNs = 0n;
  private others: Told;

  constructor(spec: EndpointSpec, id: string, row: number) {
    this.spec = spec;
    this.id = id;
    this.row = row;
    this.others = { address: spec.address };
  }

  /** Takes what was scraped; a new number of the scrape is a new measurement. */
  measure(row: RowSpec, sequence: number, nowNs: bigint): void {
    this.measured = row;
    this.receivedNs = nowNs;
    if (this.isMeasured) this.blockSize = row.blockSize;
    if (!this.isMeasured || this.scrape === (row.scrape ?? sequence)) return;
    this.scrape = row.scrape ?? sequence;
    this.inFlightAtScrape = this.inFlight;
  }

  hear(told: Told): void {
    this.others = told;
  }

  private get isMeasured(): boolean {
    const { waiting, running, kvUsage, blockSize, blocks, maxAdapters, attributes = [] } = this.measured;
    const { runningAdapters, waitingAdapters } = this.measured;
    const values = [waiting, running, kvUsage, blockSize, blocks, maxAdapters, runningAdapters, waitingAdapters];
    return [...values, ...attributes].some((value) => value !== undefined);
  }

  isStale(staleMs: number, nowNs: bigint): boolean {
    if (!this.isMeasured) return true;
    const ageMs = (this.measured.ageMs ?? 0) + Number(nowNs - this.receivedNs) / 1e6;
    return ageMs > Math.max(staleMs, STALE_INTERVALS * (this.measured.intervalMs ?? 50));
  }

  isDown(nowNs: bigint): boolean {
    const { failures = 0, failedNs = 0n } = this.others;
    return this.downUntilNs > nowNs || (failures > 0 && failedNs + cooldownNs(failures) > nowNs);
  }

  /** W */
  get waiting(): number | undefined {
    const { waiting } = this.measured;
    if (waiting === undefined || waiting === 0) return waiting;
    return Math.max(0, Math.fround(waiting) + this.inFlight - this.inFlightAtScrape);
  }

  get running(): number | undefined {
    return this.measured.running === undefined ? undefined : Math.fround(this.measured.running);
  }

  get kvUsage(): number | undefined {
    return this.measured.kvUsage === undefined ? undefined : Math.fround(this.measured.kvUsage);
  }

  get attributes(): (number | undefined)[] {
    return (this.measured.attributes ?? []).map((value) => (value === undefined ? undefined : Math.fround(value)));
  }

  /** c */
  get inFlight(): number {
    return this.ownInFlight + (this.others.inFlight ?? 0);
  }

  /** t */
  get tokens(): number {
    return this.ownTokens + (this.others.tokens ?? 0);
  }

  get adapters(): Adapters {
    const told = Object.entries(this.others.adapters ?? {}).flatMap(([name, count]) => (count > 0 ? [name] : []));
    return {
      running: this.measured.runningAdapters ?? [],
      waiting: this.measured.waitingAdapters ?? [],
      inFlight: [...this.ownAdapters, ...told],
      max: this.measured.maxAdapters ?? 0,
      baseModel: this.measured.baseModel,
    };
  }

  /** A request goes there. One that failed and has served its time is tried by this request alone. */
  noteSent(model: string | undefined, tokens: number, nowNs: bigint): void {
    this.noteArrived(model);
    this.addTokens(tokens);
    if (this.failures > 0) this.downUntilNs = nowNs + cooldownNs(this.failures);
  }

  noteArrived(model: string | undefined): void {
    this.ownInFlight++;
    if (model !== undefined) this.ownAdapters.push(model);
  }

  noteGone(model: string | undefined): void {
    this.ownInFlight--;
    if (model !== undefined) this.ownAdapters.splice(this.ownAdapters.indexOf(model), 1);
  }

  addTokens(tokens: number): void {
    this.ownTokens += tokens;
  }

  releaseTokens(tokens: number): void {
    this.ownTokens -= tokens;
  }

  /** What was sent before it failed fails with it, and counts as that one failure. */
  noteFailure(nowNs: bigint): void {
    if (this.failures > 0 && nowNs - this.failedNs < cooldownNs(this.failures)) return;
    this.failures++;
    this.failedNs = nowNs;
    this.downUntilNs = nowNs + cooldownNs(this.failures);
  }

  noteSuccess(): void {
    this.failures = 0;
    this.downUntilNs = 0n;
  }
}
