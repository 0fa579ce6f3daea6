// What the status of an InferenceModel says of whether it counts.

import type { KubeObject } from "./objects.ts";

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** The condition of type Accepted; undefined while there is none. */
export function conditionOf({ status }: KubeObject): Condition | undefined {
  const { conditions = [] } = (status ?? {}) as { readonly conditions?: readonly Condition[] };
  return conditions.find(({ type }) => type === "Accepted");
}
