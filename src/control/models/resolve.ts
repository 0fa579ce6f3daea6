// Objects about models to one table for each pool. The oldest object counts first: objects are taken in the order of
// their age, and what one of them has said the next does not change.

import { TARGETS_PER_MODEL_MAX } from "../../wire/limits.ts";
import { PRIORITY_CRITICAL, PRIORITY_SHEDDABLE, PRIORITY_STANDARD } from "../../wire/models.ts";
import { poolName } from "../endpoints.ts";
import { GROUP_OLDER, GROUP_POOL } from "../kinds/groups.ts";
import type {
  ConfigObject,
  Criticality,
  Model,
  ModelObject,
  ModelRewrite,
  Pool,
  RewriteRule,
  Target,
} from "../kinds/object.ts";
import { Room } from "./bounds.ts";
import type { ModelRule, PoolModels } from "./models.ts";

export type Resolved = {
  /** By `namespace/name`; without the pools that no object speaks of. */
  readonly byPool: ReadonlyMap<string, PoolModels>;
  /** Sentences about what had to be left out. */
  readonly left: readonly string[];
  /** Sentences about objects that do not count, or not yet. */
  readonly doubts: readonly string[];
};

const PRIORITIES: Readonly<Record<Criticality, number>> = {
  Critical: PRIORITY_CRITICAL,
  Standard: PRIORITY_STANDARD,
  Sheddable: PRIORITY_SHEDDABLE,
};

/** A table in the making: what comes first in its maps is of the oldest objects. */
type Draft = {
  readonly pool: string;
  readonly objectives: Map<string, number>;
  readonly models: Map<string, { rule: ModelRule | undefined; owner: Model | undefined }>;
  /** Of the oldest rule for every model. No targets: the models stay as they are. */
  generic: ModelRule | undefined;
};

/** `objects` are in the order of their places; one that is there in two groups is among them once. */
export function resolveModels(objects: readonly ConfigObject[], pools: readonly Pool[]): Resolved {
  const left: string[] = [];
  const doubts: string[] = [];
  const drafts = new Map(pools.map((pool) => [poolName(pool), emptyDraft(poolName(pool))]));
  /** The pool of the oldest object that names this model. */
  const homes = new Map<string, string>();
  for (const object of byAge(objects)) {
    const pool = `${object.namespace}/${object.poolRef.name}`;
    const draft = drafts.get(pool);
    const unbound = unboundBecause(object, draft === undefined);
    if (draft === undefined || unbound !== undefined) {
      doubts.push(`${nameOf(object)}: ${unbound}`);
      continue;
    }
    if (object.kind === "InferenceObjective") draft.objectives.set(object.name, object.priority);
    if (object.kind === "InferenceModel") takeModel(object, draft, doubts);
    if (object.kind === "InferenceModelRewrite") takeRewrite(object, draft, left);
    for (const name of namesIn(object)) if (!homes.has(name)) homes.set(name, pool);
  }
  const room = new Room();
  const tables = [...drafts.values()].map(
    (draft) => [draft.pool, room.fit(draft.pool, tableOf(draft, homes))] as const,
  );
  const byPool = new Map(tables.filter(([, table]) => !isEmpty(table)));
  return { byPool, left: [...left, ...room.left], doubts };
}

/** Oldest first: by the time of creation, then by place. An object that does not say when it was created is younger. */
function byAge(objects: readonly ConfigObject[]): readonly ModelObject[] {
  const age = ({ createdMs }: ModelObject): number => createdMs ?? Number.MAX_SAFE_INTEGER;
  return objects
    .filter((object) => object.kind !== "InferencePool" && object.kind !== "Pod")
    .sort((a, b) => age(a) - age(b));
}

function nameOf({ kind, namespace, name }: ModelObject): string {
  return `${kind} ${namespace}/${name}`;
}

/** Why an object is for none of the pools; undefined when it is for one. */
function unboundBecause({ namespace, poolRef }: ModelObject, isMissing: boolean): string | undefined {
  const { group, kind, name } = poolRef;
  if (kind !== "InferencePool" || (group !== undefined && group !== GROUP_POOL && group !== GROUP_OLDER)) {
    const found = group === undefined ? kind : `${kind} of ${group}`;
    return `poolRef: expected an InferencePool of ${GROUP_POOL} or ${GROUP_OLDER}, found ${found}`;
  }
  return isMissing ? `waits for InferencePool ${namespace}/${name}, which is not there` : undefined;
}

function emptyDraft(pool: string): Draft {
  return { pool, objectives: new Map(), models: new Map(), generic: undefined };
}

/** The row of a model, which is made when nothing has named it yet. */
function rowOf({ models }: Draft, name: string) {
  const row = models.get(name) ?? { rule: undefined, owner: undefined };
  models.set(name, row);
  return row;
}

function takeModel(object: Model, draft: Draft, doubts: string[]): void {
  const row = rowOf(draft, object.modelName);
  if (row.owner !== undefined) {
    const what = `the name ${JSON.stringify(object.modelName)} in pool ${draft.pool} is that of ${nameOf(row.owner)}`;
    doubts.push(`${nameOf(object)}: ModelNameInUse: ${what}, which is older and counts`);
    return;
  }
  row.owner = object;
  if (object.targets.length > 0) row.rule ??= { rule: object.name, targets: object.targets };
}

function takeRewrite(object: ModelRewrite, draft: Draft, left: string[]): void {
  for (const { models, targets } of object.rules) {
    if (targets.length > TARGETS_PER_MODEL_MAX)
      left.push(
        `${nameOf(object)}: a rule has ${targets.length} targets, only the first ${TARGETS_PER_MODEL_MAX} count`,
      );
    const some = targets.slice(0, TARGETS_PER_MODEL_MAX);
    if (models.length === 0) draft.generic ??= { rule: object.name, targets: some };
    for (const name of models) rowOf(draft, name).rule ??= { rule: object.name, targets: orItself(some, name) };
  }
}

/** A rule without targets keeps its models from the rules for every model. */
function orItself(targets: readonly Target[], name: string): readonly Target[] {
  return targets.length > 0 ? targets : [{ name, weight: 1 }];
}

/** The models that an object names exactly. */
function namesIn(object: ModelObject): readonly string[] {
  if (object.kind === "InferenceModel") return [object.modelName];
  return object.kind === "InferenceModelRewrite" ? object.rules.flatMap((rule: RewriteRule) => rule.models) : [];
}

function tableOf({ pool, objectives, models, generic }: Draft, homes: ReadonlyMap<string, string>): PoolModels {
  return {
    objectives: [...objectives].map(([name, priority]) => ({ name, priority })),
    models: [...models].map(([name, { rule, owner }]) => ({
      name,
      rule,
      priority: owner === undefined ? undefined : PRIORITIES[owner.criticality],
      routes: homes.get(name) === pool,
    })),
    generic: generic === undefined || generic.targets.length === 0 ? undefined : generic,
  };
}

function isEmpty({ objectives, models, generic }: PoolModels): boolean {
  return objectives.length === 0 && models.length === 0 && generic === undefined;
}
