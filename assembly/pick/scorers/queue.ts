// queue-scorer: (max − q) / (max − min) over the candidates' waiting requests q; all equal → 1.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import { spread } from "../spread";
import * as staleness from "../staleness";

export function score(_step: Step): void {
  if (!staleness.settleWaiting()) candidates.setAllRaw(0);
  else spread(candidates.WAITING);
}
