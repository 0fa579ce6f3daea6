// Answers how a request would be picked for, and sends it nowhere: nothing is counted, nothing learned, and
// the picks of others come out as if nobody had asked.

import { monotonicNs } from "../abi/clock";
import { utf8 } from "../abi/text";
import { Config } from "../config";
import * as random from "../pick/random";
import * as scheduler from "../pick/schedule";
import * as subset from "../pick/subset";
import * as reply from "../reply";
import { resolve } from "../request/4_resolve";
import * as refusals from "../request/refusals";
import { hearIfDue } from "../share/sync";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";
import * as record from "./record";

const tooLongCode = utf8("explanation_too_long");
const tooLongMessage = utf8("The explanation of this pick is longer than 1 MiB.");

/** The stream's request, the one that was read last. */
export function explain(stream: streams.Stream, config: Config): void {
  const nowNs = monotonicNs();
  hearIfDue(nowNs);
  const seed = random.stateNow();
  const pool = resolve(stream, config);
  subset.read(stream, config);
  record.setPriority(stream.priority);
  if (pool < snapshot.poolCount) explainIn(snapshot.pool(pool), nowNs);
  else refusals.noPool(pool);
  random.seed(seed);
}

function explainIn(pool: snapshot.Pool, nowNs: u64): void {
  record.start();
  const came = scheduler.schedule(pool, nowNs);
  record.stop();
  if (came == scheduler.NOBODY && subset.isOn) refusals.noneOfSubset();
  else if (came == scheduler.NOBODY) refusals.noEndpoints();
  else if (came == scheduler.NO_PROFILE) refusals.noProfile();
  else if (record.text() == 0) reply.error(500, reply.INTERNAL, tooLongCode, tooLongMessage, null);
  else reply.json(200, record.text(), record.length());
}
