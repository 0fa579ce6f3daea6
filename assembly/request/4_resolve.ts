// Fourth station: what a request is taken for. Its pool, its priority, and the model that its server is asked
// for. Nothing but the stream's row is changed, so that a request that waited can be resolved anew.

import { MODEL_BYTES_MAX } from "../../src/wire/limits";
import { HAS_PRIORITY } from "../../src/wire/models";
import * as host from "../abi/host";
import * as configs from "../config";
import * as random from "../pick/random";
import * as models from "../state/models";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";
import * as client from "./client_headers";
import * as model from "./model";
import * as pools from "./pool";

/**
 * Resolves the stream's request, the one that was read last: model.target and stream.priority. Answers the number
 * of its pool, or why there is none: NO_POOL or pools.UNKNOWN_POOL.
 */
export function resolve(stream: streams.Stream, config: configs.Config): u32 {
  model.begin();
  stream.priority = 0;
  const pool = pools.choose(config);
  if (pool >= snapshot.poolCount) return pool;
  if (model.isKnown()) takeHeader(stream);
  const section = snapshot.models(snapshot.pool(pool));
  if (section != 0) byObjects(stream, section, snapshot.heapText(0));
  return pool;
}

/** A model that a header names takes the place of the body's: printable ASCII, no longer than an object's. */
function takeHeader(stream: streams.Stream): void {
  if (!client.readRewrite(stream) || host.size == 0 || host.size > MODEL_BYTES_MAX) return;
  for (let i: u32 = 0; i < host.size; ++i) {
    const c = load<u8>(host.data + i);
    if (c < 0x20 || c > 0x7e) return;
  }
  model.setTarget(host.data, host.size);
}

/** What the pool's objects say, their texts lying from `texts` on. About rewriting they have the last word. */
function byObjects(stream: streams.Stream, section: usize, texts: usize): void {
  let row = changetype<models.Model>(0);
  if (model.isNameable()) row = models.find(section, texts, model.caller, model.callerLength);
  stream.priority = priorityOf(stream, section, row);
  if (!model.isKnown()) return;
  if (models.isNone(row) || row.targetCount == 0) row = models.generic(section);
  if (models.isNone(row) || row.targetCount == 0) return;
  const drawn = row.targetCount == 1 ? 0 : random.below(row.totalWeight);
  const target = models.targetAt(section, row, drawn);
  model.setTarget(texts + target.nameOffset, target.nameLength);
  model.setRule(texts + row.ruleOffset, row.ruleLength);
}

/** That of the objective it names; else of its model. An objective that there is not is 0. */
function priorityOf(stream: streams.Stream, section: usize, row: models.Model): i32 {
  if (stream.objective != 0) return models.objectivePriority(section, stream.objective);
  return !models.isNone(row) && (row.flags & HAS_PRIORITY) != 0 ? row.priority : 0;
}
