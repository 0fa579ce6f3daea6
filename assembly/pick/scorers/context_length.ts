// context-length-aware: T tokens in the range min … max of width w: 0.3 + 0.7·(0.7 / (1 + w/10000) + 0.3·(max − T)/w),
// w = 0 → 1; outside by d: 0.3 / (1 + d/1000); no range 0.5; not a range 0.

import { RANGE_BROKEN, RANGE_NONE } from "../../../src/wire/program";
import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";
import * as request from "../request";

/** step.number: the column of ranges. */
export function score(step: Step): void {
  const tokens = <f64>request.tokens();
  for (let n: u32 = 0; n < candidates.count; ++n) {
    candidates.setRaw(n, scoreOf(snapshot.column(candidates.row(n), step.number), tokens));
  }
}

function scoreOf(range: u64, tokens: f64): f64 {
  if (<u32>range == RANGE_NONE) return 0.5;
  if (<u32>range == RANGE_BROKEN) return 0;
  const least = <f64>(<u32>range);
  const most = <f64>(<u32>(range >> 32));
  if (tokens < least) return 0.3 / (1 + (least - tokens) / 1000);
  if (tokens > most) return 0.3 / (1 + (tokens - most) / 1000);
  const width = most - least;
  if (width == 0) return 1;
  return 0.3 + 0.7 * (0.7 / (1 + width / 10_000) + (0.3 * (most - tokens)) / width);
}
