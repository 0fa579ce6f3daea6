// Which endpoints a request must get, in order, by the default profile. Every step over the whole
// pool, in f64, in the words of docs and design; written from the specification, never from the filter.

import { DESTINATIONS_MAX } from "../../src/wire/limits.ts";
import {
  IN_FLIGHT_FLOOR,
  STALE_INTERVALS,
  STALE_MS,
  WEIGHT_IN_FLIGHT,
  WEIGHT_KV_USAGE,
  WEIGHT_QUEUE,
} from "../../src/wire/policy.ts";
import { tieRank } from "./random.ts";

export interface EndpointState {
  readonly address: string;
  /** Position among all rows of the topology: the tie rank depends on it. */
  readonly row: number;
  /** As last scraped, in f32; undefined: never reported. */
  readonly waiting: number | undefined;
  readonly kvUsage: number | undefined;
  /** Age of the row now, ms; undefined: never scraped. */
  readonly ageMs: number | undefined;
  readonly intervalMs: number;
  /** Requests of all workers on it now, and when its last scrape was first seen. */
  readonly inFlight: number;
  readonly inFlightAtScrape: number;
  /** It failed and has not served its time. */
  readonly isDown: boolean;
}

interface Judged {
  readonly endpoint: EndpointState;
  readonly isStale: boolean;
  readonly waiting: number | undefined;
  readonly kvUsage: number | undefined;
}

/** Addresses, best first, at most DESTINATIONS_MAX; `drawn` is the pick's 32 random bits. */
export function schedule(pool: readonly EndpointState[], drawn: number): string[] {
  const up = pool.filter((endpoint) => !endpoint.isDown);
  const candidates = (up.length > 0 ? up : pool).map(judge);
  const waiting = settle(candidates, (candidate) => candidate.waiting);
  const kvUsage = settle(candidates, (candidate) => candidate.kvUsage);
  const queueScores = waiting === undefined ? undefined : queue(waiting);
  const kvScores = kvUsage?.map((share) => 1 - share);
  const loadScores = inFlight(candidates.map((candidate) => candidate.endpoint.inFlight));
  const scored = candidates.map(({ endpoint }, index) => {
    let score = 0;
    if (queueScores !== undefined) score += WEIGHT_QUEUE * queueScores[index]!;
    if (kvScores !== undefined) score += WEIGHT_KV_USAGE * kvScores[index]!;
    score += WEIGHT_IN_FLIGHT * loadScores[index]!;
    return { address: endpoint.address, score, rank: tieRank(drawn, endpoint.row) };
  });
  scored.sort((a, b) => (a.score === b.score ? a.rank - b.rank : b.score - a.score));
  return scored.slice(0, DESTINATIONS_MAX).map((entry) => entry.address);
}

function judge(endpoint: EndpointState): Judged {
  const { waiting, ageMs } = endpoint;
  const isStale = ageMs === undefined || ageMs > Math.max(STALE_MS, STALE_INTERVALS * endpoint.intervalMs);
  const sentSince = endpoint.inFlight - endpoint.inFlightAtScrape;
  return {
    endpoint,
    isStale,
    waiting: waiting !== undefined && waiting > 0 ? Math.max(0, waiting + sentSince) : waiting,
    kvUsage: endpoint.kvUsage,
  };
}

/**
 * A value for every candidate: a fresh one as it is, a stale one no better than the mean of the fresh,
 * an unknown one as that mean. undefined when no fresh candidate knows it: nobody is judged by it.
 */
function settle(candidates: readonly Judged[], read: (candidate: Judged) => number | undefined): number[] | undefined {
  const fresh = candidates.filter((candidate) => !candidate.isStale).map(read);
  const known = fresh.filter((value) => value !== undefined);
  if (known.length === 0) return undefined;
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return candidates.map((candidate) => {
    const value = read(candidate);
    if (value === undefined) return mean;
    return candidate.isStale ? Math.max(value, mean) : value;
  });
}

function queue(waiting: readonly number[]): number[] {
  const highest = Math.max(...waiting);
  const lowest = Math.min(...waiting);
  return waiting.map((value) => (highest === lowest ? 1 : (highest - value) / (highest - lowest)));
}

function inFlight(counts: readonly number[]): number[] {
  const divisor = Math.max(IN_FLIGHT_FLOOR, ...counts);
  return counts.map((count) => 1 - count / divisor);
}
