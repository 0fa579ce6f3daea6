// The flow-control part of a program for tests, written from src/wire/flow.ts alone.

import * as wire from "../../src/wire/flow.ts";

/** What is left out has the default of docs/scheduling.md; the gate is off. */
export interface FlowSpec {
  /** The feature gate. */
  readonly queues?: boolean;
  readonly evicts?: boolean;
  readonly detector?: DetectorSpec;
  readonly usage?: UsageSpec;
  /** Waiting in all bands of a pool. */
  readonly maxRequests?: number;
  readonly maxBytes?: number;
  /** 0: unbounded. */
  readonly ttlMs?: number;
  /** While the pool has no endpoint; ttlMs if left out. */
  readonly emptyTtlMs?: number;
  /** Of priorities ≥ 0 that have no band of their own. */
  readonly defaultBand?: BandSpec;
  /** Of negative ones; defaultBand if left out. */
  readonly defaultNegativeBand?: BandSpec;
  /** In any order. */
  readonly bands?: readonly (BandSpec & { readonly priority: number })[];
}

type DetectorSpec =
  | {
      readonly type: "utilization-detector";
      readonly queueThreshold?: number;
      readonly kvThreshold?: number;
      readonly staleMs?: number;
    }
  /** A limit that is left out is not counted. */
  | { readonly type: "concurrency-detector"; readonly maxConcurrency?: number; readonly maxTokenConcurrency?: number };

type UsageSpec =
  | { readonly type: "static-usage-limit-policy"; readonly ceiling?: number }
  | {
      readonly type: "priority-holdback-policy";
      readonly minCeiling: number;
      readonly maxCeiling?: number;
      readonly domain?: "rank" | "value";
    };

interface BandSpec {
  readonly maxRequests?: number;
  readonly maxBytes?: number;
  /** The flow's ttlMs if left out. */
  readonly ttlMs?: number;
  readonly fairness?: "round-robin" | "global-strict";
  readonly ordering?: "fcfs" | "edf" | "slo-deadline";
}

const FAIRNESS = { "round-robin": wire.FAIRNESS_ROUND_ROBIN, "global-strict": wire.FAIRNESS_GLOBAL_STRICT };
const ORDERING = { fcfs: wire.ORDERING_FCFS, edf: wire.ORDERING_EDF, "slo-deadline": wire.ORDERING_SLO };

/** FLOW and its bands, the defaults of the reference where the spec says nothing. */
export function encodeFlow(flow: FlowSpec): Buffer {
  const { ttlMs = wire.REQUEST_TTL_MS, defaultBand = {}, defaultNegativeBand = defaultBand, bands = [] } = flow;
  const row = Buffer.alloc(wire.FLOW_BYTES);
  const flags = (flow.queues === true ? wire.QUEUES : 0) | (flow.evicts === true ? wire.EVICTS : 0);
  row.writeUInt32LE(flags, wire.L_FLAGS);
  row.writeUInt32LE(2 + bands.length, wire.L_BAND_COUNT);
  row.writeDoubleLE(flow.maxRequests ?? Number.POSITIVE_INFINITY, wire.L_MAX_REQUESTS);
  row.writeDoubleLE(flow.maxBytes ?? Number.POSITIVE_INFINITY, wire.L_MAX_BYTES);
  row.writeDoubleLE(ttlMs, wire.L_TTL_MS);
  row.writeDoubleLE(flow.emptyTtlMs ?? ttlMs, wire.L_EMPTY_TTL_MS);
  writeDetector(row, flow.detector ?? { type: "utilization-detector" });
  writeUsage(row, flow.usage ?? { type: "static-usage-limit-policy" });
  const own = bands.toSorted((a, b) => b.priority - a.priority);
  const defaults = [defaultBand, defaultNegativeBand].map((band) => ({ ...band, priority: 0 }));
  return Buffer.concat([row, ...[...defaults, ...own].map((band) => encodeBand(band, ttlMs))]);
}

/** What the other detector goes by keeps its defaults. */
function writeDetector(row: Buffer, detector: DetectorSpec): void {
  const isUtilization = detector.type === "utilization-detector";
  const by = isUtilization ? detector : { type: "utilization-detector" };
  const counts = isUtilization ? { maxConcurrency: wire.MAX_CONCURRENCY } : detector;
  row.writeUInt32LE(isUtilization ? wire.DETECTOR_UTILIZATION : wire.DETECTOR_CONCURRENCY, wire.L_DETECTOR);
  row.writeDoubleLE(numberOf(by, "queueThreshold", wire.QUEUE_THRESHOLD), wire.L_QUEUE_THRESHOLD);
  row.writeDoubleLE(Math.fround(numberOf(by, "kvThreshold", wire.KV_THRESHOLD)), wire.L_KV_THRESHOLD);
  row.writeUInt32LE(numberOf(by, "staleMs", 200), wire.L_STALE_MS);
  row.writeDoubleLE(numberOf(counts, "maxConcurrency", Number.POSITIVE_INFINITY), wire.L_MAX_CONCURRENCY);
  row.writeDoubleLE(numberOf(counts, "maxTokenConcurrency", Number.POSITIVE_INFINITY), wire.L_MAX_TOKEN_CONCURRENCY);
}

function numberOf(fields: Readonly<Record<string, unknown>>, name: string, otherwise: number): number {
  return (fields[name] as number | undefined) ?? otherwise;
}

function writeUsage(row: Buffer, usage: UsageSpec): void {
  const isStatic = usage.type === "static-usage-limit-policy";
  const lowest = isStatic ? (usage.ceiling ?? 1) : usage.minCeiling;
  const domain = !isStatic && usage.domain === "value" ? wire.DOMAIN_VALUE : wire.DOMAIN_RANK;
  row.writeUInt32LE(isStatic ? wire.USAGE_STATIC : wire.USAGE_HOLDBACK, wire.L_USAGE);
  row.writeDoubleLE(lowest, wire.L_CEILING);
  row.writeDoubleLE(isStatic ? lowest : (usage.maxCeiling ?? 1), wire.L_MAX_CEILING);
  row.writeUInt32LE(domain, wire.L_DOMAIN);
}

function encodeBand(band: BandSpec & { readonly priority: number }, ttlMs: number): Buffer {
  const row = Buffer.alloc(wire.BAND_BYTES);
  row.writeInt32LE(band.priority, wire.W_PRIORITY);
  row.writeUInt32LE(FAIRNESS[band.fairness ?? "round-robin"], wire.W_FAIRNESS);
  row.writeUInt32LE(ORDERING[band.ordering ?? "fcfs"], wire.W_ORDERING);
  row.writeDoubleLE(band.maxRequests ?? wire.BAND_REQUESTS_MAX, wire.W_MAX_REQUESTS);
  row.writeDoubleLE(band.maxBytes ?? wire.BAND_BYTES_MAX, wire.W_MAX_BYTES);
  row.writeDoubleLE(band.ttlMs ?? ttlMs, wire.W_TTL_MS);
  return row;
}
