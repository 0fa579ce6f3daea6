// Tables of models as GET /snapshot and `pointsman inspect` show them.

import type { Target } from "../kinds/object.ts";
import type { PoolModels } from "./models.ts";

export type ModelView = {
  /** "*": every model that has no targets of its own. */
  readonly name: string;
  /** Empty: it is sent as it is, or as "*" says. */
  readonly targets: readonly Target[];
  /** Name of the object that the targets come from. */
  readonly rule: string | null;
  /** Of its InferenceModel. */
  readonly priority: number | null;
  /** Whether its requests go to this pool when nothing else says where to. */
  readonly routes: boolean;
};

export type ModelsView = {
  /** Priorities by name. */
  readonly objectives: Readonly<Record<string, number>>;
  readonly models: readonly ModelView[];
};

export function describeModels(table: PoolModels | undefined): ModelsView {
  const { objectives = [], models = [], generic } = table ?? {};
  const all = generic === undefined ? [] : [{ name: "*", rule: generic, priority: undefined, routes: false }];
  return {
    objectives: Object.fromEntries(objectives.map(({ name, priority }) => [name, priority])),
    models: [...models, ...all].map(({ name, rule, priority, routes }) => ({
      name,
      targets: rule?.targets ?? [],
      rule: rule?.rule ?? null,
      priority: priority ?? null,
      routes,
    })),
  };
}
