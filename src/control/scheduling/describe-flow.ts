// Flow control in the words of the document it comes from, for people.

import * as l from "../../wire/flow.ts";
import type { Parameters } from "./describe.ts";
import type { Band, Detector, Flow, Usage } from "./flow.ts";
import { FAIRNESS, ORDERING, USAGE_POLICY_DEFAULT } from "./plugins/flow-policies.ts";

export type BandView = {
  /** A priority, or those that have no band of their own. */
  readonly priority: string;
  readonly maxRequests: number;
  readonly maxBytes: number;
  /** 0: unbounded. */
  readonly requestTtlSeconds: number;
  readonly fairnessPolicy: string;
  readonly orderingPolicy: string;
};

export type FlowView = {
  /** The feature gate. */
  readonly isOn: boolean;
  readonly saturationDetector: { readonly type: string; readonly parameters: Parameters };
  /** What counts while the gate is on. */
  readonly settings: Parameters;
  readonly bands: readonly BandView[];
};

export function describeFlow(flow: Flow): FlowView {
  const { queues, detector, defaultBand, defaultNegativeBand, bands } = flow;
  const all = [
    bandView("others ≥ 0", defaultBand),
    bandView("others < 0", defaultNegativeBand),
    ...bands.map((band) => bandView(String(band.priority), band)),
  ];
  return {
    isOn: queues,
    saturationDetector: detectorView(detector),
    settings: queues ? settingsView(flow) : {},
    bands: queues ? all : [],
  };
}

/** Infinity is no limit, and not said. */
function limits(numbers: Readonly<Record<string, number>>): Parameters {
  return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value < Number.POSITIVE_INFINITY));
}

function detectorView(detector: Detector): FlowView["saturationDetector"] {
  if (detector.kind === "concurrency") {
    const { maxConcurrency, maxTokenConcurrency } = detector;
    return { type: "concurrency-detector", parameters: limits({ maxConcurrency, maxTokenConcurrency }) };
  }
  const { queueThreshold, kvThreshold, staleMs } = detector;
  const parameters = {
    queueDepthThreshold: queueThreshold,
    kvCacheUtilThreshold: Number(kvThreshold.toPrecision(7)),
    metricsStalenessThresholdMs: staleMs,
  };
  return { type: "utilization-detector", parameters };
}

function settingsView({ maxRequests, maxBytes, ttlMs, emptyTtlMs, usage, evicts }: Flow): Parameters {
  return {
    ...limits({ maxRequests, maxBytes }),
    defaultRequestTtlSeconds: ttlMs / 1000,
    noEndpointRequestTtlSeconds: emptyTtlMs / 1000,
    ...usageView(usage),
    enableEviction: evicts,
  };
}

function usageView(usage: Usage): Parameters {
  if (usage.kind === "static") return { usageLimitPolicy: USAGE_POLICY_DEFAULT, threshold: usage.ceiling };
  const { minCeiling, maxCeiling } = usage;
  const domain = usage.domain === l.DOMAIN_VALUE ? "value" : "rank";
  return { usageLimitPolicy: "priority-holdback-policy", domain, minCeiling, maxCeiling };
}

function bandView(priority: string, { maxRequests, maxBytes, ttlMs, fairness, ordering }: Band): BandView {
  return {
    priority,
    maxRequests,
    maxBytes,
    requestTtlSeconds: ttlMs / 1000,
    fairnessPolicy: nameOf(FAIRNESS, fairness),
    orderingPolicy: nameOf(ORDERING, ordering),
  };
}

function nameOf(names: Readonly<Record<string, number>>, id: number): string {
  return Object.keys(names).find((name) => names[name] === id) ?? `policy ${id}`;
}
