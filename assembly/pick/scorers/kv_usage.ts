// kv-cache-utilization-scorer: 1 − k, k = the share of the KV cache in use, 0 … 1.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as staleness from "../staleness";

export function score(_step: Step): void {
  if (!staleness.settleKvUsage()) {
    candidates.setAllRaw(0);
    return;
  }
  for (let n: u32 = 0; n < candidates.count; ++n) candidates.setRaw(n, 1 - candidates.value(candidates.KV_USAGE, n));
}
