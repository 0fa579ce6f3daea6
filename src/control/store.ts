// The objects in force, whatever source they came from.

import { isDeepStrictEqual } from "node:util";
import { type ConfigObject, objectKey } from "./kinds/object.ts";

export class ObjectStore {
  #objects: ReadonlyMap<string, ConfigObject> | undefined;
  readonly #onChange: (objects: readonly ConfigObject[]) => void;

  /**
   * `onChange` gets all objects after the first replacement and after each that changed something, their order
   * included: of two objects that do not say when they were created, the first is the older.
   */
  constructor(onChange: (objects: readonly ConfigObject[]) => void) {
    this.#onChange = onChange;
  }

  /** Puts `objects` in force in place of all others. Keys are unique: a later object takes the place of an earlier. */
  replace(objects: Iterable<ConfigObject>): void {
    const next = new Map<string, ConfigObject>();
    for (const object of objects) next.set(objectKey(object), object);
    if (this.#objects !== undefined && isDeepStrictEqual([...next], [...this.#objects])) return;
    this.#objects = next;
    this.#onChange([...next.values()]);
  }
}
