// Policies of flow control: whose request of a band is next, and at which saturation a priority stops. Those that
// need no parameters need not be listed.

import * as l from "../../../wire/flow.ts";
import { USAGE_DEFAULT, type Usage } from "../flow.ts";
import type { Parameters, Plugin, PluginType } from "./plugin.ts";

/** By type: the id on the wire. */
export const FAIRNESS: Readonly<Record<string, number>> = {
  "round-robin-fairness-policy": l.FAIRNESS_ROUND_ROBIN,
  "global-strict-fairness-policy": l.FAIRNESS_GLOBAL_STRICT,
};
export const ORDERING: Readonly<Record<string, number>> = {
  "fcfs-ordering-policy": l.ORDERING_FCFS,
  "edf-ordering-policy": l.ORDERING_EDF,
  "slo-deadline-ordering-policy": l.ORDERING_SLO,
};
export const USAGE_POLICY_DEFAULT = "static-usage-limit-policy";
export const FAIRNESS_DEFAULT = "round-robin-fairness-policy";
export const ORDERING_DEFAULT = "fcfs-ordering-policy";
export const DEFAULT_POLICIES: readonly string[] = [FAIRNESS_DEFAULT, ORDERING_DEFAULT, USAGE_POLICY_DEFAULT];
export const USAGE: Readonly<Record<string, Usage>> = { [USAGE_POLICY_DEFAULT]: USAGE_DEFAULT };

function bare(policies: Readonly<Record<string, number>>, plugin: (id: number) => Plugin): Record<string, PluginType> {
  const types = Object.entries(policies).map(([type, id]) => [type, { parameters: [], read: () => plugin(id) }]);
  return Object.fromEntries(types);
}

const staticUsage: PluginType = {
  parameters: ["threshold"],
  read: (parameters) => {
    const ceiling = parameters.get("threshold")?.number({ above: 0 }) ?? 1;
    return { role: "usage-limit policy", usage: { kind: "static", ceiling } };
  },
};

const DOMAINS = { rank: l.DOMAIN_RANK, value: l.DOMAIN_VALUE } as const;

const holdback: PluginType = {
  parameters: ["shape", "domain", "minCeiling", "maxCeiling"],
  read: (parameters) => {
    parameters.get("shape")?.choice(["linear"]);
    const domain = DOMAINS[parameters.get("domain")?.choice(["rank", "value"]) ?? "rank"];
    const minCeiling = parameters.require("minCeiling", "a number from 0 to below maxCeiling")?.number({ min: 0 });
    const maxCeiling = parameters.get("maxCeiling")?.number({ above: 0, max: 1 }) ?? 1;
    if (minCeiling === undefined || !isBelow(parameters, minCeiling, maxCeiling)) return undefined;
    return { role: "usage-limit policy", usage: { kind: "holdback", domain, minCeiling, maxCeiling } };
  },
};

function isBelow(parameters: Parameters, minCeiling: number, maxCeiling: number): boolean {
  if (minCeiling < maxCeiling) return true;
  parameters.get("minCeiling")?.error(`expected less than maxCeiling, which is ${maxCeiling}, found ${minCeiling}`);
  return false;
}

export const FLOW_POLICIES: Readonly<Record<string, PluginType>> = {
  ...bare(FAIRNESS, (fairness) => ({ role: "fairness policy", fairness })),
  ...bare(ORDERING, (ordering) => ({ role: "ordering policy", ordering })),
  [USAGE_POLICY_DEFAULT]: staticUsage,
  "priority-holdback-policy": holdback,
};
