// Pickers: how many endpoints are chosen, and how.

import { DESTINATIONS_MAX } from "../../../wire/limits.ts";
import { PICKER_MAX_SCORE, PICKER_RANDOM, PICKER_WEIGHTED_RANDOM } from "../../../wire/program.ts";
import type { PluginType } from "./plugin.ts";

/** As the reference has it; the profile without a document chooses more. */
export const ENDPOINTS_DEFAULT = 1;

function picker(id: number): PluginType {
  return {
    parameters: ["maxNumOfEndpoints"],
    read: (parameters) => {
      const range = { whole: true, min: 1, max: DESTINATIONS_MAX };
      const endpoints = parameters.get("maxNumOfEndpoints")?.number(range) ?? ENDPOINTS_DEFAULT;
      return { role: "picker", picker: id, endpoints };
    },
  };
}

export const PICKERS: Readonly<Record<string, PluginType>> = {
  "max-score-picker": picker(PICKER_MAX_SCORE),
  "random-picker": picker(PICKER_RANDOM),
  "weighted-random-picker": picker(PICKER_WEIGHTED_RANDOM),
};
