// All types of plugins, by the names that the reference gives them. in-flight-scorer is ours.

import { coreMetricsExtractor } from "./engine-configs.ts";
import { FILTERS } from "./filters.ts";
import { FLOW_POLICIES } from "./flow-policies.ts";
import { LABEL_FILTERS } from "./label-filters.ts";
import { MISSING } from "./missing.ts";
import { PARSERS } from "./parsers.ts";
import { PICKERS } from "./pickers.ts";
import type { PluginType } from "./plugin.ts";
import { PRODUCERS } from "./producers.ts";
import { PROFILE_HANDLERS } from "./profile-handlers.ts";
import { SCORERS } from "./scorers.ts";
import { SOURCES } from "./sources.ts";
import { topologyExtractor } from "./topology.ts";

const MENU: Readonly<Record<string, PluginType>> = {
  ...LABEL_FILTERS,
  ...FILTERS,
  ...SCORERS,
  ...PICKERS,
  ...PROFILE_HANDLERS,
  ...PARSERS,
  ...PRODUCERS,
  ...SOURCES,
  ...FLOW_POLICIES,
  "core-metrics-extractor": coreMetricsExtractor,
  "topology-extractor": topologyExtractor,
};

export function pluginType(type: string): PluginType | undefined {
  return Object.hasOwn(MENU, type) ? MENU[type] : undefined;
}

/** Of ours and of those that are not there yet. */
export const TYPE_NAMES: readonly string[] = [...Object.keys(MENU), ...Object.keys(MISSING)];
