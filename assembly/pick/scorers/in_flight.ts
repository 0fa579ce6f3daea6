// in-flight-scorer: 1 − c / max(c_max, floor), c = requests of all workers on the endpoint now.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as columns from "../columns";

/** step.p0: the floor. */
export function score(step: Step): void {
  columns.scoreRest(candidates.IN_FLIGHT, columns.most(candidates.IN_FLIGHT, step.p0));
}
