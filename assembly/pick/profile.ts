// A scheduling profile at work: its filters thin out the candidates, its scorers add up their totals. The
// two menus name every step there is.

import {
  FALLBACK_ON_EMPTY,
  FILTER_ATTRIBUTE,
  FILTER_CONCURRENCY_DETECTOR,
  FILTER_CONTEXT_LENGTH,
  FILTER_LABELS,
  FILTER_PREFIX_AFFINITY,
  FILTER_SESSION,
  FILTER_TOPOLOGY,
  FILTER_UTILIZATION,
  FILTER_UTILIZATION_DETECTOR,
  SCORER_ACTIVE_REQUEST,
  SCORER_ATTRIBUTE,
  SCORER_CONTEXT_LENGTH,
  SCORER_FIRST,
  SCORER_HEADER_LABEL,
  SCORER_IN_FLIGHT,
  SCORER_KV_USAGE,
  SCORER_LOAD,
  SCORER_LORA,
  SCORER_NO_HIT_LRU,
  SCORER_PREFIX,
  SCORER_QUEUE,
  SCORER_RUNNING,
  SCORER_SESSION,
  SCORER_TOKEN_LOAD,
  SCORER_TOPOLOGY,
} from "../../src/wire/program";
import * as explain from "../explain/record";
import * as programs from "../state/program";
import * as candidates from "./candidates";
import * as attributeFilter from "./filters/attribute";
import * as concurrencyDetector from "./filters/concurrency_detector";
import * as contextLengthFilter from "./filters/context_length";
import * as labels from "./filters/labels";
import * as prefixAffinity from "./filters/prefix_affinity";
import * as sessionFilter from "./filters/session";
import * as topologyFilter from "./filters/topology";
import * as utilization from "./filters/utilization";
import * as utilizationDetector from "./filters/utilization_detector";
import * as activeRequest from "./scorers/active_request";
import * as attribute from "./scorers/attribute";
import * as contextLength from "./scorers/context_length";
import * as headerLabel from "./scorers/header_label";
import * as inFlight from "./scorers/in_flight";
import * as kvUsage from "./scorers/kv_usage";
import * as loadAware from "./scorers/load";
import * as lora from "./scorers/lora";
import * as noHitLru from "./scorers/no_hit_lru";
import * as prefix from "./scorers/prefix";
import * as queue from "./scorers/queue";
import * as running from "./scorers/running";
import * as session from "./scorers/session";
import * as tokenLoad from "./scorers/token_load";
import * as topology from "./scorers/topology";
import * as staleness from "./staleness";

/** Each says of every candidate whether it is kept. */
function filterBy(step: programs.Step): void {
  const id = <u32>step.id;
  if (id == FILTER_LABELS) labels.filter(step);
  else if (id == FILTER_UTILIZATION) utilization.filter(step);
  else if (id == FILTER_ATTRIBUTE) attributeFilter.filter(step);
  else if (id == FILTER_PREFIX_AFFINITY) prefixAffinity.filter(step);
  else if (id == FILTER_SESSION) sessionFilter.filter(step);
  else if (id == FILTER_TOPOLOGY) topologyFilter.filter(step);
  else if (id == FILTER_CONTEXT_LENGTH) contextLengthFilter.filter(step);
  else if (id == FILTER_UTILIZATION_DETECTOR) utilizationDetector.filter(step);
  else if (id == FILTER_CONCURRENCY_DETECTOR) concurrencyDetector.filter(step);
  else candidates.keepAll();
}

/** Each gives every candidate a raw score. */
function scoreBy(step: programs.Step): void {
  const id = <u32>step.id;
  if (id == SCORER_QUEUE) queue.score(step);
  else if (id == SCORER_RUNNING) running.score(step);
  else if (id == SCORER_KV_USAGE) kvUsage.score(step);
  else if (id == SCORER_PREFIX) prefix.score(step);
  else if (id == SCORER_LORA) lora.score(step);
  else if (id == SCORER_LOAD) loadAware.score(step);
  else if (id == SCORER_ACTIVE_REQUEST) activeRequest.score(step);
  else if (id == SCORER_TOKEN_LOAD) tokenLoad.score(step);
  else if (id == SCORER_SESSION) session.score(step);
  else if (id == SCORER_CONTEXT_LENGTH) contextLength.score(step);
  else if (id == SCORER_NO_HIT_LRU) noHitLru.score(step);
  else if (id == SCORER_ATTRIBUTE) attribute.score(step);
  else if (id == SCORER_HEADER_LABEL) headerLabel.score(step);
  else if (id == SCORER_TOPOLOGY) topology.score(step);
  else if (id == SCORER_IN_FLIGHT) inFlight.score(step);
  else candidates.setAllRaw(0);
}

/** Runs the profile's steps over the candidates. False when its filters leave nobody. */
export function run(program: programs.Program, profile: programs.Profile): bool {
  staleness.begin();
  noHitLru.begin();
  const end = profile.firstStep + profile.stepCount;
  let n = profile.firstStep;
  for (; n < end && <u32>programs.step(program, n).id < SCORER_FIRST; ++n) {
    if (!filter(programs.step(program, n))) return false;
  }
  candidates.beginTotals();
  for (; n < end; ++n) {
    const step = programs.step(program, n);
    scoreBy(step);
    if (explain.isOn) explain.scored(step);
    candidates.addScores(step.weight);
  }
  return true;
}

function filter(step: programs.Step): bool {
  filterBy(step);
  const kept = candidates.countKept();
  if (kept == 0 && (<u32>step.flags & FALLBACK_ON_EMPTY) != 0) candidates.keepAll();
  if (explain.isOn) explain.filtered(step);
  if (candidates.countKept() < candidates.count) candidates.removeOthers();
  return candidates.count != 0;
}
