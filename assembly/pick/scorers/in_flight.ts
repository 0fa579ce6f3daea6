// in-flight: 1 − c / max(c_max, IN_FLIGHT_FLOOR), c = requests of all workers on the endpoint now.

import { IN_FLIGHT_FLOOR } from "../../../src/wire/policy";
import * as candidates from "../candidates";

let divisor: f64 = IN_FLIGHT_FLOOR;

export function prepare(): void {
  let highest: u32 = IN_FLIGHT_FLOOR;
  for (let n: u32 = 0; n < candidates.count; ++n) highest = max<u32>(highest, candidates.at(n).inFlight);
  divisor = <f64>highest;
}

export function score(candidate: candidates.Candidate): f64 {
  return 1 - <f64>candidate.inFlight / divisor;
}
