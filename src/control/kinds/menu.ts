// Which API versions are read, and by what.

import { inferencePoolV1 } from "./inference-pool.ts";
import type { ConfigObject } from "./object.ts";
import { podV1 } from "./pod.ts";
import type { Converted } from "./schema.ts";

export type Converter = (document: unknown) => Converted<ConfigObject>;

/** By apiVersion and kind. */
const MENU: Readonly<Record<string, Converter>> = {
  "inference.networking.k8s.io/v1 InferencePool": inferencePoolV1,
  "v1 Pod": podV1,
};

export function converterOf(apiVersion: string, kind: string): Converter | undefined {
  return MENU[`${apiVersion} ${kind}`];
}

/** The apiVersions in which this kind is read; empty for a kind that means nothing here. */
export function apiVersionsOf(kind: string): readonly string[] {
  return Object.keys(MENU)
    .map((entry) => entry.split(" ") as [string, string])
    .filter(([, name]) => name === kind)
    .map(([apiVersion]) => apiVersion);
}
