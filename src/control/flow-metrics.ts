// Figures of flow control under the reference's names: what waits, what became of it, and how long it took.

import { Counter, Gauge, type Registry } from "prom-client";
import { FAIRNESS_DEFAULT } from "../wire/names.ts";
import * as r from "../wire/report.ts";
import type { FlowTotals } from "./flow-totals.ts";
import { fnv1a } from "./hash.ts";
import { histogramLines } from "./histogram-text.ts";
import type { Flow } from "./scheduling/flow.ts";
import type { PoolView } from "./snapshot.ts";

/** What the figures are made from. */
export type FlowSource = {
  readonly totals: FlowTotals;
  readonly pools: () => readonly PoolView[];
  /** How requests are admitted at present. */
  readonly flow: () => Flow;
  /** Fairness ids that requests have had. */
  readonly fairnessIds: () => Iterable<string>;
};

/** The reference's names of outcomes, by the numbers of the wire. */
const OUTCOMES: Readonly<Record<number, string>> = {
  [r.ADMITTED_AT_ONCE]: "Dispatched",
  [r.ADMITTED_LATER]: "Dispatched",
  [r.REFUSED_FULL]: "RejectedCapacity",
  [r.EXPIRED]: "EvictedTTL",
  [r.EXPIRED_EMPTY]: "EvictedNoEndpoints",
  [r.CANCELLED]: "EvictedContextCancelled",
  [r.SHUT_DOWN]: "EvictedShutdown",
  [r.EVICTED]: "Revoked",
};
/** Ours: the worker's VM that held it trapped. */
const LOST = "Lost";

const PREFIXES = ["llm_d_epp_flow_control_", "inference_extension_flow_control_"];

export function registerFlow(registry: Registry, source: FlowSource): void {
  for (const prefix of PREFIXES) {
    registerOutcomes(registry, `${prefix}requests_total`, source);
    registerWaiting(registry, prefix, source);
    registerShares(registry, prefix, source);
    registerSaturation(registry, `${prefix}pool_saturation`, source);
  }
}

/** Names of pools by the hash that workers know them by. */
function poolNames({ pools }: FlowSource): ReadonlyMap<bigint, string> {
  return new Map(pools().map(({ namespace, name }) => [fnv1a(`${namespace}/${name}`), name]));
}

/** Bands of pools that there are, with the labels of each. */
function bandsOf(source: FlowSource) {
  const names = poolNames(source);
  return source.totals.bands().flatMap((band) => {
    const pool = names.get(band.pool);
    return pool === undefined ? [] : [{ band, labels: { priority: String(band.priority), inference_pool: pool } }];
  });
}

function registerOutcomes(registry: Registry, name: string, source: FlowSource): void {
  new Counter({
    name,
    help: "Requests by what became of them where they are admitted",
    labelNames: ["outcome", "priority", "inference_pool"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { band, labels } of bandsOf(source)) {
        band.outcomes.forEach((count, n) => {
          if (count > 0) this.inc({ outcome: OUTCOMES[n] ?? String(n), ...labels }, count);
        });
        if (band.lost > 0) this.inc({ outcome: LOST, ...labels }, band.lost);
      }
    },
  });
}

function registerWaiting(registry: Registry, prefix: string, source: FlowSource): void {
  new Gauge({
    name: `${prefix}queue_size`,
    help: "Requests that wait",
    labelNames: ["fairness_id", "priority", "inference_pool"],
    registers: [registry],
    collect() {
      this.reset();
      const names = poolNames(source);
      const ids = new Map([...source.fairnessIds()].map((id) => [fnv1a(id), id]));
      ids.set(0n, FAIRNESS_DEFAULT);
      for (const { pool, priority, fairness, waiting } of source.totals.flows()) {
        const name = names.get(pool);
        if (name === undefined) continue;
        const labels = { fairness_id: ids.get(fairness) ?? "other", priority: String(priority), inference_pool: name };
        this.inc(labels, waiting);
      }
    },
  });
  new Gauge({
    name: `${prefix}queue_bytes`,
    help: "Bytes of the bodies of requests that wait",
    labelNames: ["priority", "inference_pool"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { band, labels } of bandsOf(source)) this.set(labels, band.bytes);
    },
  });
}

/** How full a pool's endpoints are by what was scraped last; undefined where nothing is known. */
function saturation({ endpoints }: PoolView, { detector }: Flow): number | undefined {
  if (detector.kind === "concurrency") {
    const inFlight = endpoints.reduce((sum, view) => sum + (view.inFlight ?? 0), 0);
    return endpoints.length === 0 ? 1 : inFlight / (endpoints.length * detector.maxConcurrency);
  }
  const shares = endpoints.flatMap(({ waiting, kvUsage }) =>
    waiting === null || kvUsage === null
      ? []
      : [Math.max(waiting / detector.queueThreshold, kvUsage / detector.kvThreshold)],
  );
  return shares.length === 0 ? undefined : shares.reduce((sum, one) => sum + one, 0) / shares.length;
}

function registerSaturation(registry: Registry, name: string, source: FlowSource): void {
  new Gauge({
    name,
    help: "How full the pool is: 1 and more is saturated",
    labelNames: ["inference_pool"],
    registers: [registry],
    collect() {
      this.reset();
      for (const pool of source.pools()) {
        const known = saturation(pool, source.flow());
        if (known !== undefined) this.set({ inference_pool: pool.name }, known);
      }
    },
  });
}

/** How much of what may wait does. */
function registerShares(registry: Registry, prefix: string, source: FlowSource): void {
  const share = (
    name: string,
    help: string,
    of: (labels: { readonly waiting: number; readonly bytes: number }) => number,
  ) =>
    new Gauge({
      name: `${prefix}${name}`,
      help,
      labelNames: ["priority", "inference_pool"],
      registers: [registry],
      collect() {
        this.reset();
        const { bands, defaultBand, defaultNegativeBand } = source.flow();
        for (const { band, labels } of bandsOf(source)) {
          const own = bands.find(({ priority }) => priority === band.priority);
          const limits = own ?? (band.priority < 0 ? defaultNegativeBand : defaultBand);
          this.set(labels, of({ waiting: band.waiting / limits.maxRequests, bytes: band.bytes / limits.maxBytes }));
        }
      },
    });
  share("capacity_utilization_requests", "Requests that wait, of those that may", ({ waiting }) => waiting);
  share("capacity_utilization_bytes", "Bytes that wait, of those that may", ({ bytes }) => bytes);
}

/** The histogram of how long requests waited, as Prometheus text: its counts come from the workers as they are. */
export function waitedPage(source: FlowSource): string {
  return PREFIXES.map((prefix) => histogram(`${prefix}request_queue_duration_seconds`, source)).join("");
}

function histogram(name: string, source: FlowSource): string {
  const lines = [`# HELP ${name} How long requests waited that left the queue`, `# TYPE ${name} histogram`];
  const bounds = r.WAITED_MS.map((ms) => ms / 1_000);
  for (const { band, labels } of bandsOf(source)) {
    const named = `priority="${labels.priority}",inference_pool="${labels.inference_pool}"`;
    lines.push(...histogramLines({ name, labels: named, bounds, counts: band.waited, sum: band.waitedMs / 1_000 }));
  }
  return `${lines.join("\n")}\n`;
}
