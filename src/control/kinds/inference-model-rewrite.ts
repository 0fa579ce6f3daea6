// InferenceModelRewrite v1alpha2, of either group.

import * as v from "valibot";
import type { ModelRewrite } from "./object.ts";
import { type Converted, check, datedMetadata, identityOf, mapping, maybe, poolRef, poolRefOf } from "./schema.ts";
import { areWeighedAlike, modelName, targetOf, weight, weightsPhrase } from "./targets.ts";

const matchesPhrase = "a list of entries such as {model: {value: NAME}}";
const targetsPhrase = "a list of one or more entries such as {modelRewrite: NAME, weight: 90}";

const match = mapping({
  model: mapping({ type: maybe(v.picklist(["Exact"], "Exact")), value: modelName }),
});

const targets = v.pipe(
  v.array(mapping({ modelRewrite: modelName, weight }), targetsPhrase),
  v.minLength(1, targetsPhrase),
  v.check((all) => areWeighedAlike(all), weightsPhrase),
);

const rule = mapping({ matches: maybe(v.array(match, matchesPhrase)), targets: maybe(targets) });

const schema = mapping({
  metadata: datedMetadata,
  spec: mapping({ poolRef, rules: v.array(rule, "a list of rules with matches and targets") }),
});

/** Converts a parsed document. */
export function inferenceModelRewrite(document: unknown): Converted<ModelRewrite> {
  const checked = check(schema, document);
  if (!checked.ok) return checked;
  const { metadata, spec } = checked.value;
  return {
    ok: true,
    value: {
      kind: "InferenceModelRewrite",
      ...identityOf(metadata),
      poolRef: poolRefOf(spec.poolRef),
      rules: spec.rules.map((each) => ({
        models: (each.matches ?? []).map(({ model }) => model.value),
        targets: (each.targets ?? []).map((target) => targetOf(target.modelRewrite, target)),
      })),
    },
  };
}
