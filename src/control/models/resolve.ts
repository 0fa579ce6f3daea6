// Objects about models to one table for each pool. The oldest object counts first: objects are taken in the order of
// their age, and what one of them has said the next does not change.

import { TARGETS_PER_MODEL_MAX } from "../../wire/limits.ts";
import { PRIORITY_CRITICAL, PRIORITY_SHEDDABLE, PRIORITY_STANDARD } from "../../wire/models.ts";
import { byText, poolName } from "../endpoints.ts";
import { GROUP_OLDER, GROUP_POOL } from "../kinds/groups.ts";
import {
  type ConfigObject,
  type Criticality,
  type Model,
  type ModelObject,
  type ModelRewrite,
  objectKey,
  type Pool,
  type RewriteRule,
  type Target,
} from "../kinds/object.ts";
import { Room } from "./bounds.ts";
import type { ModelRule, PoolModels } from "./models.ts";

/** Whether an InferenceModel counts. */
export type Verdict = {
  readonly namespace: string;
  readonly name: string;
  readonly reason: "Accepted" | "ModelNameInUse" | "Pending";
  /** What is in force; what is waited for or expected. */
  readonly message: string;
};

export type Resolved = {
  /** By `namespace/name`; without the pools that no object speaks of. */
  readonly byPool: ReadonlyMap<string, PoolModels>;
  /** Sentences about what had to be left out. */
  readonly left: readonly string[];
  /** Sentences about objects that do not count, or not yet. */
  readonly doubts: readonly string[];
  /** One for each InferenceModel, that of the oldest first. */
  readonly verdicts: readonly Verdict[];
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
  const verdicts: Verdict[] = [];
  const drafts = new Map(pools.map((pool) => [poolName(pool), emptyDraft(poolName(pool))]));
  /** The pool of the oldest object that names this model. */
  const homes = new Map<string, string>();
  for (const object of byAge(objects)) {
    const draft = draftFor(object, drafts);
    if (typeof draft === "string") {
      if (object.kind === "InferenceModel") verdicts.push(verdict(object, "Pending", draft));
      else doubts.push(`${nameOf(object)}: ${draft}`);
      continue;
    }
    if (object.kind === "InferenceObjective") draft.objectives.set(object.name, object.priority);
    if (object.kind === "InferenceModel") verdicts.push(takeModel(object, draft));
    if (object.kind === "InferenceModelRewrite") takeRewrite(object, draft, left);
    for (const name of namesIn(object)) if (!homes.has(name)) homes.set(name, draft.pool);
  }
  const room = new Room();
  const tables = [...drafts.values()].map(
    (draft) => [draft.pool, room.fit(draft.pool, tableOf(draft, homes))] as const,
  );
  const byPool = new Map(tables.filter(([, table]) => !isEmpty(table)));
  return { byPool, left: [...left, ...room.left], doubts: [...doubts, ...verdicts.flatMap(doubtOf)], verdicts };
}

/**
 * Oldest first. Of objects that were created in the same second the first by name counts, as an API server tells time
 * in seconds. One that does not say when it was created is younger; of such the first in place counts.
 */
function byAge(objects: readonly ConfigObject[]): readonly ModelObject[] {
  const age = ({ createdMs }: ModelObject): number => createdMs ?? Number.MAX_SAFE_INTEGER;
  return objects
    .filter((object) => object.kind !== "InferencePool" && object.kind !== "Pod")
    .sort((a, b) => age(a) - age(b) || (a.createdMs === undefined ? 0 : byText(objectKey(a), objectKey(b))));
}

function nameOf({ kind, namespace, name }: ModelObject): string {
  return `${kind} ${namespace}/${name}`;
}

/** The table of the pool that an object is for, or why it is for none. */
function draftFor({ namespace, poolRef }: ModelObject, drafts: ReadonlyMap<string, Draft>): Draft | string {
  const { group, kind, name } = poolRef;
  if (kind !== "InferencePool" || (group !== undefined && group !== GROUP_POOL && group !== GROUP_OLDER)) {
    const found = group === undefined ? kind : `${kind} of ${group}`;
    return `poolRef: expected an InferencePool of ${GROUP_POOL} or ${GROUP_OLDER}, found ${found}`;
  }
  const pool = `${namespace}/${name}`;
  return drafts.get(pool) ?? `waits for InferencePool ${pool}, which is not there`;
}

function verdict({ namespace, name }: Model, reason: Verdict["reason"], message: string): Verdict {
  return { namespace, name, reason, message };
}

/** A sentence about an InferenceModel that does not count. */
function doubtOf({ namespace, name, reason, message }: Verdict): readonly string[] {
  if (reason === "Accepted") return [];
  const why = reason === "Pending" ? message : `${reason}: ${message}`;
  return [`InferenceModel ${namespace}/${name}: ${why}`];
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

function takeModel(object: Model, draft: Draft): Verdict {
  const row = rowOf(draft, object.modelName);
  const what = `the name ${JSON.stringify(object.modelName)} in pool ${draft.pool}`;
  if (row.owner !== undefined)
    return verdict(object, "ModelNameInUse", `${what} is that of ${nameOf(row.owner)}, which is older and counts`);
  row.owner = object;
  if (object.targets.length > 0) row.rule ??= { rule: object.name, targets: object.targets };
  return verdict(object, "Accepted", `${what} is that of this object`);
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
