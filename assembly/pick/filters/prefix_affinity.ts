// prefix-cache-affinity-filter: those with m / n ≥ affinityThreshold, unless all of them have too long a queue.

import { Step } from "../../state/program";
import * as candidates from "../candidates";
import * as random from "../random";

/** Tells the chance of this filter from the ranks of a picker. */
const EXPLORATION: u32 = 0x2545f491;
const RANKS: f64 = 4_294_967_296;

let leastHolding: f64 = 0;
let leastOther: f64 = 0;
let holding: u32 = 0;

/** step.p0 … p3: affinityThreshold, explorationProbability, maxTTFTPenaltyMs, peakPrefillThroughput in tokens/s. */
export function filter(step: Step): void {
  if (candidates.count <= 1 || step.p0 <= 0 || explores(step.p1)) {
    candidates.keepAll();
    return;
  }
  split(step.p0);
  if (holding == 0 || isQueueTooLong(step)) candidates.keepAll();
}

function explores(probability: f64): bool {
  return <f64>random.tieRank(random.drawn ^ EXPLORATION, 0) < probability * RANKS;
}

/** Keeps the holders of the prefix, and finds the least tokens in flight on both sides. */
function split(threshold: f64): void {
  holding = 0;
  leastHolding = Infinity;
  leastOther = Infinity;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const blocks = candidates.blocks(n);
    const ratio = blocks == 0 ? 0 : <f64>candidates.matched(n) / <f64>blocks;
    const tokens = candidates.value(candidates.TOKENS, n);
    candidates.setKept(n, ratio >= threshold);
    if (ratio >= threshold) {
      ++holding;
      leastHolding = min<f64>(leastHolding, tokens);
    } else {
      leastOther = min<f64>(leastOther, tokens);
    }
  }
}

function isQueueTooLong(step: Step): bool {
  if (step.p2 <= 0 || holding == candidates.count) return false;
  return (leastHolding / step.p3) * 1000 - (leastOther / step.p3) * 1000 > step.p2;
}
