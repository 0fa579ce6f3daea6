// How requests are admitted: saturation, bands and limits, as numbers. src/wire/flow.ts says what the ids mean,
// docs/scheduling.md where the defaults come from.

import * as l from "../../wire/flow.ts";
import { BANDS_MAX } from "../../wire/limits.ts";
import { STALE_MS } from "../../wire/policy.ts";
import { asScraped } from "./plugins/as-scraped.ts";

/** What says how full a pool is. */
export type Detector =
  | {
      readonly kind: "utilization";
      readonly queueThreshold: number;
      /** In single precision, as KV use is scraped. */
      readonly kvThreshold: number;
      readonly staleMs: number;
    }
  /** Per endpoint; Infinity where the mode does not count it. */
  | { readonly kind: "concurrency"; readonly maxConcurrency: number; readonly maxTokenConcurrency: number };

/** The saturation at which a priority stops. */
export type Usage =
  | { readonly kind: "static"; readonly ceiling: number }
  | {
      readonly kind: "holdback";
      /** DOMAIN_… of the wire. */
      readonly domain: number;
      readonly minCeiling: number;
      readonly maxCeiling: number;
    };

/** What holds for the waiting requests of a priority. */
export type Band = {
  readonly maxRequests: number;
  readonly maxBytes: number;
  /** 0: unbounded. */
  readonly ttlMs: number;
  /** FAIRNESS_… of the wire. */
  readonly fairness: number;
  /** ORDERING_… of the wire. */
  readonly ordering: number;
};

export type OwnBand = Band & { readonly priority: number };

export type Flow = {
  /** The feature gate. Without it all but the detector is as by default. */
  readonly queues: boolean;
  readonly evicts: boolean;
  readonly detector: Detector;
  readonly usage: Usage;
  /** Of all bands of a pool; Infinity: no bound. */
  readonly maxRequests: number;
  readonly maxBytes: number;
  /** Of a waiting request; 0: unbounded. */
  readonly ttlMs: number;
  /** While the pool has no endpoint. */
  readonly emptyTtlMs: number;
  /** Of priorities ≥ 0 without a band of their own. */
  readonly defaultBand: Band;
  readonly defaultNegativeBand: Band;
  /** Highest priority first, each once. */
  readonly bands: readonly OwnBand[];
};

export const DETECTOR_DEFAULT: Detector = {
  kind: "utilization",
  queueThreshold: l.QUEUE_THRESHOLD,
  kvThreshold: asScraped(l.KV_THRESHOLD),
  staleMs: STALE_MS,
};

export const USAGE_DEFAULT: Usage = { kind: "static", ceiling: 1 };

export const BAND_DEFAULT: Band = {
  maxRequests: l.BAND_REQUESTS_MAX,
  maxBytes: l.BAND_BYTES_MAX,
  ttlMs: l.REQUEST_TTL_MS,
  fairness: l.FAIRNESS_ROUND_ROBIN,
  ordering: l.ORDERING_FCFS,
};

/** What counts when a document says nothing. */
export const FLOW_DEFAULT: Flow = {
  queues: false,
  evicts: false,
  detector: DETECTOR_DEFAULT,
  usage: USAGE_DEFAULT,
  maxRequests: Number.POSITIVE_INFINITY,
  maxBytes: Number.POSITIVE_INFINITY,
  ttlMs: l.REQUEST_TTL_MS,
  emptyTtlMs: l.REQUEST_TTL_MS,
  defaultBand: BAND_DEFAULT,
  defaultNegativeBand: BAND_DEFAULT,
  bands: [],
};

/**
 * The same with bands of their own for these priorities too, as far as there is room. Only what is held back by
 * priority needs it: ceilings are spread over the bands there are.
 */
export function withPriorities(flow: Flow, priorities: Iterable<number>): Flow {
  if (flow.usage.kind !== "holdback") return flow;
  const own = new Map(flow.bands.map((band) => [band.priority, band]));
  for (const priority of priorities) {
    if (own.size >= BANDS_MAX) break;
    const band = priority < 0 ? flow.defaultNegativeBand : flow.defaultBand;
    if (!own.has(priority)) own.set(priority, { ...band, priority });
  }
  return { ...flow, bands: highestFirst([...own.values()]) };
}

export function highestFirst(bands: readonly OwnBand[]): readonly OwnBand[] {
  return bands.toSorted((a, b) => b.priority - a.priority);
}

/** The longest that a request may wait; undefined when none may, or some without end. */
export function longestWaitMs(flow: Flow): number | undefined {
  if (!flow.queues) return undefined;
  const all = [
    flow.ttlMs,
    flow.emptyTtlMs,
    ...[flow.defaultBand, flow.defaultNegativeBand, ...flow.bands].map((band) => band.ttlMs),
  ];
  return all.includes(0) ? undefined : Math.max(...all);
}
