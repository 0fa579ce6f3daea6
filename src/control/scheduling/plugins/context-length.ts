// context-length-aware: a scorer, and a filter where it is told to be.

import { FILTER_CONTEXT_LENGTH, SCORER_CONTEXT_LENGTH } from "../../../wire/program.ts";
import type { MakeStep, PluginType } from "./plugin.ts";

const LABEL = "llm-d.ai/context-length-range";

export const contextLength: PluginType = {
  parameters: ["label", "enableFiltering"],
  read: (parameters) => {
    const value = parameters.get("label");
    const label = value === undefined ? LABEL : value.text();
    if (label === "") value?.expected("the name of a label");
    const filters = parameters.get("enableFiltering")?.boolean() ?? false;
    if (!label) return undefined;
    const make =
      (id: number): MakeStep =>
      (shared) => ({ id, number: shared.column({ kind: "context range", label }) });
    return {
      role: "step",
      scorer: make(SCORER_CONTEXT_LENGTH),
      ...(filters ? { filter: make(FILTER_CONTEXT_LENGTH) } : {}),
    };
  },
};
