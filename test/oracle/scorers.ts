// The scorers of docs/scheduling.md, one function each: a score for every candidate.

import type { ScorerSpec } from "../host/program.ts";
import { type Candidate, column, levelOf, type Pick, type Range, rangeOf } from "./candidates.ts";
import { sessionOwner } from "./sessions.ts";

type Spec<Type extends ScorerSpec["type"]> = Extract<ScorerSpec, { readonly type: Type }>;
type Candidates = readonly Candidate[];

/** Each candidate's score, 0…1. */
export function applyScorer(step: ScorerSpec, candidates: Candidates, pick: Pick): number[] {
  return rawScores(step, candidates, pick).map(clamp);
}

function clamp(score: number): number {
  return Number.isNaN(score) ? 0 : Math.min(1, Math.max(0, score));
}

function rawScores(step: ScorerSpec, candidates: Candidates, pick: Pick): number[] {
  switch (step.type) {
    case "queue-scorer":
      return fewest(settle(candidates, "waiting"), candidates);
    case "running-requests-size-scorer":
      return fewest(settle(candidates, "running"), candidates);
    case "kv-cache-utilization-scorer":
      return settle(candidates, "kvUsage")?.map((share) => 1 - share) ?? none(candidates);
    case "prefix-cache-scorer":
      return candidates.map((candidate) => prefix(step, candidate));
    case "lora-affinity-scorer":
      return candidates.map((candidate) => lora(candidate, pick.request.model));
    case "load-aware-scorer":
      return settle(candidates, "waiting")?.map((waiting) => load(step, waiting)) ?? none(candidates);
    case "active-request-scorer":
      return activeRequests(step, candidates);
    case "token-load-scorer":
      return candidates.map((candidate) => tokenLoad(step, candidate));
    case "session-affinity-scorer": {
      const owner = sessionOwner(step, candidates, pick);
      return candidates.map((candidate) => (candidate === owner ? 1 : 0));
    }
    case "context-length-scorer":
      return candidates.map((candidate) => contextLength(rangeOf(candidate, step.column), pick.tokens));
    case "no-hit-lru-scorer":
      return noHitLru(candidates, pick.coldOrder);
    case "endpoint-attribute-scorer":
      return attribute(step, candidates);
    case "header-label-affinity-scorer":
      return candidates.map((candidate) => headerLabel(step, candidate, pick.request.headers));
    case "topology-affinity-scorer":
      return candidates.map((candidate) => topology(levelOf(candidate, step.column)));
    case "in-flight-scorer":
      return inFlight(step, candidates);
  }
}

function none(candidates: Candidates): number[] {
  return candidates.map(() => 0);
}

/**
 * A value for every candidate: a fresh one as it is, a stale one no lower than the mean of the fresh,
 * an unknown one as that mean. undefined when no fresh candidate knows it.
 */
function settle(candidates: Candidates, name: "waiting" | "running" | "kvUsage"): number[] | undefined {
  const known = candidates.flatMap((candidate) => {
    const value = candidate[name];
    return candidate.isStale || value === undefined ? [] : [value];
  });
  if (known.length === 0) return undefined;
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return candidates.map((candidate) => {
    const value = candidate[name];
    if (value === undefined) return mean;
    return candidate.isStale ? Math.max(value, mean) : value;
  });
}

function fewest(values: readonly number[] | undefined, candidates: Candidates): number[] {
  if (values === undefined) return none(candidates);
  const max = Math.max(...values);
  const min = Math.min(...values);
  return values.map((value) => (max === min ? 1 : (max - value) / (max - min)));
}

function prefix(step: Spec<"prefix-cache-scorer">, candidate: Candidate): number {
  const { matchLengthWeight: w = 0, matchLengthScaleTokens: scale = 8192 } = step;
  const { matched: m, blocks: n, blockTokens: b } = candidate;
  if (n === 0) return 0;
  const length = Math.min(1, (m * b) / scale);
  return w * (length * length) + ((1 - w) * m) / n;
}

function lora({ adapters }: Candidate, model: string | undefined): number {
  const sent = adapters.inFlight.filter((name) => name !== adapters.baseModel);
  const active = new Set([...adapters.running, ...sent]);
  if (model !== undefined && active.has(model)) return 1;
  if (new Set([...active, ...adapters.waiting]).size < adapters.max) return 0.8;
  return model !== undefined && adapters.waiting.includes(model) ? 0.6 : 0;
}

function load(step: Spec<"load-aware-scorer">, waiting: number): number {
  const { threshold = 128 } = step;
  return waiting === 0 ? 0.5 : 0.5 * (1 - Math.min(waiting, threshold) / threshold);
}

function activeRequests(step: Spec<"active-request-scorer">, candidates: Candidates): number[] {
  const { idleThreshold = 0, maxBusyScore = 1 } = step;
  const max = Math.max(...candidates.map((candidate) => candidate.inFlight));
  return candidates.map(({ inFlight: c }) => (c <= idleThreshold ? 1 : ((max - c) / max) * maxBusyScore));
}

function tokenLoad(step: Spec<"token-load-scorer">, { tokens, uncached }: Candidate): number {
  const { queueThresholdTokens = 4_194_304 } = step;
  return 1 - Math.min(tokens + uncached, queueThresholdTokens) / queueThresholdTokens;
}

function contextLength(range: Range, tokens: number): number {
  if (range === "none") return 0.5;
  if (range === "broken") return 0;
  const [min, max] = range;
  if (tokens < min) return 0.3 / (1 + (min - tokens) / 1000);
  if (tokens > max) return 0.3 / (1 + (tokens - max) / 1000);
  const width = max - min;
  return width === 0 ? 1 : 0.3 + 0.7 * (0.7 / (1 + width / 10_000) + (0.3 * (max - tokens)) / width);
}

function noHitLru(candidates: Candidates, coldOrder: readonly string[]): number[] {
  if (candidates.some((candidate) => candidate.matched > 0)) return candidates.map(() => 0.5);
  if (candidates.length === 1) return [1];
  const fresh = candidates.filter((candidate) => !coldOrder.includes(candidate.address));
  return candidates.map((candidate) => {
    const isFresh = fresh.includes(candidate);
    const place = isFresh ? fresh.indexOf(candidate) : fresh.length + coldOrder.indexOf(candidate.address);
    return Math.max(0, 1 - place / (candidates.length - 1));
  });
}

function attribute(step: Spec<"endpoint-attribute-scorer">, candidates: Candidates): number[] {
  const values = candidates.map((candidate) => candidate.attributes[step.attribute]);
  const known = values.filter((value) => value !== undefined);
  const [min, max] = step.fixedRange ?? [Math.min(...known), Math.max(...known)];
  return values.map((value) => {
    if (value === undefined) return 0;
    if (max === min) return 1;
    const share = clamp((value - min) / (max - min));
    return step.lowerIsBetter === true ? 1 - share : share;
  });
}

function headerLabel(
  step: Spec<"header-label-affinity-scorer">,
  candidate: Candidate,
  headers: Readonly<Record<string, string>>,
): number {
  const found = column(candidate, step.column);
  const label = "label" in found ? found.label : undefined;
  return label !== undefined && headers[step.header] === label ? 1 : 0;
}

/** By what is shared: host, rack, zone, region, nothing. */
const NEARNESS = [1, 0.2, 0.05, 0.02, 0];

function topology(level: number | undefined): number {
  return level === undefined ? 0 : NEARNESS[level]!;
}

function inFlight(step: Spec<"in-flight-scorer">, candidates: Candidates): number[] {
  const busiest = Math.max(step.floor ?? 4, ...candidates.map((candidate) => candidate.inFlight));
  return candidates.map((candidate) => 1 - candidate.inFlight / busiest);
}
