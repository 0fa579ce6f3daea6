// What is in force now: pools with their endpoints, and what is known about each endpoint.

import type { MetricsRow, Topology } from "./encode.ts";
import { type Endpoint, type PoolEndpoints, poolName } from "./endpoints.ts";
import { fnv1a } from "./hash.ts";
import { describeModels, type ModelsView } from "./models/describe.ts";
import type { Report } from "./report.ts";
import { withPriorities } from "./scheduling/flow.ts";
import { labelsToWire, type Place } from "./scheduling/labels.ts";
import type { Scheduling } from "./scheduling/scheduling.ts";
import { NOTHING_READ, type Reading } from "./scrape/exposition.ts";
import type { ScrapeTarget } from "./scrape/loop.ts";

type Known = {
  /** Whose metrics these are. */
  readonly engine: string;
  readonly hash: bigint;
  reading: Omit<Reading, "errors">;
  /** Of the reading, as the wire has them. */
  adapters: MetricsRow["adapters"];
  baseModel: bigint | undefined;
  /** By performance.now(); undefined before the first successful scrape. */
  readAtMs: number | undefined;
  intervalMs: number;
  scrape: number;
};

/** An endpoint as GET /snapshot shows it; null is unknown. */
export type EndpointView = {
  readonly address: string;
  readonly pod: string;
  readonly engine: string;
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
  readonly baseModel: string | null;
  /** Custom metrics by name. */
  readonly attributes: Readonly<Record<string, number>>;
};

export type PoolView = {
  readonly namespace: string;
  readonly name: string;
  readonly endpoints: readonly EndpointView[];
} & ModelsView;

function nothingKnown(address: string, engine: string): Known {
  return {
    engine,
    hash: fnv1a(address),
    reading: NOTHING_READ,
    adapters: undefined,
    baseModel: undefined,
    readAtMs: undefined,
    intervalMs: 0,
    scrape: 0,
  };
}

function adapterHashes({ activeAdapters, waitingAdapters }: Omit<Reading, "errors">): MetricsRow["adapters"] {
  if (activeAdapters === undefined && waitingAdapters === undefined) return undefined;
  const hashes = (names: readonly string[] = []): readonly bigint[] => [...new Set(names)].map(fnv1a);
  return { running: hashes(activeAdapters), waiting: hashes(waitingAdapters) };
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
    const engines = new Map<string, string>();
    for (const { endpoints } of pools)
      for (const { address, engine } of endpoints) if (!engines.has(address)) engines.set(address, engine);
    for (const [address, { engine }] of this.#known) if (engines.get(address) !== engine) this.#known.delete(address);
    for (const [address, engine] of engines)
      if (!this.#known.has(address)) this.#known.set(address, nothingKnown(address, engine));
  }

  /** What was read of pods with these engines is of no use any more. */
  forget(engines: ReadonlySet<string>): void {
    for (const [address, { engine, scrape }] of this.#known)
      if (engines.has(engine)) this.#known.set(address, { ...nothingKnown(address, engine), scrape });
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
      baseModel: reading.baseModel,
      attributes:
        last.attributes.size === 0 ? reading.attributes : new Map([...last.attributes, ...reading.attributes]),
    };
    known.adapters = adapterHashes(known.reading);
    known.baseModel = known.reading.baseModel === undefined ? undefined : fnv1a(known.reading.baseModel);
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

  /**
   * A row for each of `addresses`, with the custom metrics of these names; an address that has left has nothing known.
   */
  rows(addresses: readonly string[], attributes: readonly string[], nowMs: number): readonly MetricsRow[] {
    return addresses.map((address) => {
      const known = this.#known.get(address) ?? nothingKnown(address, "");
      const { waiting, running, kvUsage, blockSize, blocks, maxAdapters } = known.reading;
      return {
        ...{ waiting, running, kvUsage, blockSize, blocks, maxAdapters },
        adapters: known.adapters,
        baseModel: known.baseModel,
        attributes: attributes.map((name) => known.reading.attributes.get(name)),
        ageMs: known.readAtMs === undefined ? undefined : nowMs - known.readAtMs,
        intervalMs: Math.round(known.intervalMs),
        scrape: known.scrape,
      };
    });
  }

  view(nowMs: number): readonly PoolView[] {
    return this.#pools.map(({ pool, endpoints, models }) => ({
      namespace: pool.namespace,
      name: pool.name,
      endpoints: endpoints.map((endpoint) => this.#endpointView(endpoint, nowMs)),
      ...describeModels(models),
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
      baseModel: reading.baseModel ?? null,
      attributes: Object.fromEntries(reading.attributes),
    };
  }
}

/** Those that objects give to requests, by an objective or by the model. */
function prioritiesOf(pools: readonly PoolEndpoints[]): readonly number[] {
  return pools.flatMap(({ models }) =>
    [...(models?.objectives ?? []), ...(models?.models ?? [])].flatMap(({ priority }) => priority ?? []),
  );
}

/** Pools as the wire has them. `place` is the gateway's. */
export function topologyOf(
  pools: readonly PoolEndpoints[],
  scheduling: Scheduling,
  place: Place,
  epoch: number,
): Topology {
  const topologyPools = pools.map(({ pool, endpoints, models }) => ({
    name: poolName(pool),
    failureMode: pool.failureMode,
    ...(models === undefined ? {} : { models }),
    endpoints: endpoints.map(({ address, pod, id, labels, hostname }) => ({
      address,
      pod,
      id,
      ...labelsToWire(labels, scheduling, place, hostname),
    })),
  }));
  const program = { ...scheduling.program, flow: withPriorities(scheduling.program.flow, prioritiesOf(pools)) };
  return { epoch, program, pools: topologyPools };
}
