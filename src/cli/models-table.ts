// What the objects say about the models of pools, as tables.

import type { TopologyPool } from "../control/encode.ts";
import type { Target } from "../control/kinds/object.ts";
import { describeModels } from "../control/models/describe.ts";
import { table } from "./table.ts";

/** None where the pools have nothing to show in one. */
export function modelsTables(pools: readonly TopologyPool[]): readonly string[] {
  const views = pools.map(({ name, models }) => ({ pool: name, ...describeModels(models) }));
  const objectives = views.flatMap(({ pool, objectives }) =>
    Object.entries(objectives).map(([name, priority]) => [pool, name, String(priority)]),
  );
  const models = views.flatMap(({ pool, models }) =>
    models.map(({ name, targets, rule, priority, routes }) => [
      ...[pool, name, targets.length === 0 ? "-" : targets.map(words).join(" "), rule ?? "-"],
      ...[priority === null ? "-" : String(priority), routes ? "yes" : "no"],
    ]),
  );
  return [
    ...(objectives.length === 0 ? [] : [table(["POOL", "OBJECTIVE", "PRIORITY"], objectives)]),
    ...(models.length === 0 ? [] : [table(["POOL", "MODEL", "SENT-FOR", "RULE", "PRIORITY", "ROUTES"], models)]),
  ];
}

function words({ name, weight }: Target): string {
  return `${name}:${weight}`;
}
