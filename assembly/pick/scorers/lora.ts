// lora-affinity-scorer: adapter active → 1; fewer active than the maximum → 0.8; listed as waiting → 0.6; else 0.
//
// Active is what the endpoint lists as running and what this proxy has in flight there: real servers list an
// adapter only once a request for it has started, and list the same ones as waiting
// (facts/model-servers.md), so the lists are united, never added.

import { ADAPTERS_LISTED_MAX } from "../../../src/wire/limits";
import { KNOWN_MAX_ADAPTERS } from "../../../src/wire/snapshot";
import * as adapters from "../../state/adapters";
import { Step } from "../../state/program";
import * as snapshot from "../../state/snapshot";
import * as candidates from "../candidates";
import * as request from "../request";

export function score(_step: Step): void {
  const wanted = request.modelHash();
  for (let n: u32 = 0; n < candidates.count; ++n)
    candidates.setRaw(n, scoreOf(candidates.row(n), candidates.id(n), wanted));
}

function scoreOf(row: u32, id: u32, wanted: u64): f64 {
  const measured = changetype<snapshot.Metrics>(snapshot.metricsRow(row));
  const running = min<u32>(measured.runningAdapters, ADAPTERS_LISTED_MAX);
  if (isListed(measured, 0, running, wanted) || adapters.count(id, wanted) != 0) return 1;
  const waiting = <u32>measured.runningAdapters;
  const end = waiting + min<u32>(measured.waitingAdapters, ADAPTERS_LISTED_MAX);
  if ((measured.known & KNOWN_MAX_ADAPTERS) != 0 && hasRoom(measured, running, waiting, end, id)) return 0.8;
  return isListed(measured, waiting, end, wanted) ? 0.6 : 0;
}

/** Whether the adapter is among entries `from` … `to` − 1 of the endpoint's lists. */
function isListed(measured: snapshot.Metrics, from: u32, to: u32, adapter: u64): bool {
  for (let n = from; n < to; ++n) if (snapshot.adapter(measured.adapters + n) == adapter) return true;
  return false;
}

/** Whether the different adapters that are listed or in flight from here are fewer than the endpoint's maximum. */
function hasRoom(measured: snapshot.Metrics, running: u32, waiting: u32, end: u32, id: u32): bool {
  const most = measured.maxAdapters;
  let different: u32 = 0;
  for (let n: u32 = 0; n < running && different < most; ++n) {
    if (!isListed(measured, 0, n, snapshot.adapter(measured.adapters + n))) ++different;
  }
  for (let n = waiting; n < end && different < most; ++n) {
    const adapter = snapshot.adapter(measured.adapters + n);
    if (!isListed(measured, 0, running, adapter) && !isListed(measured, waiting, n, adapter)) ++different;
  }
  for (let entry = adapters.first(id); entry != adapters.NONE && different < most; entry = adapters.next(entry)) {
    const adapter = adapters.at(entry).hash;
    if (!isListed(measured, 0, running, adapter) && !isListed(measured, waiting, end, adapter)) ++different;
  }
  return different < most;
}
