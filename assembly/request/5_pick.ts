// Fifth station: which pool, and which of its endpoints, best first.

import { FAIL_OPEN } from "../../src/wire/snapshot";
import { monotonicNs } from "../abi/clock";
import { utf8 } from "../abi/text";
import * as configs from "../config";
import * as candidates from "../pick/candidates";
import * as choice from "../pick/choose";
import * as reply from "../reply";
import * as column from "../share/column";
import { hearIfDue, tellIfDue } from "../share/sync";
import * as endpoints from "../state/endpoints";
import * as snapshot from "../state/snapshot";
import * as stats from "../state/stats";
import * as streams from "../state/streams";

// What the pick came to
/** The stream's destinations are set, best first. */
export const PICKED = 0;
/** Goes on without a destination. */
export const UNSTEERED = 1;
/** Answered with an error. */
export const REFUSED = 2;

const noSnapshot = utf8("no_snapshot");
const noEndpoints = utf8("no_endpoints");
const modelNotFound = utf8("model_not_found");
const noSnapshotMessage = utf8("The gateway does not know its model servers yet.");
const noEndpointsMessage = utf8("No model server of this pool is ready.");
const noPoolMessage = utf8("No pool serves this request: several exist and none is the default.");

/** Pool of a request, or stats.NO_POOL. */
function poolOf(config: configs.Config): u32 {
  if (config.defaultPoolLength == 0) return snapshot.poolCount == 1 ? 0 : stats.NO_POOL;
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const pool = snapshot.pool(n);
    if (pool.nameLength != config.defaultPoolLength) continue;
    if (memory.compare(snapshot.poolName(pool), configs.defaultPool(config), pool.nameLength) == 0) return n;
  }
  return stats.NO_POOL;
}

/** A request that was refused before it came here; counted where it would have gone. */
export function countRefused(config: configs.Config): void {
  hearIfDue(monotonicNs());
  const pool = poolOf(config);
  column.countRequest();
  stats.countRequest(pool);
  stats.countOutcome(pool, stats.BAD_REQUEST);
}

/** Picks for a stream, or answers why not. */
export function pick(stream: streams.Stream, config: configs.Config): i32 {
  const nowNs = monotonicNs();
  hearIfDue(nowNs);
  column.countRequest();
  const pool = poolOf(config);
  stats.countRequest(pool);
  if (pool == stats.NO_POOL) return withoutPool(config);
  candidates.gather(snapshot.pool(pool), nowNs);
  if (candidates.count == 0) return withoutEndpoint(pool);
  choice.choose();
  stream.topology = endpoints.topologies;
  for (let n: u32 = 0; n < choice.chosen; ++n) streams.addDestination(stream, <u16>choice.choice(n).id);
  stream.counted = streams.destination(stream, 0);
  endpoints.noteSent(endpoints.at(stream.counted), nowNs);
  column.countPick();
  stats.countOutcome(pool, candidates.anyFresh ? stats.SCORED : stats.DEGRADED);
  stats.recordPick(pool, monotonicNs() - nowNs);
  tellIfDue(nowNs, config.context);
  return PICKED;
}

/** A request that passes without a look: no slot is left for it. */
export function countPassed(): void {
  column.countRequest();
  stats.countRequest(stats.NO_POOL);
  stats.countOutcome(stats.NO_POOL, stats.UNSTEERED);
}

function withoutPool(config: configs.Config): i32 {
  if (snapshot.epoch == 0 || snapshot.poolCount == 0) {
    if (config.failOpen != 0) {
      stats.countOutcome(stats.NO_POOL, stats.UNSTEERED);
      return UNSTEERED;
    }
    stats.countOutcome(stats.NO_POOL, stats.NO_ENDPOINTS);
    reply.error(503, reply.UNAVAILABLE, noSnapshot, noSnapshotMessage, reply.noEndpointsReason);
    return REFUSED;
  }
  stats.countOutcome(stats.NO_POOL, stats.NO_ENDPOINTS);
  reply.error(404, reply.NOT_FOUND_ERROR, modelNotFound, noPoolMessage, null);
  return REFUSED;
}

function withoutEndpoint(pool: u32): i32 {
  if (snapshot.pool(pool).failureMode == FAIL_OPEN) {
    stats.countOutcome(pool, stats.UNSTEERED);
    return UNSTEERED;
  }
  stats.countOutcome(pool, stats.NO_ENDPOINTS);
  reply.error(503, reply.UNAVAILABLE, noEndpoints, noEndpointsMessage, reply.noEndpointsReason);
  return REFUSED;
}
