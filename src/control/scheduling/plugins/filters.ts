// Filters, but for those by labels. See docs/scheduling.md.

import { MAX_TOKEN_CONCURRENCY } from "../../../wire/flow.ts";
import { STALE_MS } from "../../../wire/policy.ts";
import * as p from "../../../wire/program.ts";
import type { Value } from "../document.ts";
import { asScraped } from "./as-scraped.ts";
import { attributeOf } from "./attributes.ts";
import { contextLength } from "./context-length.ts";
import type { MakeStep, Parameters, Plugin, PluginType } from "./plugin.ts";
import { expectProducer } from "./references.ts";
import { SESSION_PARAMETERS, sessionStep } from "./sessions.ts";
import { topologyLabels } from "./topology.ts";

export const IN_FLIGHT_PRODUCER = "inflight-load-producer";
export const PREFIX_PRODUCER = "approx-prefix-cache-producer";

function filter(make: MakeStep | undefined): Plugin | undefined {
  return make && { role: "step", filter: make };
}

function fallbackFlag(parameters: Parameters): number {
  return parameters.get("fallbackOnEmpty")?.boolean() ? p.FALLBACK_ON_EMPTY : 0;
}

/** The order of the wire. */
const CONDITIONS = ["active-requests", "running-requests", "waiting-queue", "kv-cache-utilization"] as const;

const utilization: PluginType = {
  parameters: ["conditions", "fallbackOnEmpty", "inFlightLoadProducerName"],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "inFlightLoadProducerName", IN_FLIGHT_PRODUCER, surroundings);
    const flags = fallbackFlag(parameters);
    const list = parameters.require("conditions", "a list of {metric, maxValue}");
    const conditions = list?.list();
    if (conditions?.length === 0) list?.error("expected at least one condition, found none");
    const numbers = CONDITIONS.map(() => Number.POSITIVE_INFINITY);
    for (const condition of conditions ?? []) readCondition(condition, numbers);
    return filter(() => ({ id: p.FILTER_UTILIZATION, flags, numbers }));
  },
};

/** Of two conditions on one metric the lower limit counts. */
function readCondition(condition: Value, numbers: number[]): void {
  const fields = condition.fields(["metric", "maxValue"]);
  const metric = fields?.require("metric", `one of ${CONDITIONS.join(", ")}`)?.choice(CONDITIONS);
  const isShare = metric === "kv-cache-utilization";
  const most = fields?.require("maxValue", "a number")?.number(isShare ? { min: 0, max: 1 } : { min: 0 });
  if (metric === undefined || most === undefined) return;
  const n = CONDITIONS.indexOf(metric);
  numbers[n] = Math.min(numbers[n]!, isShare ? asScraped(most) : most);
}

const OPERATORS: Readonly<Record<string, number>> = {
  LessThan: p.OPERATOR_LESS,
  LessThanOrEqual: p.OPERATOR_LESS_OR_EQUAL,
  GreaterThan: p.OPERATOR_GREATER,
  GreaterThanOrEqual: p.OPERATOR_GREATER_OR_EQUAL,
  Equal: p.OPERATOR_EQUAL,
  NotEqual: p.OPERATOR_NOT_EQUAL,
};

const endpointAttribute: PluginType = {
  parameters: ["attribute", "producer", "onMissing", "fallbackOnEmpty", "algorithm"],
  read: (parameters, surroundings) => {
    const attribute = attributeOf(parameters, "attribute", surroundings);
    const onMissing = parameters.get("onMissing")?.choice(["Pass", "Fail"]) ?? "Pass";
    const flags = fallbackFlag(parameters) | (onMissing === "Pass" ? p.PASS_MISSING : 0);
    const algorithm = parameters.require("algorithm", "{type: threshold, threshold: …}")?.fields(["type", "threshold"]);
    algorithm?.require("type", "threshold")?.choice(["threshold"]);
    const threshold = algorithm?.require("threshold", "{operator, value}")?.fields(["operator", "value"]);
    const names = Object.keys(OPERATORS);
    const operator = threshold?.require("operator", `one of ${names.join(", ")}`)?.choice(names);
    const value = threshold?.get("value")?.number() ?? 0;
    if (attribute === undefined || operator === undefined) return undefined;
    const numbers = [asScraped(value), OPERATORS[operator]!];
    return filter((shared) => ({ id: p.FILTER_ATTRIBUTE, flags, number: shared.attribute(attribute), numbers }));
  },
};

const prefixAffinity: PluginType = {
  parameters: [
    "affinityThreshold",
    "explorationProbability",
    "maxTTFTPenaltyMs",
    "ttftSource",
    "peakPrefillThroughput",
    "prefixMatchInfoProducerName",
    "latencyPredictionInfoProducerName",
    "inFlightLoadProducerName",
  ],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "prefixMatchInfoProducerName", PREFIX_PRODUCER, surroundings);
    expectProducer(parameters, "inFlightLoadProducerName", IN_FLIGHT_PRODUCER, surroundings);
    const source = parameters.get("ttftSource");
    if (source?.choice(["prefillThroughput", "latencyPredictor"]) === "latencyPredictor")
      source.error("latencyPredictor: predicted latency is not there yet, expected prefillThroughput");
    const penaltyMs = parameters.get("maxTTFTPenaltyMs")?.number({ min: 0 }) ?? 18_000;
    const throughputValue = parameters.get("peakPrefillThroughput");
    const throughput = throughputValue?.number({ min: 0 }) ?? 15_928;
    if (penaltyMs > 0 && throughput === 0) throughputValue?.expected("a number above 0, as maxTTFTPenaltyMs is");
    const numbers = [
      parameters.get("affinityThreshold")?.number({ max: 1 }) ?? 0.8,
      parameters.get("explorationProbability")?.number({ min: 0, max: 1 }) ?? 0,
      penaltyMs,
      throughput,
    ];
    return filter(() => ({ id: p.FILTER_PREFIX_AFFINITY, numbers }));
  },
};

const session: PluginType = {
  parameters: SESSION_PARAMETERS,
  read: (parameters, surroundings) => filter(sessionStep(p.FILTER_SESSION, parameters, surroundings)),
};

/** Nearest first: a level's place is its number on the wire. */
const LEVELS = ["host", "rack", "zone", "region"] as const;

const topology: PluginType = {
  parameters: ["minAffinity", "topologyProducerName"],
  read: (parameters, surroundings) => {
    const labels = topologyLabels(parameters, surroundings);
    const least = LEVELS.indexOf(parameters.get("minAffinity")?.choice(LEVELS) ?? "host");
    return filter((shared) => ({
      id: p.FILTER_TOPOLOGY,
      number: shared.column({ kind: "topology level", labels }),
      numbers: [least],
    }));
  },
};

const headroomOf = (parameters: Parameters): number => 1 + (parameters.get("headroom")?.number({ min: 0 }) ?? 0);

const utilizationDetector: PluginType = {
  parameters: ["queueDepthThreshold", "kvCacheUtilThreshold", "metricsStalenessThreshold", "headroom"],
  read: (parameters) => {
    const queue = parameters.get("queueDepthThreshold")?.number({ whole: true, min: 1 }) ?? 5;
    const kvUsage = parameters.get("kvCacheUtilThreshold")?.number({ above: 0, max: 1 }) ?? 0.8;
    const stale = parameters.get("metricsStalenessThreshold");
    const staleMs = stale?.duration();
    if (staleMs !== undefined && !(staleMs >= 1 && staleMs <= 3_600_000)) stale?.expected("a duration from 1ms to 1h");
    const headroom = headroomOf(parameters);
    const numbers = [queue * headroom, asScraped(kvUsage * headroom)];
    const written = staleMs === undefined ? {} : { staleMs: Math.round(staleMs) };
    return {
      role: "step",
      filter: () => ({ id: p.FILTER_UTILIZATION_DETECTOR, numbers }),
      saturation: {
        kind: "utilization",
        queueThreshold: queue,
        kvThreshold: asScraped(kvUsage),
        staleMs: STALE_MS,
        ...written,
      },
      ...written,
    };
  },
};

const concurrencyDetector: PluginType = {
  parameters: ["maxConcurrency", "headroom", "concurrencyMode", "maxTokenConcurrency", "inFlightLoadProducerName"],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "inFlightLoadProducerName", IN_FLIGHT_PRODUCER, surroundings);
    const mode = parameters.get("concurrencyMode")?.choice(["requests", "tokens", "hybrid"]) ?? "requests";
    const requests = parameters.get("maxConcurrency")?.number({ whole: true, min: 1 }) ?? 100;
    const tokens = parameters.get("maxTokenConcurrency")?.number({ whole: true, min: 1 }) ?? MAX_TOKEN_CONCURRENCY;
    const headroom = headroomOf(parameters);
    const maxConcurrency = mode === "tokens" ? Number.POSITIVE_INFINITY : requests;
    const maxTokenConcurrency = mode === "requests" ? Number.POSITIVE_INFINITY : tokens;
    const numbers = [maxConcurrency, maxTokenConcurrency].map((limit) => Math.floor(limit * headroom));
    return {
      role: "step",
      filter: () => ({ id: p.FILTER_CONCURRENCY_DETECTOR, numbers }),
      saturation: { kind: "concurrency", maxConcurrency, maxTokenConcurrency },
    };
  },
};

export const FILTERS: Readonly<Record<string, PluginType>> = {
  "utilization-filter": utilization,
  "endpoint-attribute-filter": endpointAttribute,
  "prefix-cache-affinity-filter": prefixAffinity,
  "session-affinity-filter": session,
  "topology-affinity-filter": topology,
  "context-length-aware": contextLength,
  "utilization-detector": utilizationDetector,
  "concurrency-detector": concurrencyDetector,
};
