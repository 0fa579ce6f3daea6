// Objects of kinds that are read in two API groups. While a cluster or a folder moves from one to the other, an object
// may be there in both: then only that of the newer group counts, as everything reads it once the move is done.

import { GROUP_LLM_D, GROUP_POOL } from "./kinds/groups.ts";
import { type ConfigObject, objectKey } from "./kinds/object.ts";

/** Leaves out what is there in the newer group too. `doubts` says so in a sentence for each. */
export function ofNewestGroup(objects: readonly ConfigObject[]): {
  readonly objects: readonly ConfigObject[];
  readonly doubts: readonly string[];
} {
  const keys = new Set(objects.map(objectKey));
  const doubts: string[] = [];
  const kept = objects.filter((object) => {
    if (!("olderGroup" in object) || object.olderGroup === undefined) return true;
    const { kind, namespace, name, olderGroup } = object;
    if (!keys.has(`${kind}/${namespace}/${name}`)) return true;
    const newer = kind === "InferencePool" ? GROUP_POOL : GROUP_LLM_D;
    doubts.push(`${kind} ${namespace}/${name} is there in two groups: that of ${newer} counts, not ${olderGroup}`);
    return false;
  });
  return { objects: kept, doubts };
}
