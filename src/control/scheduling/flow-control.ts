// The sections of a document that say how requests are admitted: flowControl, and what stood in its place before.

import { BANDS_MAX } from "../../wire/limits.ts";
import type { Fields, Value } from "./document.ts";
import {
  BAND_DEFAULT,
  type Band,
  DETECTOR_DEFAULT,
  type Detector,
  FLOW_DEFAULT,
  type Flow,
  highestFirst,
  type OwnBand,
  USAGE_DEFAULT,
  type Usage,
  withPriorities,
} from "./flow.ts";
import type { Listed } from "./listed-plugins.ts";
import {
  FAIRNESS,
  FAIRNESS_DEFAULT,
  ORDERING,
  ORDERING_DEFAULT,
  USAGE,
  USAGE_POLICY_DEFAULT,
} from "./plugins/flow-policies.ts";
import { MISSING_POLICIES } from "./plugins/missing.ts";
import type { Plugin } from "./plugins/plugin.ts";
import { type Plugins, referredBy } from "./sections.ts";

const UTILIZATION = "utilization-detector";
const DETECTORS = [UTILIZATION, "concurrency-detector"];
const UNLISTED_POLICIES = [FAIRNESS, ORDERING, USAGE, MISSING_POLICIES].flatMap((policies) => Object.keys(policies));
/** What counts without the feature gate too. */
const DETECTOR_FIELD = "saturationDetector";
const USAGE_FIELD = "usageLimitPolicyPluginRef";
const LIMIT_FIELDS = ["maxBytes", "maxRequests"] as const;
const GATED_FIELDS = [
  ...LIMIT_FIELDS,
  "defaultRequestTTL",
  "noEndpointRequestTTL",
  "defaultPriorityBand",
  "defaultNegativePriorityBand",
  "priorityBands",
  USAGE_FIELD,
  "enableEviction",
];
const BAND_FIELDS = ["priority", ...LIMIT_FIELDS, "defaultRequestTTL", "fairnessPolicyRef", "orderingPolicyRef"];
/** Priorities are 32 bits wide on the wire. */
const PRIORITY_RANGE = { whole: true, min: -(2 ** 31), max: 2 ** 31 - 1 };

/** Without the gate the sections are checked all the same, and only the detector counts. */
export function readFlowControl(sections: Fields, plugins: Plugins, isOn: boolean): Flow {
  const section = sections.get("flowControl");
  const fields = section?.fields([...GATED_FIELDS, DETECTOR_FIELD]);
  const detector = readDetector(sections.get(DETECTOR_FIELD), fields?.get(DETECTOR_FIELD), plugins);
  const flow = { ...readGated(fields, plugins), detector };
  if (isOn) return withPriorities({ ...flow, queues: true }, [0]);
  if (GATED_FIELDS.some((name) => fields?.get(name) !== undefined))
    section?.warn("has no effect but for saturationDetector: featureGates does not list flowControl");
  return { ...FLOW_DEFAULT, detector };
}

function readGated(fields: Fields | undefined, plugins: Plugins): Flow {
  const usage = usageOf(fields, plugins);
  if (fields === undefined) return { ...FLOW_DEFAULT, usage };
  const ttlMs = ttlOf(fields, "defaultRequestTTL") ?? FLOW_DEFAULT.ttlMs;
  const band = (name: string): Band | undefined => {
    const section = fields.get(name);
    const members = section?.fields(BAND_FIELDS);
    members?.get("priority")?.warn("has no effect in a band for all priorities without one of their own");
    return members && readBand(members, ttlMs, plugins);
  };
  const defaultBand = band("defaultPriorityBand") ?? { ...BAND_DEFAULT, ttlMs };
  return {
    queues: false,
    evicts: fields.get("enableEviction")?.boolean() ?? false,
    detector: DETECTOR_DEFAULT,
    usage,
    maxRequests: limitOf(fields, "maxRequests") ?? Number.POSITIVE_INFINITY,
    maxBytes: limitOf(fields, "maxBytes") ?? Number.POSITIVE_INFINITY,
    ttlMs,
    emptyTtlMs: ttlOf(fields, "noEndpointRequestTTL") ?? ttlMs,
    defaultBand,
    defaultNegativeBand: band("defaultNegativePriorityBand") ?? defaultBand,
    bands: readBands(fields.get("priorityBands"), ttlMs, plugins),
  };
}

function readBands(list: Value | undefined, ttlMs: number, plugins: Plugins): readonly OwnBand[] {
  const found = new Map<number, OwnBand>();
  for (const item of list?.list() ?? []) {
    const fields = item.fields(BAND_FIELDS);
    if (fields === undefined) continue;
    const value = fields.get("priority");
    if (value === undefined) item.warn("priority is missing: 0 counts, as in the reference");
    const priority = value === undefined ? 0 : value.number(PRIORITY_RANGE);
    const band = readBand(fields, ttlMs, plugins);
    if (priority === undefined) continue;
    if (found.has(priority)) (value ?? item).error(`a second band of priority ${priority}, expected one`);
    else found.set(priority, { ...band, priority });
  }
  if (found.size > BANDS_MAX) list?.error(`expected at most ${BANDS_MAX} bands, found ${found.size}`);
  return highestFirst([...found.values()]);
}

/** What is left out is as by default, not as in a default band, as in the reference. */
function readBand(fields: Fields, ttlMs: number, plugins: Plugins): Band {
  const fairness = policyOf(fields, "fairnessPolicyRef", plugins, FAIRNESS, {
    what: "a fairness policy",
    otherwise: FAIRNESS_DEFAULT,
    of: (plugin) => (plugin.role === "fairness policy" ? plugin.fairness : undefined),
  });
  const ordering = policyOf(fields, "orderingPolicyRef", plugins, ORDERING, {
    what: "an ordering policy",
    otherwise: ORDERING_DEFAULT,
    of: (plugin) => (plugin.role === "ordering policy" ? plugin.ordering : undefined),
  });
  return {
    maxRequests: limitOf(fields, "maxRequests") ?? BAND_DEFAULT.maxRequests,
    maxBytes: limitOf(fields, "maxBytes") ?? BAND_DEFAULT.maxBytes,
    ttlMs: ttlOf(fields, "defaultRequestTTL") ?? ttlMs,
    fairness: fairness ?? BAND_DEFAULT.fairness,
    ordering: ordering ?? BAND_DEFAULT.ordering,
  };
}

/** 0 is the same as none, as in the reference. */
function limitOf(fields: Fields, name: (typeof LIMIT_FIELDS)[number]): number | undefined {
  return fields.get(name)?.quantity() || undefined;
}

/** Milliseconds; 0 is unbounded. */
function ttlOf(fields: Fields, name: string): number | undefined {
  const value = fields.get(name);
  const ms = value?.duration();
  return ms !== undefined && ms < 0 ? value?.expected("a duration of at least 0s") : ms;
}

/** The default policy counts with the parameters that it is listed with, as in the reference. */
function usageOf(fields: Fields | undefined, plugins: Plugins): Usage {
  const policy = {
    what: "a usage-limit policy",
    otherwise: USAGE_POLICY_DEFAULT,
    of: (plugin: Plugin) => (plugin.role === "usage-limit policy" ? plugin.usage : undefined),
  };
  const isNamed = fields?.text(USAGE_FIELD) !== undefined;
  if (fields !== undefined && isNamed) return policyOf(fields, USAGE_FIELD, plugins, USAGE, policy) ?? USAGE_DEFAULT;
  const listed = plugins.get(USAGE_POLICY_DEFAULT)?.plugin;
  return (listed && policy.of(listed)) ?? USAGE_DEFAULT;
}

type Policy<T> = {
  /** With its article. */
  readonly what: string;
  /** The type that counts instead of one that is not there. */
  readonly otherwise: string;
  readonly of: (plugin: Plugin) => T | undefined;
};

/** What a reference to a policy means. Undefined without one, and after complaints. */
function policyOf<T>(
  fields: Fields,
  name: string,
  plugins: Plugins,
  builtIn: Readonly<Record<string, T>>,
  { what, otherwise, of }: Policy<T>,
): T | undefined {
  const reference = fields.get(name);
  const text = reference?.text();
  if (reference === undefined || !text) return undefined;
  const found = referredBy(reference, plugins, UNLISTED_POLICIES);
  const type = found?.type ?? text;
  if (Object.hasOwn(MISSING_POLICIES, type)) {
    reference.warn(`${type}: ${MISSING_POLICIES[type]}; ${otherwise} counts`);
    return undefined;
  }
  const isBuiltIn = found === undefined && Object.hasOwn(builtIn, text);
  const policy = isBuiltIn ? builtIn[text] : found?.plugin && of(found.plugin);
  const isUsable = found === undefined ? UNLISTED_POLICIES.includes(text) : found.plugin !== undefined;
  if (isUsable && policy === undefined) reference.error(`${text} is of type ${type}, expected ${what}`);
  return policy;
}

function readDetector(deprecated: Value | undefined, section: Value | undefined, plugins: Plugins): Detector {
  const isBoth = deprecated !== undefined && section !== undefined;
  if (isBoth) deprecated.warn("is deprecated and has no effect beside flowControl.saturationDetector");
  else deprecated?.warn("is deprecated, use flowControl.saturationDetector instead");
  const before = deprecated && detectorIn(deprecated, plugins);
  const found = section ? detectorIn(section, plugins) : before;
  const plugin = (found ?? plugins.get(UTILIZATION))?.plugin;
  return (plugin?.role === "step" ? plugin.saturation : undefined) ?? DETECTOR_DEFAULT;
}

function detectorIn(section: Value, plugins: Plugins): Listed | undefined {
  const reference = section.fields(["pluginRef"])?.get("pluginRef");
  if (!reference?.text()) return undefined;
  const found = referredBy(reference, plugins, [UTILIZATION]);
  if (found?.plugin === undefined || DETECTORS.includes(found.type)) return found;
  reference.error(`${found.name} is a ${found.type}, expected one of ${DETECTORS.join(", ")}`);
  return undefined;
}
