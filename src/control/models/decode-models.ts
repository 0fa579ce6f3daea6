// Bytes to the table of a pool's models. Nothing is believed: every count and number is checked before it is used.

import { MODEL_BYTES_MAX, MODELS_MAX, OBJECTIVES_MAX, TARGETS_MAX } from "../../wire/limits.ts";
import * as m from "../../wire/models.ts";
import { NONE } from "../../wire/program.ts";
import { fnv1a } from "../hash.ts";
import type { HeapReader } from "../heap.ts";
import type { Target } from "../kinds/object.ts";
import type { ModelEntry, ModelRule, PoolModels } from "./models.ts";

/** As Kubernetes allows. */
const OBJECT_NAME_BYTES_MAX = 253;

/** Counts of the tables, once they are known to fit, and where each begins. */
type Tables = {
  readonly objectives: number;
  readonly models: number;
  readonly targets: number;
  readonly modelsAt: number;
  readonly targetsAt: number;
};

/** A row whose name has been read, for the order of names. */
type Named = { readonly hash: bigint; readonly name: string };

/** The table in `bytes`, or a sentence that says what is wrong. Texts lie in `heap`, which keeps its own errors. */
export function decodeModels(bytes: Buffer, heap: HeapReader): PoolModels | string {
  const tables = tablesOf(bytes);
  if (typeof tables === "string") return tables;
  const generic = bytes.readUInt32LE(m.O_GENERIC);
  if (generic !== NONE && generic !== tables.models - 1)
    return `row ${generic} for every model, expected the last of ${tables.models} or none`;
  const objectives = Array.from({ length: tables.objectives }, (_, i) => readObjective(bytes, i, heap));
  const models: (ModelEntry & Named)[] = [];
  for (let i = 0; i < tables.models; ++i) {
    const model = readModel(bytes, i, tables, heap);
    if (typeof model === "string") return model;
    models.push(model);
  }
  const last = generic === NONE ? undefined : models.pop();
  const wrong = disorder("objective", objectives) ?? disorder("model", models);
  if (wrong !== undefined) return wrong;
  return {
    objectives: objectives.map(({ name, priority }) => ({ name, priority })),
    models: models.map(({ hash: _hash, ...model }) => model),
    generic: last?.rule,
  };
}

function tablesOf(bytes: Buffer): Tables | string {
  if (bytes.length < m.MODELS_BYTES) return `${bytes.length} bytes, expected at least ${m.MODELS_BYTES}`;
  const counts = [
    ["objectives", m.O_OBJECTIVE_COUNT, OBJECTIVES_MAX],
    ["models", m.O_MODEL_COUNT, MODELS_MAX],
    ["targets", m.O_TARGET_COUNT, TARGETS_MAX],
  ] as const;
  for (const [what, at, most] of counts) {
    const count = bytes.readUInt32LE(at);
    if (count > most) return `${count} ${what}, expected at most ${most}`;
  }
  const [objectives, models, targets] = counts.map(([, at]) => bytes.readUInt32LE(at)) as [number, number, number];
  const modelsAt = m.MODELS_BYTES + objectives * m.OBJECTIVE_BYTES;
  const targetsAt = modelsAt + models * m.MODEL_BYTES;
  const end = targetsAt + targets * m.TARGET_BYTES;
  if (end > bytes.length) return `the tables take ${end} of ${bytes.length} bytes`;
  return { objectives, models, targets, modelsAt, targetsAt };
}

/** Names out of order, twice or under another hash would not be found. */
function disorder(what: string, rows: readonly Named[]): string | undefined {
  for (const [i, b] of rows.entries()) {
    if (b.hash !== fnv1a(b.name)) return `${what} ${i} has another hash than its name`;
    const a = rows[i - 1];
    if (a === undefined) continue;
    const isAfter =
      a.hash < b.hash || (a.hash === b.hash && Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)) < 0);
    if (!isAfter) return `${what} ${i} is not after the one before it`;
  }
  return undefined;
}

function readObjective(bytes: Buffer, index: number, heap: HeapReader): Named & { readonly priority: number } {
  const at = m.MODELS_BYTES + index * m.OBJECTIVE_BYTES;
  const word = (offset: number): number => bytes.readUInt32LE(at + offset);
  const [offset, length] = [word(m.OBJECTIVE_NAME_OFFSET), word(m.OBJECTIVE_NAME_LENGTH)];
  return {
    hash: bytes.readBigUInt64LE(at + m.OBJECTIVE_NAME_HASH),
    name: heap.text(`name of objective ${index}`, offset, length, OBJECT_NAME_BYTES_MAX),
    priority: bytes.readInt32LE(at + m.OBJECTIVE_PRIORITY),
  };
}

function readModel(bytes: Buffer, index: number, tables: Tables, heap: HeapReader): (ModelEntry & Named) | string {
  const at = tables.modelsAt + index * m.MODEL_BYTES;
  const word = (offset: number): number => bytes.readUInt32LE(at + offset);
  const text = (what: string, offset: number, length: number, most: number): string =>
    heap.text(`${what} of model ${index}`, word(offset), word(length), most);
  const flags = word(m.MODEL_FLAGS);
  const [first, count] = [word(m.MODEL_FIRST_TARGET), word(m.MODEL_TARGET_COUNT)];
  if (first + count > tables.targets)
    return `model ${index} has targets ${first}…${first + count} of ${tables.targets}`;
  const targets = readTargets(bytes, tables.targetsAt + first * m.TARGET_BYTES, count, heap);
  const weight = targets?.reduce((sum, target) => sum + target.weight, 0);
  if (targets === undefined || weight !== word(m.MODEL_TOTAL_WEIGHT))
    return `weights of model ${index} do not add up to ${word(m.MODEL_TOTAL_WEIGHT)}`;
  const rule: ModelRule = {
    rule: text("rule", m.MODEL_RULE_OFFSET, m.MODEL_RULE_LENGTH, OBJECT_NAME_BYTES_MAX),
    targets,
  };
  return {
    hash: bytes.readBigUInt64LE(at + m.MODEL_NAME_HASH),
    name: text("name", m.MODEL_NAME_OFFSET, m.MODEL_NAME_LENGTH, MODEL_BYTES_MAX),
    rule: count === 0 ? undefined : rule,
    priority: flags & m.HAS_PRIORITY ? bytes.readInt32LE(at + m.MODEL_PRIORITY) : undefined,
    routes: (flags & m.ROUTES) !== 0,
  };
}

/** Undefined when one of them has no weight. */
function readTargets(bytes: Buffer, from: number, count: number, heap: HeapReader): readonly Target[] | undefined {
  const targets: Target[] = [];
  let before = 0;
  for (let i = 0; i < count; ++i) {
    const at = from + i * m.TARGET_BYTES;
    const word = (offset: number): number => bytes.readUInt32LE(at + offset);
    const upTo = word(m.TARGET_UP_TO);
    if (upTo <= before) return undefined;
    const name = heap.text("name of a target", word(m.TARGET_NAME_OFFSET), word(m.TARGET_NAME_LENGTH), MODEL_BYTES_MAX);
    targets.push({ name, weight: upTo - before });
    before = upTo;
  }
  return targets;
}
