// Filters by labels of pods: by role, by selector, by one label.

import { FILTER_LABELS } from "../../../wire/program.ts";
import type { Value } from "../document.ts";
import type { LabelFilter, Requirement } from "../scheduling.ts";
import type { Plugin, PluginType } from "./plugin.ts";

const ROLE_LABEL = "llm-d.ai/role";
const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"] as const;
const SELECTOR_PARAMETERS = ["matchLabels", "matchExpressions"];

function labelStep(filter: LabelFilter): Plugin {
  return { role: "step", filter: (shared) => ({ id: FILTER_LABELS, number: shared.labelFilter(filter) }) };
}

/** `values` of one label; without the label too where it is said. */
function byValue(label: string, values: readonly string[], unlabeled: boolean): LabelFilter {
  const one: readonly Requirement[] = [{ label, operator: "In", values }];
  const none: readonly Requirement[] = [{ label, operator: "DoesNotExist", values: [] }];
  return { alternatives: unlabeled ? [one, none] : [one] };
}

function roleFilter(roles: readonly string[], unlabeled: boolean): PluginType {
  return { parameters: [], read: () => labelStep(byValue(ROLE_LABEL, roles, unlabeled)) };
}

const selector: PluginType = {
  parameters: SELECTOR_PARAMETERS,
  read: (parameters) => {
    const labels = parameters.get("matchLabels")?.texts() ?? new Map<string, string>();
    const expressions = parameters.get("matchExpressions")?.list() ?? [];
    const requirements = [
      ...[...labels].map(([label, value]): Requirement => ({ label, operator: "In", values: [value] })),
      ...expressions.flatMap((expression) => requirementOf(expression) ?? []),
    ];
    return labelStep({ alternatives: [requirements] });
  },
};

function requirementOf(expression: Value): Requirement | undefined {
  const fields = expression.fields(["key", "operator", "values"]);
  const label = fields?.require("key", "the name of a label")?.text();
  const operator = fields?.require("operator", `one of ${OPERATORS.join(", ")}`)?.choice(OPERATORS);
  const values = fields?.get("values")?.list() ?? [];
  const texts = values.flatMap((value) => value.text() ?? []);
  if (label === undefined || operator === undefined) return undefined;
  const wantsValues = operator === "In" || operator === "NotIn";
  if (wantsValues !== values.length > 0) {
    expression.error(`expected ${wantsValues ? "values" : "no values"} for the operator ${operator}`);
    return undefined;
  }
  return { label, operator, values: texts };
}

const oneLabel: PluginType = {
  parameters: ["label", "validValues", "allowsNoLabel"],
  read: (parameters) => {
    const label = parameters.require("label", "the name of a label")?.text();
    const list = parameters.get("validValues")?.list() ?? [];
    const values = list.flatMap((value) => value.text() ?? []);
    const unlabeled = parameters.get("allowsNoLabel")?.boolean() ?? false;
    if (list.length === 0 && !unlabeled) {
      parameters.require("validValues", "a list of values, or allowsNoLabel: true");
      return undefined;
    }
    return label === undefined ? undefined : labelStep(byValue(label, values, unlabeled));
  },
};

function deprecated(type: PluginType, instead: string): PluginType {
  return {
    parameters: type.parameters,
    read: (parameters, surroundings, at) => {
      at.warn(`is deprecated, use ${instead} instead`);
      return type.read(parameters, surroundings, at);
    },
  };
}

export const LABEL_FILTERS: Readonly<Record<string, PluginType>> = {
  "decode-filter": roleFilter(["decode", "prefill-decode", "both", "encode-prefill-decode"], true),
  "prefill-filter": roleFilter(["prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"], false),
  "encode-filter": roleFilter(["encode", "encode-prefill", "encode-prefill-decode"], false),
  "label-selector-filter": selector,
  "by-label-selector": deprecated(selector, "label-selector-filter"),
  "by-label": deprecated(oneLabel, "label-selector-filter"),
};
