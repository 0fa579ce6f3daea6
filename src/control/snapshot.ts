// What is in force now: pools with their endpoints, and what is known about each endpoint.

import { addressHash } from "./address-hash.ts";
import type { MetricsRow, Topology } from "./encode.ts";
import { type Endpoint, type PoolEndpoints, poolName } from "./endpoints.ts";
import type { Report } from "./report.ts";
import type { EngineName } from "./scrape/engines.ts";
import { NOTHING_READ, type Reading } from "./scrape/exposition.ts";
import type { ScrapeTarget } from "./scrape/loop.ts";

type Known = {
  /** Whose metrics these are. */
  readonly engine: EngineName;
  readonly hash: bigint;
  reading: Omit<Reading, "errors">;
  /** By performance.now(); undefined before the first successful scrape. */
  readAtMs: number | undefined;
  intervalMs: number;
  scrape: number;
};

/** An endpoint as GET /snapshot shows it; null is unknown. */
export type EndpointView = {
  readonly address: string;
  readonly pod: string;
  readonly engine: EngineName;
  readonly waiting: number | null;
  readonly running: number | null;
  readonly kvUsage: number | null;
  readonly inFlight: number | null;
  readonly metricsAgeMs: number | null;
  readonly blockSize: number | null;
  readonly blocks: number | null;
  readonly activeAdapters: readonly string[];
  readonly waitingAdapters: readonly string[];
  readonly maxAdapters: number | null;
};

export type PoolView = {
  readonly namespace: string;
  readonly name: string;
  readonly endpoints: readonly EndpointView[];
};

function nothingKnown(address: string, engine: EngineName): Known {
  const hash = addressHash(address);
  return { engine, hash, reading: NOTHING_READ, readAtMs: undefined, intervalMs: 0, scrape: 0 };
}

/** Metrics are kept by address and engine, so they outlive a change of topology. */
export class Snapshot {
  #pools: readonly PoolEndpoints[] = [];
  readonly #known = new Map<string, Known>();
  #inFlight: ReadonlyMap<bigint, number> | undefined;

  /** What is to be scraped: each address once. */
  targets(): readonly ScrapeTarget[] {
    return [...this.#known].map(([address, { engine }]) => ({ address, engine }));
  }

  setPools(pools: readonly PoolEndpoints[]): void {
    this.#pools = pools;
    const engines = new Map<string, EngineName>();
    for (const { endpoints } of pools)
      for (const { address, engine } of endpoints) if (!engines.has(address)) engines.set(address, engine);
    for (const [address, { engine }] of this.#known) if (engines.get(address) !== engine) this.#known.delete(address);
    for (const [address, engine] of engines)
      if (!this.#known.has(address)) this.#known.set(address, nothingKnown(address, engine));
  }

  /** A value that this reading lacks keeps its last state. */
  record(address: string, reading: Reading, intervalMs: number, nowMs: number): void {
    const known = this.#known.get(address);
    if (!known) return;
    const last = known.reading;
    known.reading = {
      waiting: reading.waiting ?? last.waiting,
      running: reading.running ?? last.running,
      kvUsage: reading.kvUsage ?? last.kvUsage,
      blockSize: reading.blockSize ?? last.blockSize,
      blocks: reading.blocks ?? last.blocks,
      maxAdapters: reading.maxAdapters ?? last.maxAdapters,
      activeAdapters: reading.activeAdapters ?? last.activeAdapters,
      waitingAdapters: reading.waitingAdapters ?? last.waitingAdapters,
    };
    known.readAtMs = nowMs;
    known.intervalMs = intervalMs;
    known.scrape += 1;
  }

  /** Adds up what the workers have in flight. Undefined: nobody knows. */
  setReport(report: Report | undefined): void {
    if (!report) {
      this.#inFlight = undefined;
      return;
    }
    const inFlight = new Map<bigint, number>();
    for (const worker of report.workers)
      for (const entry of worker.entries) inFlight.set(entry.hash, (inFlight.get(entry.hash) ?? 0) + entry.inFlight);
    this.#inFlight = inFlight;
  }

  /** Undefined when no report has come from the proxy. */
  inFlight(address: string): number | undefined {
    const known = this.#known.get(address);
    return known && this.#inFlight ? (this.#inFlight.get(known.hash) ?? 0) : undefined;
  }

  /** A row for each of `addresses`; an address that has left has nothing known. */
  rows(addresses: readonly string[], nowMs: number): readonly MetricsRow[] {
    return addresses.map((address) => {
      const known = this.#known.get(address);
      const { activeAdapters: _active, waitingAdapters: _waiting, ...values } = known?.reading ?? NOTHING_READ;
      const ageMs = known?.readAtMs === undefined ? undefined : nowMs - known.readAtMs;
      return { ...values, ageMs, intervalMs: Math.round(known?.intervalMs ?? 0), scrape: known?.scrape ?? 0 };
    });
  }

  view(nowMs: number): readonly PoolView[] {
    return this.#pools.map(({ pool, endpoints }) => ({
      namespace: pool.namespace,
      name: pool.name,
      endpoints: endpoints.map((endpoint) => this.#endpointView(endpoint, nowMs)),
    }));
  }

  #endpointView({ address, pod, engine }: Endpoint, nowMs: number): EndpointView {
    const known = this.#known.get(address);
    const reading = known?.reading ?? NOTHING_READ;
    return {
      address,
      pod,
      engine: known?.engine ?? engine,
      waiting: reading.waiting ?? null,
      running: reading.running ?? null,
      kvUsage: reading.kvUsage ?? null,
      inFlight: this.inFlight(address) ?? null,
      metricsAgeMs: known?.readAtMs === undefined ? null : Math.round(nowMs - known.readAtMs),
      blockSize: reading.blockSize ?? null,
      blocks: reading.blocks ?? null,
      activeAdapters: reading.activeAdapters ?? [],
      waitingAdapters: reading.waitingAdapters ?? [],
      maxAdapters: reading.maxAdapters ?? null,
    };
  }
}

/** Pools as the wire has them. */
export function topologyOf(pools: readonly PoolEndpoints[], epoch: number): Topology {
  const topologyPools = pools.map(({ pool, endpoints }) => ({
    name: poolName(pool),
    failureMode: pool.failureMode,
    endpoints,
  }));
  return { epoch, pools: topologyPools };
}
