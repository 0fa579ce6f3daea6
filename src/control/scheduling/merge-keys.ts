// Merge keys of YAML 1.1 (`<<: *anchor`), which the reference's reader knows: the members of the mappings that are
// merged count where the mapping itself does not have them, and those of an earlier mapping before a later one's.

import { isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from "yaml";

type Read = {
  /** What an alias stands for. */
  readonly resolve: (node: Node | null) => Node | null;
  /** Called with what is no mapping. */
  readonly complain: (at: Node | null) => void;
};

/** The pairs of a mapping, merged. */
export function mergedPairs(map: YAMLMap, read: Read): readonly Pair[] {
  const found = new Map<unknown, Pair>();
  collect(map, read, found, new Set());
  return [...found.values()];
}

/** A mapping that is merged again, or into itself, has nothing to add. */
function collect(map: YAMLMap, read: Read, found: Map<unknown, Pair>, seen: Set<YAMLMap>): void {
  seen.add(map);
  for (const pair of map.items) if (!isMerge(pair) && !found.has(nameOf(pair))) found.set(nameOf(pair), pair);
  for (const { value } of map.items.filter(isMerge))
    for (const source of sourcesOf(value as Node | null, read)) {
      const merged = read.resolve(source);
      if (!isMap(merged)) read.complain(source);
      else if (!seen.has(merged)) collect(merged, read, found, seen);
    }
}

function isMerge({ key }: Pair): boolean {
  return isScalar(key) && key.type === "PLAIN" && key.value === "<<";
}

function nameOf({ key }: Pair): unknown {
  return isScalar(key) ? key.value : key;
}

function sourcesOf(value: Node | null, { resolve }: Read): readonly (Node | null)[] {
  const found = resolve(value);
  return isSeq(found) ? (found.items as Node[]) : [value];
}
