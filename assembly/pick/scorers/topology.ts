// topology-affinity-scorer: shares the gateway's host 1, rack 0.2, zone 0.05, region 0.02, nothing 0.

import { LEVEL_HOST, LEVEL_RACK, LEVEL_REGION, LEVEL_ZONE } from "../../../src/wire/program";
import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";

/** step.number: the column of levels. */
export function score(step: Step): void {
  for (let n: u32 = 0; n < candidates.count; ++n) {
    candidates.setRaw(n, scoreOf(<u32>snapshot.column(candidates.row(n), step.number)));
  }
}

function scoreOf(level: u32): f64 {
  if (level == LEVEL_HOST) return 1;
  if (level == LEVEL_RACK) return 0.2;
  if (level == LEVEL_ZONE) return 0.05;
  return level == LEVEL_REGION ? 0.02 : 0;
}
