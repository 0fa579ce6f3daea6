// Fifth station: which pool, and which of its endpoints, best first.

import {
  HANDLER_DATA_PARALLEL,
  NEEDS_LENGTH,
  NEEDS_PREFIX,
  NEEDS_TOKENS,
  NONE,
  PARSERS_DEFAULT,
} from "../../src/wire/program";
import { FAIL_OPEN } from "../../src/wire/snapshot";
import { monotonicNs } from "../abi/clock";
import { utf8 } from "../abi/text";
import * as configs from "../config";
import * as explain from "../explain/record";
import * as candidates from "../pick/candidates";
import * as choice from "../pick/choose";
import { learn } from "../pick/learn";
import * as random from "../pick/random";
import * as scheduler from "../pick/schedule";
import * as reply from "../reply";
import * as column from "../share/column";
import { hearIfDue, tellIfDue } from "../share/sync";
import * as endpoints from "../state/endpoints";
import { Program } from "../state/program";
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
const noProfile = utf8("unknown_profile");
const saturated = utf8("saturated");
const notExplained = utf8("explanation_too_long");
const modelNotFound = utf8("model_not_found");
const noSnapshotMessage = utf8("The gateway does not know its model servers yet.");
const noEndpointsMessage = utf8("No model server of this pool is ready.");
const noProfileMessage = utf8("The header that chooses a scheduling profile names one that is not configured.");
const saturatedMessage = utf8("No model server can take this request at the moment.");
const notExplainedMessage = utf8("The explanation of this pick is longer than 1 MiB.");
const noPoolMessage = utf8("No pool serves this request: several exist and none is the default.");

const NEEDS_PROMPT: u32 = NEEDS_PREFIX | NEEDS_TOKENS | NEEDS_LENGTH;

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
  const pool = poolOf(config);
  if ((stream.flags & streams.EXPLAINS) != 0 && pool != stats.NO_POOL) return explainPick(pool, nowNs);
  column.countRequest();
  stats.countRequest(pool);
  if (pool == stats.NO_POOL) return withoutPool(config);
  const came = scheduler.schedule(snapshot.pool(pool), nowNs);
  if (came != scheduler.CHOSEN) return withoutChoice(pool, came);
  send(stream, snapshot.program(snapshot.pool(pool)));
  column.countPick();
  stats.countOutcome(pool, candidates.anyFresh ? stats.SCORED : stats.DEGRADED);
  stats.recordPick(pool, monotonicNs() - nowNs);
  tellIfDue(nowNs, config.context);
  return PICKED;
}

/** Port at which the endpoints just chosen are asked, in the place of their own; 0 = their own. */
export let otherPort: u32 = 0;

/** The stream goes to the endpoints just chosen. */
function send(stream: streams.Stream, program: Program): void {
  stream.topology = endpoints.topologies;
  for (let n: u32 = 0; n < choice.chosen; ++n) streams.addDestination(stream, <u16>candidates.id(choice.choice(n)));
  if (program.sessionHeader != NONE) stream.flags |= streams.TELLS_SESSION;
  otherPort = program.handler == HANDLER_DATA_PARALLEL ? program.primaryPort : 0;
  if (otherPort != 0) stream.flags |= streams.OTHER_PORT;
  learn(stream, choice.choice(0), program);
}

/** Answers how the request would be picked for, and sends it nowhere. */
function explainPick(pool: u32, nowNs: u64): i32 {
  const seed = random.stateNow();
  explain.start();
  const came = scheduler.schedule(snapshot.pool(pool), nowNs);
  explain.stop();
  // The picks of others come out as if nobody had asked.
  random.seed(seed);
  if (came == scheduler.NOBODY || came == scheduler.NO_PROFILE) return withoutChoice(pool, came);
  if (explain.text() != 0) reply.json(200, explain.text(), explain.length());
  else reply.error(500, reply.INTERNAL, notExplained, notExplainedMessage, null);
  return REFUSED;
}

/** The bits of the APIs whose requests the pool reads. */
export function parsers(config: configs.Config): u32 {
  if (snapshot.epoch == 0) hearIfDue(monotonicNs());
  const pool = poolOf(config);
  return pool == stats.NO_POOL ? PARSERS_DEFAULT : snapshot.program(snapshot.pool(pool)).parsers;
}

/** Whether the pool's program asks for the prompt, and not only for the model. */
export function readsPrompt(config: configs.Config): bool {
  const pool = poolOf(config);
  return pool != stats.NO_POOL && (snapshot.program(snapshot.pool(pool)).flags & NEEDS_PROMPT) != 0;
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

function withoutChoice(pool: u32, came: i32): i32 {
  if (came == scheduler.NOBODY) return withoutEndpoint(pool);
  if (came == scheduler.NO_PROFILE) {
    stats.countOutcome(pool, stats.BAD_REQUEST);
    reply.error(400, reply.INVALID_REQUEST, noProfile, noProfileMessage, null);
  } else {
    stats.countOutcome(pool, stats.SATURATED);
    reply.error(429, reply.RATE_LIMITED, saturated, saturatedMessage, reply.saturatedReason);
  }
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
