// label-selector-filter, by-label, decode-, prefill- and encode-filter: the agent judged the labels, a bit says how.

import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";

/** step.number: the bit. */
export function filter(step: Step): void {
  for (let n: u32 = 0; n < candidates.count; ++n) {
    candidates.setKept(n, ((snapshot.passes(candidates.row(n)) >> step.number) & 1) != 0);
  }
}
