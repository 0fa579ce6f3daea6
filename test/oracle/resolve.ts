// What a request is taken for, slow and obvious: which pool, which priority, which models its server may be
// asked for. From the reference's rules (docs/requests.md), never from assembly/.

import type { ModelsSpec } from "../host/models.ts";

export interface Pool {
  readonly name: string;
  readonly models?: ModelsSpec;
}

export interface Asked {
  /** Of the body. */
  readonly model: string;
  /** Of the objective header. */
  readonly objective?: string;
  /** Of the rewrite header. */
  readonly rewrite?: string;
  /** Of the route's metadata. */
  readonly routePool?: string;
  /** Of the header that the configuration names. */
  readonly headerPool?: string;
}

export interface Resolved {
  readonly pool: string;
  readonly priority: number;
  /** Names and their shares, which add up to 1. */
  readonly targets: ReadonlyMap<string, number>;
}

/** Undefined: 404. */
export function resolve(asked: Asked, pools: readonly Pool[], defaultPool?: string): Resolved | undefined {
  const pool = poolFor(asked, pools, defaultPool);
  if (pool === undefined) return undefined;
  return { pool: pool.name, priority: priorityIn(pool, asked), targets: targetsIn(pool, asked) };
}

function poolFor(asked: Asked, pools: readonly Pool[], defaultPool: string | undefined): Pool | undefined {
  const named = (name: string) => pools.find((pool) => pool.name === name);
  if (pools.length === 1) return pools[0];
  if (asked.routePool !== undefined) return named(asked.routePool);
  const byModel = pools.find((pool) =>
    (pool.models?.models ?? []).some(({ name, routes = true }) => name === asked.model && routes),
  );
  if (byModel !== undefined) return byModel;
  if (asked.headerPool !== undefined) return named(asked.headerPool);
  return defaultPool === undefined ? undefined : named(defaultPool);
}

function priorityIn({ models = {} }: Pool, { model, objective }: Asked): number {
  if (objective !== undefined) return models.objectives?.[objective] ?? 0;
  return models.models?.find(({ name }) => name === model)?.priority ?? 0;
}

function targetsIn({ models = {} }: Pool, { model, rewrite }: Asked): ReadonlyMap<string, number> {
  const exact = models.models?.find(({ name }) => name === model)?.targets ?? [];
  const targets = exact.length > 0 ? exact : (models.generic?.targets ?? []);
  if (targets.length === 0) return new Map([[rewrite ?? model, 1]]);
  const total = targets.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const shares = new Map<string, number>();
  for (const { name, weight = 1 } of targets) shares.set(name, (shares.get(name) ?? 0) + weight / total);
  return shares;
}
