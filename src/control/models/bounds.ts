// What one snapshot has room for. Where that ends, the oldest objects count: tables come here in the order of age.

import { MODELS_MAX, MODELS_TABLE_BYTES_MAX, OBJECTIVES_MAX, TARGETS_MAX } from "../../wire/limits.ts";
import { MODEL_BYTES, OBJECTIVE_BYTES, TARGET_BYTES } from "../../wire/models.ts";
import type { ModelEntry, ModelRule, PoolModels } from "./models.ts";

/** Over all pools. */
export class Room {
  #objectives = OBJECTIVES_MAX as number;
  #models = MODELS_MAX as number;
  #targets = TARGETS_MAX as number;
  #bytes = MODELS_TABLE_BYTES_MAX as number;
  /** Sentences about what there was no room for. */
  readonly left: string[] = [];

  /** Takes room for the table of a pool; what fits of it comes back in the order of names. */
  fit(pool: string, table: PoolModels): PoolModels {
    const generic = table.generic !== undefined && this.#takeModel("", table.generic) ? table.generic : undefined;
    const objectives = whileTrue(table.objectives, ({ name }) => this.#takeObjective(name));
    const models = whileTrue(table.models, ({ name, rule }) => this.#takeModel(name, rule));
    this.#tell(pool, "objectives", table.objectives.length, objectives.length);
    this.#tell(pool, "rules for every model", table.generic === undefined ? 0 : 1, generic === undefined ? 0 : 1);
    this.#tell(pool, "models", table.models.length, models.length);
    return { objectives: byName(objectives), models: byName<ModelEntry>(models), generic };
  }

  #takeObjective(name: string): boolean {
    const bytes = OBJECTIVE_BYTES + Buffer.byteLength(name);
    if (this.#objectives < 1 || this.#bytes < bytes) return false;
    this.#objectives -= 1;
    this.#bytes -= bytes;
    return true;
  }

  #takeModel(name: string, rule: ModelRule | undefined): boolean {
    const targets = rule?.targets ?? [];
    const texts = [name, rule?.rule ?? "", ...targets.map((target) => target.name)];
    const bytes = MODEL_BYTES + targets.length * TARGET_BYTES + Buffer.byteLength(texts.join(""));
    if (this.#models < 1 || this.#targets < targets.length || this.#bytes < bytes) return false;
    this.#models -= 1;
    this.#targets -= targets.length;
    this.#bytes -= bytes;
    return true;
  }

  #tell(pool: string, what: string, wanted: number, taken: number): void {
    if (taken === wanted) return;
    const most = `${OBJECTIVES_MAX} objectives, ${MODELS_MAX} models and ${TARGETS_MAX} targets`;
    const all = `all pools together have room for ${most} in ${MODELS_TABLE_BYTES_MAX} bytes`;
    this.left.push(`pool ${pool} has ${wanted} ${what}, only the oldest ${taken} count: ${all}`);
  }
}

/** What comes before the first that `take` refuses. */
function whileTrue<T>(items: readonly T[], take: (item: T) => boolean): readonly T[] {
  const end = items.findIndex((item) => !take(item));
  return end === -1 ? items : items.slice(0, end);
}

function byName<T extends { readonly name: string }>(items: readonly T[]): readonly T[] {
  return [...items].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
