// running-requests-size-scorer: (max − r) / (max − min) over the candidates' running requests r; all equal → 1.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import { spread } from "../spread";
import * as staleness from "../staleness";

export function score(_step: Step): void {
  if (!staleness.settleRunning()) candidates.setAllRaw(0);
  else spread(candidates.RUNNING);
}
