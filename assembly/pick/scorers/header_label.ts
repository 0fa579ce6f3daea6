// header-label-affinity-scorer: 1 if the request's header equals the endpoint's label, else 0.

import { hash } from "../../abi/text";
import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";
import * as request from "../request";

/** step.number: the column of label values, FNV-1a; 0 = no label. */
export function score(step: Step): void {
  const wanted: u64 = request.readHeader(step.firstHeader) ? hash(request.value, request.valueLength) : 0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const isSame = wanted != 0 && snapshot.column(candidates.row(n), step.number) == wanted;
    candidates.setRaw(n, isSame ? 1 : 0);
  }
}
