// Names of models, and targets with weights: what the kinds that send requests for other models share.

import * as v from "valibot";
import { MODEL_BYTES_MAX } from "../../wire/limits.ts";
import type { Target } from "./object.ts";
import { maybe } from "./schema.ts";

const WEIGHT_MAX = 1_000_000;
const namePhrase = `the name of a model, 1 to ${MODEL_BYTES_MAX} bytes long`;
const weightPhrase = `a whole number from 1 to ${WEIGHT_MAX}`;

export const modelName = v.pipe(v.string(namePhrase), v.nonEmpty(namePhrase), v.maxBytes(MODEL_BYTES_MAX, namePhrase));

export const weight = maybe(
  v.pipe(
    v.number(weightPhrase),
    v.integer(weightPhrase),
    v.minValue(1, weightPhrase),
    v.maxValue(WEIGHT_MAX, weightPhrase),
  ),
);

export const weightsPhrase = "targets that all have a weight, or none of them";

type Weighed = { readonly weight?: number | null | undefined };

/** All have a weight, or none has. */
export function areWeighedAlike(targets: readonly Weighed[]): boolean {
  const weighed = targets.filter((target) => typeof target.weight === "number").length;
  return weighed === 0 || weighed === targets.length;
}

/** Targets without weights share equally. */
export function targetOf(name: string, { weight }: Weighed): Target {
  return { name, weight: weight ?? 1 };
}
