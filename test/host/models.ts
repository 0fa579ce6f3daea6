// What objects say about models, for tests: how a test says it, and the bytes it becomes, written from
// src/wire/models.ts alone.

import * as wire from "../../src/wire/models.ts";
import { NONE } from "../../src/wire/program.ts";
import { fnv1a } from "./fnv.ts";
import type { PlaceText } from "./program.ts";

export interface ModelsSpec {
  /** Priorities by the names of InferenceObjectives. */
  readonly objectives?: Readonly<Record<string, number>>;
  readonly models?: readonly ModelSpec[];
  /** What models without targets of their own are sent for. */
  readonly generic?: RuleSpec;
}

interface RuleSpec {
  readonly targets: readonly TargetSpec[];
  /** Name of the object; "rewrite" by default. */
  readonly rule?: string;
}

interface ModelSpec extends Partial<RuleSpec> {
  readonly name: string;
  /** Of an InferenceModel. */
  readonly priority?: number;
  /** Requests for it go to this pool; true by default. */
  readonly routes?: boolean;
}

interface TargetSpec {
  readonly name: string;
  /** 1 by default. */
  readonly weight?: number;
}

/** The section of one pool. Names are put in the order that the filter looks them up in. */
export function encodeModels(spec: ModelsSpec, place: PlaceText): Buffer {
  const objectives = Object.entries(spec.objectives ?? {}).map(([name, priority]) => ({ name, priority }));
  const named = [...(spec.models ?? [])].sort(inOrder);
  const models = spec.generic === undefined ? named : [...named, { name: "", routes: false, ...spec.generic }];
  const head = Buffer.alloc(wire.MODELS_BYTES);
  head.writeUInt32LE(objectives.length, wire.O_OBJECTIVE_COUNT);
  head.writeUInt32LE(models.length, wire.O_MODEL_COUNT);
  head.writeUInt32LE(spec.generic === undefined ? NONE : named.length, wire.O_GENERIC);
  const targets: Buffer[] = [];
  const modelRows = models.map((model) => {
    const row = encodeModel(model, targets.length, place);
    targets.push(...encodeTargets(model.targets ?? [], place));
    return row;
  });
  head.writeUInt32LE(targets.length, wire.O_TARGET_COUNT);
  const objectiveRows = objectives.sort(inOrder).map((objective) => encodeObjective(objective, place));
  return Buffer.concat([head, ...objectiveRows, ...modelRows, ...targets]);
}

interface Named {
  readonly name: string;
}

/** By hash, unsigned, and then by bytes. */
function inOrder(a: Named, b: Named): number {
  const difference = fnv1a(a.name) - fnv1a(b.name);
  if (difference !== 0n) return difference < 0n ? -1 : 1;
  return Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

function encodeObjective({ name, priority }: Named & { priority: number }, place: PlaceText): Buffer {
  const row = Buffer.alloc(wire.OBJECTIVE_BYTES);
  const [offset, length] = place(name);
  row.writeBigUInt64LE(fnv1a(name), wire.OBJECTIVE_NAME_HASH);
  row.writeUInt32LE(offset, wire.OBJECTIVE_NAME_OFFSET);
  row.writeUInt32LE(length, wire.OBJECTIVE_NAME_LENGTH);
  row.writeInt32LE(priority, wire.OBJECTIVE_PRIORITY);
  return row;
}

function encodeModel(model: ModelSpec, firstTarget: number, place: PlaceText): Buffer {
  const { name, targets = [], priority, routes = true } = model;
  const row = Buffer.alloc(wire.MODEL_BYTES);
  const [nameOffset, nameLength] = place(name);
  const [ruleOffset, ruleLength] = place(targets.length === 0 ? "" : (model.rule ?? "rewrite"));
  row.writeBigUInt64LE(fnv1a(name), wire.MODEL_NAME_HASH);
  row.writeUInt32LE(nameOffset, wire.MODEL_NAME_OFFSET);
  row.writeUInt32LE(nameLength, wire.MODEL_NAME_LENGTH);
  row.writeUInt32LE(firstTarget, wire.MODEL_FIRST_TARGET);
  row.writeUInt32LE(targets.length, wire.MODEL_TARGET_COUNT);
  row.writeUInt32LE(weightOf(targets), wire.MODEL_TOTAL_WEIGHT);
  row.writeInt32LE(priority ?? 0, wire.MODEL_PRIORITY);
  row.writeUInt32LE((priority === undefined ? 0 : wire.HAS_PRIORITY) | (routes ? wire.ROUTES : 0), wire.MODEL_FLAGS);
  row.writeUInt32LE(ruleOffset, wire.MODEL_RULE_OFFSET);
  row.writeUInt32LE(ruleLength, wire.MODEL_RULE_LENGTH);
  return row;
}

function weightOf(targets: readonly TargetSpec[]): number {
  return targets.reduce((sum, target) => sum + (target.weight ?? 1), 0);
}

function encodeTargets(targets: readonly TargetSpec[], place: PlaceText): readonly Buffer[] {
  return targets.map(({ name }, index) => {
    const row = Buffer.alloc(wire.TARGET_BYTES);
    const [offset, length] = place(name);
    row.writeUInt32LE(offset, wire.TARGET_NAME_OFFSET);
    row.writeUInt32LE(length, wire.TARGET_NAME_LENGTH);
    row.writeUInt32LE(weightOf(targets.slice(0, index + 1)), wire.TARGET_UP_TO);
    return row;
  });
}
