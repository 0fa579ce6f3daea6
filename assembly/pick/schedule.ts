// One pick, from the pool to the ordered list: the steps of docs/scheduling.md, without the learning.

import { HANDLER_DATA_PARALLEL, NEEDS_PREFIX, NONE } from "../../src/wire/program";
import * as explain from "../explain/record";
import * as programs from "../state/program";
import * as snapshot from "../state/snapshot";
import * as candidates from "./candidates";
import * as choice from "./choose";
import * as handler from "./handler";
import * as prefix from "./prefix";
import * as profiles from "./profile";
import * as random from "./random";
import * as request from "./request";
import * as session from "./session";

/** choice holds the endpoints, best first. */
export const CHOSEN = 0;
/** The pool has no endpoint. */
export const NOBODY = 1;
/** The request names a profile that there is not. */
export const NO_PROFILE = 2;
/** The filters of the profile left nobody. */
export const SATURATED = 3;

/** Picks for the request that was read last. */
export function schedule(pool: snapshot.Pool, nowNs: u64): i32 {
  const program = snapshot.program(pool);
  const texts = snapshot.programTexts(pool);
  request.begin(pool, nowNs);
  session.begin();
  choice.clear();
  candidates.gather(pool, nowNs);
  if (candidates.count == 0) return NOBODY;
  random.draw();
  const number = handler.profileFor(program, texts);
  if (number == NONE) return NO_PROFILE;
  if ((program.flags & NEEDS_PREFIX) != 0) prefix.match(program);
  return run(pool, program, programs.profile(program, number));
}

function run(pool: snapshot.Pool, program: programs.Program, profile: programs.Profile): i32 {
  if (explain.isOn) explain.began(pool, profile);
  const hasChosen = profiles.run(program, profile);
  // The header that tells ranks apart names one endpoint, which must not be said to another one's sidecar.
  const most: u32 = program.handler == HANDLER_DATA_PARALLEL ? 1 : profile.endpoints;
  if (hasChosen) choice.choose(profile.picker, most);
  if (explain.isOn) explain.picked(profile);
  return hasChosen ? CHOSEN : SATURATED;
}
