// The filters of docs/scheduling.md, one function each: the candidates that are let through, in order.

import type { FilterSpec, Operator } from "../host/program.ts";
import { type Candidate, levelOf, type Pick, rangeOf } from "./candidates.ts";
import { tieRank } from "./random.ts";
import { sessionOwner } from "./sessions.ts";

type Spec<Type extends FilterSpec["type"]> = Extract<FilterSpec, { readonly type: Type }>;
type Candidates = readonly Candidate[];

export function applyFilter(step: FilterSpec, candidates: Candidates, pick: Pick): Candidates {
  switch (step.type) {
    case "label-filter":
      return candidates.filter((candidate) => candidate.passes.includes(step.bit));
    case "utilization-filter":
      return byUtilization(step, candidates);
    case "endpoint-attribute-filter":
      return byAttribute(step, candidates);
    case "prefix-cache-affinity-filter":
      return byPrefix(step, candidates, pick);
    case "session-affinity-filter": {
      const owner = sessionOwner(step, candidates, pick);
      return owner === undefined ? candidates : [owner];
    }
    case "topology-affinity-filter":
      return byTopology(step, candidates);
    case "context-length-filter":
      return candidates.filter((candidate) => holds(rangeOf(candidate, step.column), pick.tokens));
    case "utilization-detector":
      return byPressure(step, candidates);
    case "concurrency-detector":
      return byConcurrency(step, candidates);
  }
}

function orAll(passed: Candidates, all: Candidates, isAllowed = true): Candidates {
  return passed.length === 0 && isAllowed ? all : passed;
}

function byUtilization(step: Spec<"utilization-filter">, candidates: Candidates): Candidates {
  const passed = candidates.filter(
    (candidate) =>
      candidate.inFlight <= (step.activeRequests ?? Number.POSITIVE_INFINITY) &&
      (candidate.running ?? 0) <= (step.runningRequests ?? Number.POSITIVE_INFINITY) &&
      (candidate.waiting ?? 0) <= (step.waitingQueue ?? Number.POSITIVE_INFINITY) &&
      (candidate.kvUsage ?? 0) <= (step.kvCacheUtilization ?? Number.POSITIVE_INFINITY),
  );
  return orAll(passed, candidates, step.fallbackOnEmpty === true);
}

const compare: Record<Operator, (a: number, b: number) => boolean> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
};

function byAttribute(step: Spec<"endpoint-attribute-filter">, candidates: Candidates): Candidates {
  const passed = candidates.filter((candidate) => {
    const value = candidate.attributes[step.attribute];
    return value === undefined ? step.passMissing === true : compare[step.operator](value, step.value);
  });
  return orAll(passed, candidates, step.fallbackOnEmpty === true);
}

function byPrefix(step: Spec<"prefix-cache-affinity-filter">, candidates: Candidates, pick: Pick): Candidates {
  const { affinityThreshold = 0.8, explorationProbability = 0 } = step;
  if (candidates.length <= 1 || affinityThreshold <= 0) return candidates;
  if (tieRank((pick.drawn ^ 0x2545f491) >>> 0, 0) < explorationProbability * 2 ** 32) return candidates;
  const isHolder = (candidate: Candidate) => candidate.matched / candidate.blocks >= affinityThreshold;
  const holders = candidates.filter(isHolder);
  const others = candidates.filter((candidate) => !isHolder(candidate));
  if (holders.length === 0) return candidates;
  return others.length > 0 && isTooBusy(step, holders, others) ? candidates : holders;
}

/** Whether waiting for a holder of the prefix costs more than computing it elsewhere may. */
function isTooBusy(step: Spec<"prefix-cache-affinity-filter">, holders: Candidates, others: Candidates): boolean {
  const { maxTTFTPenaltyMs = 18_000, peakPrefillThroughput = 15_928 } = step;
  if (maxTTFTPenaltyMs === 0) return false;
  const waitMs = (group: Candidates) =>
    (Math.min(...group.map((candidate) => candidate.tokens)) / peakPrefillThroughput) * 1000;
  return waitMs(holders) - waitMs(others) > maxTTFTPenaltyMs;
}

function byTopology(step: Spec<"topology-affinity-filter">, candidates: Candidates): Candidates {
  const passed = candidates.filter((candidate) => {
    const level = levelOf(candidate, step.column);
    return level !== undefined && level <= (step.minAffinity ?? 0);
  });
  return orAll(passed, candidates);
}

function holds(range: ReturnType<typeof rangeOf>, tokens: number): boolean {
  if (range === "none") return true;
  return range !== "broken" && tokens >= range[0] && tokens <= range[1];
}

function byPressure(step: Spec<"utilization-detector">, candidates: Candidates): Candidates {
  const passed = candidates.filter(
    (candidate) =>
      !candidate.isStale &&
      (candidate.waiting ?? 0) < (step.queueLimit ?? 5) &&
      (candidate.kvUsage ?? 0) < (step.kvLimit ?? 0.8),
  );
  return orAll(passed, candidates);
}

function byConcurrency(step: Spec<"concurrency-detector">, candidates: Candidates): Candidates {
  return candidates.filter(
    (candidate) =>
      candidate.inFlight < (step.requestLimit ?? Number.POSITIVE_INFINITY) &&
      candidate.tokens < (step.tokenLimit ?? Number.POSITIVE_INFINITY),
  );
}
