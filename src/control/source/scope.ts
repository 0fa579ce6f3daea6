// Which of a cluster's pools the agent is for.

import type { Pool } from "../kinds/object.ts";

export type Scope = {
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined;
  /** The only pool, by name. It is ours whatever picker it names. */
  readonly pool: string | undefined;
  /** Only pools that name this Service as their endpoint picker; undefined: whatever they name. */
  readonly picker: string | undefined;
  /** With `picker`: pools that name none are ours too. */
  readonly poolsWithoutPicker: boolean;
};

export function isOurs({ name, picker }: Pool, scope: Scope): boolean {
  if (scope.pool !== undefined) return name === scope.pool;
  if (scope.picker === undefined || picker === scope.picker) return true;
  return picker === undefined && scope.poolsWithoutPicker;
}
