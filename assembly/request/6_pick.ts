// Sixth station: which endpoints of the pool, best first.

import { HANDLER_DATA_PARALLEL, NONE } from "../../src/wire/program";
import { FAIL_OPEN } from "../../src/wire/snapshot";
import { monotonicNs } from "../abi/clock";
import * as configs from "../config";
import * as candidates from "../pick/candidates";
import * as choice from "../pick/choose";
import { learn } from "../pick/learn";
import * as scheduler from "../pick/schedule";
import * as subset from "../pick/subset";
import * as column from "../share/column";
import { hearIfDue, tellIfDue } from "../share/sync";
import * as endpoints from "../state/endpoints";
import { Program } from "../state/program";
import * as snapshot from "../state/snapshot";
import * as stats from "../state/stats";
import * as streams from "../state/streams";
import * as client from "./client_headers";
import { poolOf } from "./pool";
import * as refusals from "./refusals";

// What the pick came to
/** The stream's destinations are set, best first. */
export const PICKED = 0;
/** Goes on without a destination. */
export const UNSTEERED = 1;
/** Answered with an error. */
export const REFUSED = 2;

/** Port at which the endpoints just chosen are asked, in the place of their own; 0 = their own. */
export let otherPort: u32 = 0;

/** A request that was refused before it came here; counted where it would have gone. */
export function countRefused(config: configs.Config): void {
  hearIfDue(monotonicNs());
  const pool = poolOf(config);
  column.countRequest();
  stats.countRequest(pool);
  stats.countOutcome(pool, stats.BAD_REQUEST);
}

/** A request that passes without a look: no slot is left for it. */
export function countPassed(): void {
  column.countRequest();
  stats.countRequest(stats.NO_POOL);
  stats.countOutcome(stats.NO_POOL, stats.UNSTEERED);
}

/** Picks in the pool of that number for a stream, or answers why not. */
export function pick(stream: streams.Stream, config: configs.Config, pool: u32, nowNs: u64): i32 {
  column.countRequest();
  if (pool >= snapshot.poolCount) return withoutPool(config, pool);
  stats.countRequest(pool);
  const came = scheduler.schedule(snapshot.pool(pool), nowNs);
  if (came != scheduler.CHOSEN) return withoutChoice(pool, came);
  if (client.wantsCached(stream) && candidates.matched(choice.choice(0)) == 0) return withoutCache(pool);
  stream.pool = <u16>pool;
  // Its end makes room there, wherever it waited, and whether it had to be admitted or not.
  stream.poolHash = snapshot.poolHash(pool);
  send(stream, snapshot.program(snapshot.pool(pool)));
  column.countPick();
  stats.countOutcome(pool, candidates.anyFresh ? stats.SCORED : stats.DEGRADED);
  stats.recordPick(pool, monotonicNs() - nowNs);
  tellIfDue(nowNs, config.context);
  return PICKED;
}

/** The stream goes to the endpoints just chosen. */
function send(stream: streams.Stream, program: Program): void {
  stream.topology = endpoints.topologies;
  for (let n: u32 = 0; n < choice.chosen; ++n) streams.addDestination(stream, <u16>candidates.id(choice.choice(n)));
  if (program.sessionHeader != NONE) stream.flags |= streams.TELLS_SESSION;
  otherPort = program.handler == HANDLER_DATA_PARALLEL ? program.primaryPort : 0;
  if (otherPort != 0) stream.flags |= streams.OTHER_PORT;
  learn(stream, choice.choice(0), program);
}

function withoutPool(config: configs.Config, pool: u32): i32 {
  stats.countRequest(stats.NO_POOL);
  const knowsNothing = snapshot.epoch == 0 || snapshot.poolCount == 0;
  if (knowsNothing && config.failOpen != 0) {
    stats.countOutcome(stats.NO_POOL, stats.UNSTEERED);
    return UNSTEERED;
  }
  stats.countOutcome(stats.NO_POOL, stats.NO_ENDPOINTS);
  refusals.noPool(pool);
  return REFUSED;
}

/** The caller rather has another proxy asked than its prompt computed anew. */
function withoutCache(pool: u32): i32 {
  stats.countOutcome(pool, stats.BAD_REQUEST);
  refusals.notCached();
  return REFUSED;
}

function withoutChoice(pool: u32, came: i32): i32 {
  if (came == scheduler.NOBODY) return withoutEndpoint(pool);
  if (came == scheduler.NO_PROFILE) {
    stats.countOutcome(pool, stats.BAD_REQUEST);
    refusals.noProfile();
  } else {
    stats.countOutcome(pool, stats.SATURATED);
    refusals.saturated();
  }
  return REFUSED;
}

function withoutEndpoint(pool: u32): i32 {
  // Where the cluster's own load balancing would go nobody bounds.
  if (snapshot.pool(pool).failureMode == FAIL_OPEN && !subset.isOn) {
    stats.countOutcome(pool, stats.UNSTEERED);
    return UNSTEERED;
  }
  stats.countOutcome(pool, stats.NO_ENDPOINTS);
  if (subset.isOn) refusals.noneOfSubset();
  else refusals.noEndpoints();
  return REFUSED;
}
