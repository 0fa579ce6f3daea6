// Which API versions are read, and by what.

import { GROUP_LLM_D, GROUP_OLDER, GROUP_POOL } from "./groups.ts";
import { inferenceModel } from "./inference-model.ts";
import { inferenceModelRewrite } from "./inference-model-rewrite.ts";
import { inferenceObjective } from "./inference-objective.ts";
import { inferencePoolV1, inferencePoolV1alpha2 } from "./inference-pool.ts";
import type { ConfigObject, ModelRewrite, Objective, Pool } from "./object.ts";
import { podV1 } from "./pod.ts";
import type { Converted } from "./schema.ts";

export type Converter = (document: unknown) => Converted<ConfigObject>;

/** By apiVersion and kind; of a kind in two groups the one that counts comes first. */
const MENU: Readonly<Record<string, Converter>> = {
  [`${GROUP_POOL}/v1 InferencePool`]: inferencePoolV1,
  [`${GROUP_OLDER}/v1alpha2 InferencePool`]: older(inferencePoolV1alpha2),
  [`${GROUP_LLM_D}/v1alpha2 InferenceObjective`]: inferenceObjective,
  [`${GROUP_OLDER}/v1alpha2 InferenceObjective`]: older(inferenceObjective),
  [`${GROUP_LLM_D}/v1alpha2 InferenceModelRewrite`]: inferenceModelRewrite,
  [`${GROUP_OLDER}/v1alpha2 InferenceModelRewrite`]: older(inferenceModelRewrite),
  [`${GROUP_OLDER}/v1alpha2 InferenceModel`]: inferenceModel,
  "v1 Pod": podV1,
};

/** For the group that the kind has left. */
function older(convert: (document: unknown) => Converted<Pool | Objective | ModelRewrite>): Converter {
  return (document) => {
    const converted = convert(document);
    return converted.ok ? { ok: true, value: { ...converted.value, olderGroup: GROUP_OLDER } } : converted;
  };
}

export function converterOf(apiVersion: string, kind: string): Converter | undefined {
  return MENU[`${apiVersion} ${kind}`];
}

/** Every apiVersion that some kind is read in. */
export function apiVersionsRead(): readonly string[] {
  return [...new Set(Object.keys(MENU).map((entry) => entry.split(" ", 1)[0]!))];
}

/** The apiVersions in which this kind is read; empty for a kind that means nothing here. */
export function apiVersionsOf(kind: string): readonly string[] {
  return Object.keys(MENU)
    .map((entry) => entry.split(" ") as [string, string])
    .filter(([, name]) => name === kind)
    .map(([apiVersion]) => apiVersion);
}
