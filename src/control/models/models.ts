// What the objects of a pool say about models, as one table: what becomes the section of src/wire/models.ts.

import type { Target } from "../kinds/object.ts";

/** What requests are sent for in the place of their own model. */
export type ModelRule = {
  /** Name of the object that says so. */
  readonly rule: string;
  /** Never empty. */
  readonly targets: readonly Target[];
};

export type ModelEntry = {
  /** As requests name it. */
  readonly name: string;
  /** Undefined: that of models which have none counts. */
  readonly rule: ModelRule | undefined;
  /** Of its InferenceModel. */
  readonly priority: number | undefined;
  /** Requests for it go to this pool when nothing else says where to. */
  readonly routes: boolean;
};

export type PoolModels = {
  readonly objectives: readonly { readonly name: string; readonly priority: number }[];
  readonly models: readonly ModelEntry[];
  /** Of models without a rule of their own, whether the objects name them or not. */
  readonly generic: ModelRule | undefined;
};
