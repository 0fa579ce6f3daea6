// Answers how a request would be picked for, and sends it nowhere: nothing is counted, nothing learned, and
// the picks of others come out as if nobody had asked.

import { monotonicNs } from "../abi/clock";
import { utf8 } from "../abi/text";
import { Config } from "../config";
import * as random from "../pick/random";
import * as scheduler from "../pick/schedule";
import * as reply from "../reply";
import { poolOf } from "../request/pool";
import * as refusals from "../request/refusals";
import { hearIfDue } from "../share/sync";
import * as snapshot from "../state/snapshot";
import { NO_POOL } from "../state/stats";
import * as record from "./record";

const tooLongCode = utf8("explanation_too_long");
const tooLongMessage = utf8("The explanation of this pick is longer than 1 MiB.");

/** The request that was read last, on a stream of `config`. */
export function explain(config: Config): void {
  const nowNs = monotonicNs();
  hearIfDue(nowNs);
  const pool = poolOf(config);
  if (pool != NO_POOL) explainIn(snapshot.pool(pool), nowNs);
  else if (snapshot.poolCount == 0) refusals.noSnapshot();
  else refusals.noPool();
}

function explainIn(pool: snapshot.Pool, nowNs: u64): void {
  const seed = random.stateNow();
  record.start();
  const came = scheduler.schedule(pool, nowNs);
  record.stop();
  random.seed(seed);
  if (came == scheduler.NOBODY) refusals.noEndpoints();
  else if (came == scheduler.NO_PROFILE) refusals.noProfile();
  else if (record.text() == 0) reply.error(500, reply.INTERNAL, tooLongCode, tooLongMessage, null);
  else reply.json(200, record.text(), record.length());
}
