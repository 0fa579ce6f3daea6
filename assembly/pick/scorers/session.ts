// session-affinity-scorer: 1 for the endpoint that the session belongs to, else 0.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as session from "../session";

export function score(step: Step): void {
  const bound = session.find(step);
  for (let n: u32 = 0; n < candidates.count; ++n) candidates.setRaw(n, n == bound ? 1 : 0);
}
