// The table of a pool's models to bytes, as src/wire/models.ts lays them out.

import * as m from "../../wire/models.ts";
import { NONE } from "../../wire/program.ts";
import { fnv1a } from "../hash.ts";
import type { Heap } from "../heap.ts";
import type { Target } from "../kinds/object.ts";
import type { ModelEntry, PoolModels } from "./models.ts";

type Hashed<T> = { readonly hash: bigint; readonly item: T };

/** The same table always gives the same bytes, whatever order it is in. Texts go to `heap`. */
export function encodeModels(table: PoolModels, heap: Heap): Buffer {
  const objectives = inOrder(table.objectives);
  const models = inOrder(table.models);
  if (table.generic !== undefined) models.push({ hash: fnv1a(""), item: genericEntry(table.generic) });
  const targets = models.map(({ item }) => item.rule?.targets ?? []);
  const modelsAt = m.MODELS_BYTES + objectives.length * m.OBJECTIVE_BYTES;
  const targetsAt = modelsAt + models.length * m.MODEL_BYTES;
  const bytes = Buffer.alloc(targetsAt + targets.flat().length * m.TARGET_BYTES);
  bytes.writeUInt32LE(objectives.length, m.O_OBJECTIVE_COUNT);
  bytes.writeUInt32LE(models.length, m.O_MODEL_COUNT);
  bytes.writeUInt32LE(targets.flat().length, m.O_TARGET_COUNT);
  bytes.writeUInt32LE(table.generic === undefined ? NONE : models.length - 1, m.O_GENERIC);
  objectives.forEach(({ hash, item }, i) => {
    const at = m.MODELS_BYTES + i * m.OBJECTIVE_BYTES;
    bytes.writeBigUInt64LE(hash, at + m.OBJECTIVE_NAME_HASH);
    writeText(bytes, at + m.OBJECTIVE_NAME_OFFSET, item.name, heap);
    bytes.writeInt32LE(item.priority, at + m.OBJECTIVE_PRIORITY);
  });
  let first = 0;
  models.forEach((model, i) => {
    const own = targets[i]!;
    const at = modelsAt + i * m.MODEL_BYTES;
    writeModel(bytes, at, model, heap);
    bytes.writeUInt32LE(first, at + m.MODEL_FIRST_TARGET);
    bytes.writeUInt32LE(own.length, at + m.MODEL_TARGET_COUNT);
    bytes.writeUInt32LE(writeTargets(bytes, targetsAt + first * m.TARGET_BYTES, own, heap), at + m.MODEL_TOTAL_WEIGHT);
    first += own.length;
  });
  return bytes;
}

function genericEntry(rule: NonNullable<PoolModels["generic"]>): ModelEntry {
  return { name: "", rule, priority: undefined, routes: false };
}

/** As a filter looks names up: by hash, then by bytes. */
function inOrder<T extends { readonly name: string }>(items: readonly T[]): Hashed<T>[] {
  return items
    .map((item) => ({ hash: fnv1a(item.name), item }))
    .sort((a, b) =>
      a.hash === b.hash ? Buffer.compare(Buffer.from(a.item.name), Buffer.from(b.item.name)) : a.hash < b.hash ? -1 : 1,
    );
}

/** Offset and length are neighbours in every row. */
function writeText(bytes: Buffer, at: number, text: string, heap: Heap): void {
  const { offset, length } = heap.place(text);
  bytes.writeUInt32LE(offset, at);
  bytes.writeUInt32LE(length, at + 4);
}

function writeModel(bytes: Buffer, at: number, { hash, item }: Hashed<ModelEntry>, heap: Heap): void {
  const { name, rule, priority, routes } = item;
  const flags = (priority === undefined ? 0 : m.HAS_PRIORITY) | (routes ? m.ROUTES : 0);
  bytes.writeBigUInt64LE(hash, at + m.MODEL_NAME_HASH);
  writeText(bytes, at + m.MODEL_NAME_OFFSET, name, heap);
  bytes.writeInt32LE(priority ?? 0, at + m.MODEL_PRIORITY);
  bytes.writeUInt32LE(flags, at + m.MODEL_FLAGS);
  if (rule !== undefined) writeText(bytes, at + m.MODEL_RULE_OFFSET, rule.rule, heap);
}

/** Returns the weight of all. */
function writeTargets(bytes: Buffer, from: number, targets: readonly Target[], heap: Heap): number {
  let upTo = 0;
  targets.forEach(({ name, weight }, i) => {
    const at = from + i * m.TARGET_BYTES;
    upTo += weight;
    writeText(bytes, at + m.TARGET_NAME_OFFSET, name, heap);
    bytes.writeUInt32LE(upTo, at + m.TARGET_UP_TO);
  });
  return upTo;
}
