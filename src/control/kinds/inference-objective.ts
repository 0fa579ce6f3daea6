// InferenceObjective v1alpha2, of either group.

import * as v from "valibot";
import type { Objective } from "./object.ts";
import { type Converted, check, datedMetadata, identityOf, mapping, maybe, poolRef, poolRefOf } from "./schema.ts";

const INT32_MAX = 2_147_483_647;
const priorityPhrase = `a whole number from ${-INT32_MAX - 1} to ${INT32_MAX}`;

const priority = v.pipe(
  v.number(priorityPhrase),
  v.integer(priorityPhrase),
  v.minValue(-INT32_MAX - 1, priorityPhrase),
  v.maxValue(INT32_MAX, priorityPhrase),
);

const schema = mapping({ metadata: datedMetadata, spec: mapping({ poolRef, priority: maybe(priority) }) });

/** Converts a parsed document. */
export function inferenceObjective(document: unknown): Converted<Objective> {
  const checked = check(schema, document);
  if (!checked.ok) return checked;
  const { metadata, spec } = checked.value;
  return {
    ok: true,
    value: {
      kind: "InferenceObjective",
      ...identityOf(metadata),
      poolRef: poolRefOf(spec.poolRef),
      priority: spec.priority ?? 0,
    },
  };
}
