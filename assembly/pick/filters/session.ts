// session-affinity-filter: the endpoint that the session belongs to; all if it is not a candidate.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as session from "../session";

export function filter(step: Step): void {
  const bound = session.find(step);
  if (bound >= candidates.count) candidates.keepAll();
  else for (let n: u32 = 0; n < candidates.count; ++n) candidates.setKept(n, n == bound);
}
