// kv-cache-utilization-scorer: 1 − k, k = the share of the KV cache in use, 0 … 1.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as columns from "../columns";
import * as staleness from "../staleness";

export function score(_step: Step): void {
  if (!staleness.settleKvUsage()) candidates.setAllRaw(0);
  else columns.scoreInverse(candidates.KV_USAGE);
}
