// topology-affinity-filter: as near to the gateway as minAffinity; all if nobody is, or if its place is unknown.

import { LEVEL_UNKNOWN } from "../../../src/wire/program";
import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";

/** step.number: the column of levels; p0: the farthest level that passes. */
export function filter(step: Step): void {
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const level = <u32>snapshot.column(candidates.row(n), step.number);
    candidates.setKept(n, level == LEVEL_UNKNOWN || <f64>level <= step.p0);
  }
  if (candidates.countKept() == 0) candidates.keepAll();
}
