// Scorers. See docs/scheduling.md.

import { IN_FLIGHT_FLOOR } from "../../../wire/policy.ts";
import * as p from "../../../wire/program.ts";
import type { Value } from "../document.ts";
import { COLD_SIZE } from "../program.ts";
import { asScraped } from "./as-scraped.ts";
import { attributeOf } from "./attributes.ts";
import { IN_FLIGHT_PRODUCER, PREFIX_PRODUCER } from "./filters.ts";
import { headerName } from "./headers.ts";
import type { MakeStep, Parameters, Plugin, PluginType } from "./plugin.ts";
import { expectProducer } from "./references.ts";
import { SESSION_PARAMETERS, sessionStep } from "./sessions.ts";
import { topologyLabels } from "./topology.ts";

const TOKENS_MAX = Number.MAX_SAFE_INTEGER;

function scorer(make: MakeStep | undefined): Plugin | undefined {
  return make && { role: "step", scorer: make };
}

function plain(id: number): PluginType {
  return { parameters: [], read: () => scorer(() => ({ id })) };
}

/** As in the reference, 0 and less mean the default. */
function wholeOr(parameters: Parameters, name: string, otherwise: number): number {
  const value = parameters.get(name)?.number({ whole: true, max: TOKENS_MAX }) ?? 0;
  return value > 0 ? value : otherwise;
}

const prefix: PluginType = {
  parameters: ["prefixMatchInfoProducerName", "matchLengthWeight", "matchLengthScaleTokens"],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "prefixMatchInfoProducerName", PREFIX_PRODUCER, surroundings);
    const weight = parameters.get("matchLengthWeight")?.number({ min: 0, max: 1 }) ?? 0;
    const range = weight > 0 ? { whole: true, min: 1 } : { whole: true };
    const scale = parameters.get("matchLengthScaleTokens")?.number(range) ?? 8192;
    return scorer(() => ({ id: p.SCORER_PREFIX, numbers: [weight, scale] }));
  },
};

const load: PluginType = {
  parameters: ["threshold"],
  read: (parameters) => {
    const threshold = wholeOr(parameters, "threshold", 128);
    return scorer(() => ({ id: p.SCORER_LOAD, numbers: [threshold] }));
  },
};

const activeRequest: PluginType = {
  parameters: ["requestTimeout", "idleThreshold", "maxBusyScore", "inFlightLoadProducerName"],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "inFlightLoadProducerName", IN_FLIGHT_PRODUCER, surroundings);
    parameters.get("requestTimeout")?.warn("is deprecated and has no effect: requests count until they end");
    const idle = parameters.get("idleThreshold")?.numberOr({ whole: true, min: 0 }, 0) ?? 0;
    const busy = parameters.get("maxBusyScore")?.numberOr({ min: 0, max: 1 }, 1) ?? 1;
    return scorer(() => ({ id: p.SCORER_ACTIVE_REQUEST, numbers: [idle, busy] }));
  },
};

const tokenLoad: PluginType = {
  parameters: ["queueThresholdTokens", "inFlightLoadProducerName"],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "inFlightLoadProducerName", IN_FLIGHT_PRODUCER, surroundings);
    const threshold = wholeOr(parameters, "queueThresholdTokens", 4_194_304);
    return scorer(() => ({ id: p.SCORER_TOKEN_LOAD, numbers: [threshold] }));
  },
};

const session: PluginType = {
  parameters: SESSION_PARAMETERS,
  read: (parameters, surroundings) => scorer(sessionStep(p.SCORER_SESSION, parameters, surroundings)),
};

/** More endpoints than there can be need not be remembered. */
const COLD_SIZE_MAX = 1_000_000;

const noHit: PluginType = {
  parameters: ["prefixPluginType", "prefixPluginName", "lruSize", "prefixMatchInfoProducerName"],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "prefixMatchInfoProducerName", PREFIX_PRODUCER, surroundings);
    for (const name of ["prefixPluginType", "prefixPluginName"])
      parameters.get(name)?.warn("is deprecated and has no effect");
    const size = Math.min(wholeOr(parameters, "lruSize", COLD_SIZE), COLD_SIZE_MAX);
    return scorer((shared) => {
      shared.coldSize(size);
      return { id: p.SCORER_NO_HIT_LRU };
    });
  },
};

const ALGORITHMS = ["linear_lower_is_better", "linear_higher_is_better"] as const;

const endpointAttribute: PluginType = {
  parameters: ["attributeKey", "producer", "algorithm"],
  read: (parameters, surroundings) => {
    const attribute = attributeOf(parameters, "attributeKey", surroundings);
    const algorithm = parameters.require("algorithm", "{type, normalization}")?.fields(["type", "normalization"]);
    const type = algorithm?.require("type", `one of ${ALGORITHMS.join(", ")}`)?.choice(ALGORITHMS);
    const range = fixedRange(algorithm?.get("normalization"));
    if (attribute === undefined || type === undefined) return undefined;
    const flags = (type === "linear_lower_is_better" ? p.LOWER_IS_BETTER : 0) | (range ? p.FIXED_RANGE : 0);
    return scorer((shared) => ({
      id: p.SCORER_ATTRIBUTE,
      flags,
      number: shared.attribute(attribute),
      numbers: range ?? [],
    }));
  },
};

function fixedRange(normalization: Value | undefined): readonly [number, number] | undefined {
  const fields = normalization?.fields(["fixedRange", "adaptiveRange"]);
  fields?.get("adaptiveRange")?.fields([]);
  const fixed = fields?.get("fixedRange");
  if (fixed === undefined) return undefined;
  if (fields?.get("adaptiveRange") !== undefined) normalization?.error("expected one of fixedRange and adaptiveRange");
  const range = fixed.fields(["min", "max"]);
  const min = asScraped(range?.get("min")?.number() ?? 0);
  const max = asScraped(range?.get("max")?.number() ?? 0);
  if (range !== undefined && min >= max) fixed.error(`expected min below max, found ${min} and ${max}`);
  return [min, max];
}

const headerLabel: PluginType = {
  parameters: ["headerName", "labelKey"],
  read: (parameters) => {
    const named = parameters.require("headerName", "the name of a header");
    const header = named && headerName(named, "");
    if (header === "") named?.expected("the name of a header");
    const key = parameters.require("labelKey", "the name of a label");
    const label = key?.text();
    if (label === "") key?.expected("the name of a label");
    if (!header || !label) return undefined;
    return scorer((shared) => ({
      id: p.SCORER_HEADER_LABEL,
      number: shared.column({ kind: "label value", label }),
      headers: [header],
    }));
  },
};

const topology: PluginType = {
  parameters: ["topologyProducerName"],
  read: (parameters, surroundings) => {
    const labels = topologyLabels(parameters, surroundings);
    return scorer((shared) => ({
      id: p.SCORER_TOPOLOGY,
      number: shared.column({ kind: "topology level", labels }),
    }));
  },
};

const inFlight: PluginType = {
  parameters: ["floor"],
  read: (parameters) => {
    const floor = parameters.get("floor")?.number({ min: 1 }) ?? IN_FLIGHT_FLOOR;
    return scorer(() => ({ id: p.SCORER_IN_FLIGHT, numbers: [floor] }));
  },
};

export const SCORERS: Readonly<Record<string, PluginType>> = {
  "queue-scorer": plain(p.SCORER_QUEUE),
  "running-requests-size-scorer": plain(p.SCORER_RUNNING),
  "kv-cache-utilization-scorer": plain(p.SCORER_KV_USAGE),
  "prefix-cache-scorer": prefix,
  "lora-affinity-scorer": plain(p.SCORER_LORA),
  "load-aware-scorer": load,
  "active-request-scorer": activeRequest,
  "token-load-scorer": tokenLoad,
  "session-affinity-scorer": session,
  "no-hit-lru-scorer": noHit,
  "endpoint-attribute-scorer": endpointAttribute,
  "header-label-affinity-scorer": headerLabel,
  "topology-affinity-scorer": topology,
  "in-flight-scorer": inFlight,
};
