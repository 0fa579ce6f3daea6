// context-length-aware as a filter: no range, or the request's tokens within it.

import { RANGE_BROKEN, RANGE_NONE } from "../../../src/wire/program";
import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";
import * as request from "../request";

/** step.number: the column of ranges. */
export function filter(step: Step): void {
  const tokens = request.tokens();
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const range = snapshot.column(candidates.row(n), step.number);
    const least = <u32>range;
    const isWithin = least != RANGE_BROKEN && tokens >= least && tokens <= <u32>(range >> 32);
    candidates.setKept(n, least == RANGE_NONE || isWithin);
  }
}
