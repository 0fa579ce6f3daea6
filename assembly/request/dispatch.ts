// The stations after the body in one go, for a request whose headers and body Envoy holds. All that it needs is
// the stream's row, those headers, and what was scanned of that body last, so a request that waited is dispatched
// in the same way, in whatever callback its turn comes.

import { API_NONE } from "../../src/wire/program";
import { monotonicNs } from "../abi/clock";
import { READS_RESPONSES } from "../build";
import * as configs from "../config";
import * as accessLog from "../explain/access_log";
import * as subset from "../pick/subset";
import * as column from "../share/column";
import { hearIfDue, isDraining, tell, tellIfDue, watchQueue } from "../share/sync";
import * as renames from "../state/renames";
import * as series from "../state/series";
import * as snapshot from "../state/snapshot";
import * as stats from "../state/stats";
import * as streams from "../state/streams";
import { resolve } from "./4_resolve";
import * as admission from "./5_admit";
import * as picker from "./6_pick";
import { steer } from "./7_steer";
import { askUsage } from "./ask_usage";
import * as edits from "./body_edits";
import * as client from "./client_headers";
import * as model from "./model";
import * as refusals from "./refusals";
import { nameForRoutes } from "./route_headers";

// What became of a request
export const GOES_ON = 0;
export const ANSWERED = 1;
/** Waits for a place: request/line sends it on, or ends it. */
export const HELD = 2;

/** For a request that has just been read. */
export function dispatch(stream: streams.Stream, config: configs.Config): i32 {
  const nowNs = monotonicNs();
  hearIfDue(nowNs);
  const pool = resolve(stream, config);
  if (<u32>stream.body != API_NONE)
    series.begin(stream, model.caller, model.callerLength, model.target, model.targetLength);
  if (<u32>stream.body != API_NONE && pool < snapshot.poolCount) {
    const came = admission.admit(stream, pool, nowNs);
    if (came == admission.HELD) {
      watchQueue(config.context);
      tellIfDue(nowNs, config.context);
      return HELD;
    }
    if (came == admission.FULL) {
      refuse(stream, config, pool, nowNs);
      return ANSWERED;
    }
  }
  const goesOn = send(stream, config, pool, false, nowNs);
  if (admission.isTight) tell(nowNs);
  return goesOn ? GOES_ON : ANSWERED;
}

/** For one whose turn has come, after it was read again. Whether it goes on; else it was answered here. */
export function dispatchAdmitted(stream: streams.Stream, config: configs.Config, nowNs: u64): bool {
  return send(stream, config, resolve(stream, config), true, nowNs);
}

function refuse(stream: streams.Stream, config: configs.Config, pool: u32, nowNs: u64): void {
  column.countRequest();
  stats.countEnd(pool, isDraining ? stats.EXPIRED : stats.SATURATED);
  if (config.accessLogFields != 0) accessLog.tell(false);
  if (isDraining) refusals.shuttingDown();
  else refusals.full(admission.secondsAhead(stream, nowNs));
}

/** Picks and sends the request on, or answers why not. */
function send(stream: streams.Stream, config: configs.Config, pool: u32, hasWaited: bool, nowNs: u64): bool {
  subset.read(stream, config);
  const picked = picker.pick(stream, config, pool, nowNs);
  series.noteAttempt(stream, picked == picker.PICKED);
  if (config.accessLogFields != 0) accessLog.tell(picked == picker.PICKED);
  if (picked == picker.REFUSED || !changeBody(stream, config)) return false;
  if (model.rule != 0) model.countDecision();
  if (picked == picker.PICKED) steer(picker.otherPort);
  nameForRoutes(config, pool, hasWaited);
  client.remove(stream.clientHeaders);
  stream.sentNs = nowNs;
  return true;
}

/**
 * Asks the server for the target, and for usage where the configuration says so; remembers what is to be undone in
 * the response. False: it was answered here.
 */
function changeBody(stream: streams.Stream, config: configs.Config): bool {
  const isRewritten = model.isRewritten();
  edits.begin();
  if (isRewritten) model.replaceInBody();
  const asksUsage = READS_RESPONSES && config.injectUsage != 0 && askUsage(stream);
  if (!edits.make()) {
    if (isRewritten) refusals.notRewritten();
    return !isRewritten;
  }
  if (asksUsage) stream.flags |= streams.ASKS_USAGE;
  if (isRewritten && model.isNameable()) {
    stream.rename = renames.hold(model.caller, model.callerLength, model.target, model.targetLength);
  }
  return true;
}
