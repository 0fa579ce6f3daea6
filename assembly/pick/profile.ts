// The menu: which scorers judge a candidate, and with which weight.

import { WEIGHT_IN_FLIGHT, WEIGHT_KV_USAGE, WEIGHT_QUEUE } from "../../src/wire/policy";
import * as candidates from "./candidates";
import * as inFlight from "./scorers/in_flight";
import * as kvUsage from "./scorers/kv_usage";
import * as queue from "./scorers/queue";
import * as staleness from "./staleness";

let byQueue: bool = false;
let byKvUsage: bool = false;

/** Looks at all candidates once, before they are scored one by one. */
export function prepare(): void {
  byQueue = candidates.anyFresh && staleness.settle(staleness.WAITING);
  byKvUsage = candidates.anyFresh && staleness.settle(staleness.KV_USAGE);
  if (byQueue) queue.prepare();
  inFlight.prepare();
}

/** The weighted sum of the candidate's scores. */
export function score(candidate: candidates.Candidate): f64 {
  let total: f64 = 0;
  if (byQueue) total += WEIGHT_QUEUE * queue.score(candidate);
  if (byKvUsage) total += WEIGHT_KV_USAGE * kvUsage.score(candidate);
  return total + WEIGHT_IN_FLIGHT * inFlight.score(candidate);
}
