// InferenceModel inference.networking.x-k8s.io/v1alpha2: a model's priority and its targets in one object, from before
// there were InferenceObjective and InferenceModelRewrite.

import * as v from "valibot";
import type { Model } from "./object.ts";
import { type Converted, check, datedMetadata, identityOf, mapping, maybe, poolRef, poolRefOf } from "./schema.ts";
import { areWeighedAlike, modelName, targetOf, weight, weightsPhrase } from "./targets.ts";

const TARGETS_MAX = 10;
const TARGET_NAME_MAX = 253;
const targetsPhrase = `a list of at most ${TARGETS_MAX} entries such as {name: NAME, weight: 90}`;
const targetNamePhrase = `the name of a model, 1 to ${TARGET_NAME_MAX} characters long`;

const targetName = v.pipe(
  v.string(targetNamePhrase),
  v.maxLength(TARGET_NAME_MAX, targetNamePhrase),
  v.nonEmpty(targetNamePhrase),
  modelName,
);

const targetModels = v.pipe(
  v.array(mapping({ name: targetName, weight }), targetsPhrase),
  v.maxLength(TARGETS_MAX, targetsPhrase),
  v.check((all) => areWeighedAlike(all), weightsPhrase),
);

const schema = mapping({
  metadata: datedMetadata,
  spec: mapping({
    poolRef,
    modelName,
    criticality: maybe(v.picklist(["Critical", "Standard", "Sheddable"], "Critical, Standard or Sheddable")),
    targetModels: maybe(targetModels),
  }),
});

/** Converts a parsed document. */
export function inferenceModel(document: unknown): Converted<Model> {
  const checked = check(schema, document);
  if (!checked.ok) return checked;
  const { metadata, spec } = checked.value;
  return {
    ok: true,
    value: {
      kind: "InferenceModel",
      ...identityOf(metadata),
      poolRef: poolRefOf(spec.poolRef),
      modelName: spec.modelName,
      criticality: spec.criticality ?? "Standard",
      targets: (spec.targetModels ?? []).map((target) => targetOf(target.name, target)),
    },
  };
}
