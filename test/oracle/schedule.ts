// Which endpoints a request must get, in order: docs/scheduling.md step by step, over everything that is
// known. Slow and obvious, written from that page, never from the filter.

import {
  DESTINATIONS_DEFAULT,
  STALE_MS,
  WEIGHT_IN_FLIGHT,
  WEIGHT_KV_USAGE,
  WEIGHT_PREFIX,
  WEIGHT_QUEUE,
} from "../../src/wire/policy.ts";
import { NEEDS_PREFIX } from "../../src/wire/program.ts";
import type { Told } from "../host/column.ts";
import { needs, type ProfileSpec, type ProgramSpec, sessionTokenHeader, stepsOf } from "../host/program.ts";
import { type EndpointSpec, endpointIdOf, type RowSpec } from "../host/snapshot.ts";
import type { Candidate, Pick, Request } from "./candidates.ts";
import { KnownEndpoint } from "./endpoint.ts";
import { applyFilter } from "./filters.ts";
import { order, type Scored } from "./pickers.ts";
import { Prefixes } from "./prefixes.ts";
import type { Draws } from "./random.ts";
import { applyScorer } from "./scorers.ts";
import { encodeId, Sessions, sessionName } from "./sessions.ts";

const BLOCK_SIZES = 4;
const BLOCK_TOKENS_MIN = 64;

/** What counts for a pool without a document. */
export const DEFAULT_PROGRAM: ProgramSpec = {
  profiles: [
    {
      scorers: [
        { type: "prefix-cache-scorer", weight: WEIGHT_PREFIX },
        { type: "queue-scorer", weight: WEIGHT_QUEUE },
        { type: "kv-cache-utilization-scorer", weight: WEIGHT_KV_USAGE },
        { type: "in-flight-scorer", weight: WEIGHT_IN_FLIGHT },
      ],
      endpoints: DESTINATIONS_DEFAULT,
    },
  ],
};

/** A request on its way. */
export interface Flight {
  /** The destination list as it is sent, and the endpoints it means. */
  readonly list: readonly string[];
  readonly destinations: readonly KnownEndpoint[];
  /** x-data-parallel-host-port */
  readonly dataParallel: string | undefined;
  readonly model: string | undefined;
  readonly tokens: number;
  /** Where it counts. */
  at: KnownEndpoint;
  /** Its tokens still count on that endpoint. */
  holdsTokens: boolean;
}

interface Refusal {
  readonly status: 400 | 429 | 503;
  readonly reason: string | undefined;
}

export type Answer = Refusal | "unsteered" | Flight;

interface Decision {
  readonly profile: ProfileSpec;
  readonly pick: Pick;
  /** Candidates that the filters left. */
  readonly left: readonly Candidate[];
  readonly chosen: readonly Scored[];
}

export interface PoolFacts {
  readonly program: ProgramSpec | undefined;
  readonly failOpen: boolean;
  readonly endpoints: readonly EndpointSpec[];
  /** Of the pool's first endpoint in the topology. */
  readonly firstRow: number;
}

/** A pool and all that happened to it. */
export class Scheduler {
  private readonly program: ProgramSpec;
  private readonly failOpen: boolean;
  private readonly endpoints: readonly KnownEndpoint[];
  private readonly sessions: Sessions;
  private readonly prefixes = new Prefixes();
  private readonly matchesPrefix: boolean;
  private coldOrder: string[] = [];

  constructor(pool: PoolFacts) {
    this.program = pool.program ?? DEFAULT_PROGRAM;
    this.failOpen = pool.failOpen;
    this.endpoints = pool.endpoints.map((spec, index) => {
      const row = pool.firstRow + index;
      return new KnownEndpoint(spec, endpointIdOf(spec, row), row);
    });
    this.sessions = new Sessions(this.program.sessionTtlMs ?? 300_000);
    this.matchesPrefix = (needs(this.program) & NEEDS_PREFIX) !== 0;
  }

  /** Metrics, in the pool's order. */
  measure(rows: readonly RowSpec[], sequence: number, nowNs: bigint): void {
    for (const [index, endpoint] of this.endpoints.entries()) endpoint.measure(rows[index]!, sequence, nowNs);
  }

  /** What another worker says, in the pool's order. */
  hear(told: readonly Told[]): void {
    for (const [index, endpoint] of this.endpoints.entries()) endpoint.hear(told[index]!);
  }

  /** Picks, and learns what follows from the pick. */
  pick(request: Request, draws: Draws, nowNs: bigint): Answer {
    const decision = this.decide(request, draws, nowNs);
    if (decision === "unsteered" || "status" in decision) return decision;
    const { profile, pick, left } = decision;
    const chosen = decision.chosen.map((entry) => entry.candidate);
    this.noteSessions(profile, pick, chosen[0]!, nowNs);
    this.noteCold(profile, left, chosen[0]!);
    return this.send(chosen, request, nowNs);
  }

  /** The endpoints a pick would choose, with their totals; undefined when it would choose none. */
  explain(request: Request, draws: Draws, nowNs: bigint): readonly Scored[] | undefined {
    const decision = this.decide(request, draws, nowNs);
    return decision === "unsteered" || "status" in decision ? undefined : this.listed(decision.chosen);
  }

  /** What the list names: by data-parallel one endpoint, since a header says which rank it is. */
  private listed<T>(chosen: readonly T[]): readonly T[] {
    return this.program.handler?.type === "data-parallel-profile-handler" ? chosen.slice(0, 1) : chosen;
  }

  private decide(request: Request, draws: Draws, nowNs: bigint): Refusal | "unsteered" | Decision {
    const up = this.endpoints.filter((endpoint) => !endpoint.isDown(nowNs));
    const pickable = up.length > 0 ? up : this.endpoints;
    if (pickable.length === 0) {
      return this.failOpen ? "unsteered" : { status: 503, reason: "rejected-no-endpoints" };
    }
    const drawn = draws.draw();
    const profile = this.profileOf(request);
    if (profile === undefined) return { status: 400, reason: undefined };
    const pick: Pick = {
      request,
      tokens: tokensOf(request),
      drawn,
      boundTo: (session) => this.sessions.addressOf(session, nowNs),
      homeless: new Set(),
      coldOrder: this.coldOrder,
    };
    let left: readonly Candidate[] = pickable.map((endpoint) => this.candidate(endpoint, request, nowNs));
    for (const step of profile.filters ?? []) left = applyFilter(step, left, pick);
    if (left.length === 0) return { status: 429, reason: "rejected-saturated" };
    const ordered = order(profile.picker ?? "max-score-picker", total(profile, left, pick), drawn);
    return { profile, pick, left, chosen: ordered.slice(0, profile.endpoints ?? 1) };
  }

  private profileOf(request: Request): ProfileSpec | undefined {
    const { handler, profiles } = this.program;
    if (handler?.type !== "header-profile-handler" || profiles.length === 1) return profiles[0];
    const named = request.headers[handler.header ?? "epp-profile"]?.trim();
    const name = named === undefined || named === "" ? (handler.defaultProfile ?? "decode") : named;
    return profiles.find((profile) => profile.name === name);
  }

  /** b of an endpoint: the sizes of the pool's first endpoints count, others take the nearest of them. */
  private blockTokens(endpoint: KnownEndpoint): number {
    const { autoTune = true, blockSize = BLOCK_TOKENS_MIN } = this.program;
    const own = (one: KnownEndpoint) => Math.max(BLOCK_TOKENS_MIN, (autoTune ? one.blockSize : undefined) ?? blockSize);
    const sizes = [...new Set(this.endpoints.map(own))].slice(0, BLOCK_SIZES);
    const wanted = own(endpoint);
    return sizes.toSorted((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted) || a - b)[0]!;
  }

  private chains(endpoint: KnownEndpoint, request: Request): number[][] {
    if (!this.matchesPrefix) return [];
    const blockTokens = this.blockTokens(endpoint);
    const { maxTokens = 131_072, maxBlocks = 0 } = this.program;
    const unbounded = maxBlocks === 0 ? Number.POSITIVE_INFINITY : maxBlocks;
    const blocksMax = maxTokens > 0 ? Math.floor(maxTokens / blockTokens) : unbounded;
    return this.prefixes.cut(request, { blockTokens, blocksMax });
  }

  private candidate(endpoint: KnownEndpoint, request: Request, nowNs: bigint): Candidate {
    const chains = this.chains(endpoint, request);
    const matched = this.prefixes.matched(endpoint.spec.address, chains);
    const blocks = chains.flat().length;
    const blockTokens = this.blockTokens(endpoint);
    return {
      address: endpoint.spec.address,
      id: endpoint.id,
      row: endpoint.row,
      passes: endpoint.spec.passes ?? [],
      columns: endpoint.spec.columns ?? [],
      isStale: endpoint.isStale(this.program.staleMs ?? STALE_MS, nowNs),
      waiting: endpoint.waiting,
      running: endpoint.running,
      kvUsage: endpoint.kvUsage,
      attributes: endpoint.attributes,
      inFlight: endpoint.inFlight,
      tokens: endpoint.tokens,
      adapters: endpoint.adapters,
      matched,
      blocks,
      blockTokens,
      uncached: this.tokensToCompute(request, matched * blockTokens, blocks * blockTokens),
    };
  }

  private tokensToCompute(request: Request, matched: number, inBlocks: number): number {
    const tokens = tokensOf(request);
    const prompt = this.matchesPrefix ? Math.max(0, inBlocks - matched) + Math.max(0, tokens - inBlocks) : tokens;
    if (this.program.addOutputTokens !== true || tokens === 0) return prompt;
    const { outputRatio = 1.5, maxOutputTokens = Number.POSITIVE_INFINITY } = this.program;
    const limit = request.tokenLimit ?? Number.POSITIVE_INFINITY;
    return prompt + Math.min(Math.round(tokens * outputRatio), limit, maxOutputTokens);
  }

  private noteSessions(profile: ProfileSpec, pick: Pick, picked: Candidate, nowNs: bigint): void {
    const named = stepsOf(profile).flatMap((step) => {
      if (step.type !== "session-affinity-filter" && step.type !== "session-affinity-scorer") return [];
      return sessionName(step.sources ?? [], pick.request.headers) ?? [];
    });
    for (const session of new Set(named)) {
      this.sessions.notePick(session, picked.address, pick.homeless.has(session), nowNs);
    }
  }

  private noteCold(profile: ProfileSpec, left: readonly Candidate[], picked: Candidate): void {
    if (!profile.scorers?.some((step) => step.type === "no-hit-lru-scorer")) return;
    if (left.some((candidate) => candidate.matched > 0)) return;
    const others = this.coldOrder.filter((address) => address !== picked.address);
    this.coldOrder = [...others, picked.address].slice(-(this.program.coldSize ?? 1024));
  }

  private send(chosen: readonly Candidate[], request: Request, nowNs: bigint): Flight {
    const { handler } = this.program;
    const isParallel = handler?.type === "data-parallel-profile-handler";
    const destinations = this.listed(chosen).map(({ row }) => this.endpoints.find((endpoint) => endpoint.row === row)!);
    const first = destinations[0]!;
    const addresses = destinations.map((endpoint) => endpoint.spec.address);
    const onPort = (address: string) =>
      address.replace(/\d+$/, String(isParallel ? (handler.primaryPort ?? 8000) : ""));
    const { uncached: tokens } = chosen[0]!;
    first.noteSent(request.model, tokens, nowNs);
    this.prefixes.learn(first.spec.address, this.chains(first, request));
    return {
      list: isParallel ? addresses.map(onPort) : addresses,
      destinations,
      dataParallel: isParallel ? first.spec.address : undefined,
      model: request.model,
      tokens,
      at: first,
      holdsTokens: true,
    };
  }

  /**
   * Response headers came: of the n-th of the list, the ones before it have failed. Returns the session
   * token that the client must get.
   */
  answered(flight: Flight, n: number, status: number, nowNs: bigint): string | undefined {
    const served = flight.destinations[n]!;
    flight.at.noteGone(flight.model);
    served.noteArrived(flight.model);
    if (this.program.addOutputTokens !== true) this.release(flight);
    else if (flight.holdsTokens) {
      flight.at.releaseTokens(flight.tokens);
      served.addTokens(flight.tokens);
    }
    flight.at = served;
    for (const endpoint of flight.destinations.slice(0, n)) endpoint.noteFailure(nowNs);
    if (status >= 500) served.noteFailure(nowNs);
    else served.noteSuccess();
    return sessionTokenHeader(this.program) === undefined ? undefined : encodeId(served.id);
  }

  /** The request is over, answered or not. */
  ended(flight: Flight): void {
    this.release(flight);
    flight.at.noteGone(flight.model);
  }

  /** What was to be computed is, or is not wanted any more. */
  private release(flight: Flight): void {
    if (flight.holdsTokens) flight.at.releaseTokens(flight.tokens);
    flight.holdsTokens = false;
  }
}

function tokensOf(request: Request): number {
  return request.prompts.reduce((sum, prompt) => sum + prompt.length / 4, 0);
}

function total(profile: ProfileSpec, candidates: readonly Candidate[], pick: Pick): Scored[] {
  const totals = candidates.map(() => 0);
  for (const step of profile.scorers ?? []) {
    const scores = applyScorer(step, candidates, pick);
    scores.forEach((score, index) => {
      totals[index]! += (step.weight ?? 1) * score;
    });
  }
  return candidates.map((candidate, index) => ({ candidate, total: totals[index]! }));
}
