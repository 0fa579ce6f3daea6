// The stations after the body in one go, for a request whose headers and body Envoy holds. All that it needs is
// the stream's row, those headers, and what was scanned of that body last, so a request that waited is dispatched
// in the same way, in whatever callback its turn comes.

import { monotonicNs } from "../abi/clock";
import * as configs from "../config";
import * as subset from "../pick/subset";
import { hearIfDue } from "../share/sync";
import * as renames from "../state/renames";
import * as streams from "../state/streams";
import { resolve } from "./4_resolve";
import * as picker from "./5_pick";
import { steer } from "./6_steer";
import * as client from "./client_headers";
import * as model from "./model";
import * as refusals from "./refusals";
import { nameForRoutes } from "./route_headers";

/** Whether the request goes on; else it was answered here. */
export function dispatch(stream: streams.Stream, config: configs.Config): bool {
  const nowNs = monotonicNs();
  hearIfDue(nowNs);
  const pool = resolve(stream, config);
  subset.read(stream, config);
  const picked = picker.pick(stream, config, pool, nowNs);
  if (picked == picker.REFUSED || !rename(stream)) return false;
  if (picked == picker.PICKED) steer(picker.otherPort);
  nameForRoutes(config, pool);
  client.remove(stream.clientHeaders);
  return true;
}

/** Asks the server for the target, and remembers both names for the response. */
function rename(stream: streams.Stream): bool {
  if (!model.isRewritten()) return true;
  if (!model.replaceInBody()) {
    refusals.notRewritten();
    return false;
  }
  if (model.isNameable()) {
    stream.rename = renames.hold(model.caller, model.callerLength, model.target, model.targetLength);
  }
  return true;
}
