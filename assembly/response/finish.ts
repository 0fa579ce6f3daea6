// The end of a stream, whatever it was: done, reset by either side, timed out, answered here.

import { monotonicNs } from "../abi/clock";
import * as configs from "../config";
import * as rate from "../flow/rate";
import { cancel } from "../request/5_admit";
import { tellIfDue } from "../share/sync";
import * as holds from "../state/holds";
import { release } from "../state/in_flight";
import * as renames from "../state/renames";
import * as responses from "../state/responses";
import * as series from "../state/series";
import * as streams from "../state/streams";

/** Envoy itself answers a request that waits. */
export function leaveLine(stream: streams.Stream): void {
  cancel(stream, monotonicNs());
  stream.phase = streams.REPLIED;
}

/** Called exactly once for each stream, when Envoy deletes its context. Answers whether that leaves a place. */
export function finish(stream: streams.Stream): bool {
  const wasCounted = stream.counted != streams.NO_ENDPOINT;
  const hasNews = wasCounted || stream.phase == streams.WAITING;
  const nowNs = hasNews || stream.series != streams.NO_SERIES ? monotonicNs() : 0;
  const root = stream.root;
  if (stream.phase == streams.WAITING) cancel(stream, nowNs);
  if (wasCounted) rate.count(stream.poolHash, nowNs);
  release(stream);
  series.end(stream, responses.answerTo(stream), nowNs);
  renames.release(stream.rename);
  holds.release(stream);
  streams.close(stream);
  if (hasNews) tellIfDue(nowNs, configs.at(root).context);
  return wasCounted;
}
