// What the scheduler looks at: endpoints that may be picked, and the request they are picked for.

import type { ColumnSpec } from "../host/snapshot.ts";

/** An endpoint at the moment of a pick. Symbols are those of docs/scheduling.md. */
export interface Candidate {
  readonly address: string;
  /** "namespace/pod-rank-0" */
  readonly id: string;
  /** Position among all rows of the topology: ranks depend on it. */
  readonly row: number;
  readonly passes: readonly number[];
  readonly columns: readonly ColumnSpec[];
  readonly isStale: boolean;
  /** W, corrected by what was sent and seen finished since; R; K. undefined: never reported. */
  readonly waiting: number | undefined;
  readonly running: number | undefined;
  readonly kvUsage: number | undefined;
  /** A_n. */
  readonly attributes: readonly (number | undefined)[];
  /** c and t. */
  readonly inFlight: number;
  readonly tokens: number;
  readonly adapters: Adapters;
  /** m, n and b. */
  readonly matched: number;
  readonly blocks: number;
  readonly blockTokens: number;
  /** Tokens of this request it would have to compute. */
  readonly uncached: number;
}

export interface Adapters {
  readonly running: readonly string[];
  readonly waiting: readonly string[];
  /** For which this proxy has requests in flight there. */
  readonly inFlight: readonly string[];
  readonly max: number;
  readonly baseModel: string | undefined;
}

export interface Request {
  readonly model: string | undefined;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The tokens of each prompt, 4 bytes each, the last one filled up with zeros. */
  readonly prompts: readonly Buffer[];
  readonly salt: string;
  /** How many tokens the client wants at most. */
  readonly tokenLimit: number | undefined;
}

/** What steps know besides the candidates. */
export interface Pick {
  readonly request: Request;
  /** T, the tokens of all prompts. */
  readonly tokens: number;
  /** d, the random bits of this pick. */
  readonly drawn: number;
  /** Address of the endpoint that a session is bound to. */
  boundTo(session: string): string | undefined;
  /** Noted by steps: sessions whose endpoint was not among the candidates they were given. */
  readonly homeless: Set<string>;
  /** Addresses that were given cold requests, longest ago first. */
  readonly coldOrder: readonly string[];
}

export function column(candidate: Candidate, number: number): ColumnSpec {
  return candidate.columns[number]!;
}

/** What the endpoint shares with the gateway, 0 the nearest; undefined when the gateway's place is unknown. */
export function levelOf(candidate: Candidate, number: number): number | undefined {
  const found = column(candidate, number);
  if (!("level" in found)) throw new Error(`column ${number} holds no levels`);
  return found.level === 5 ? undefined : found.level;
}

export type Range = readonly [min: number, max: number] | "none" | "broken";

export function rangeOf(candidate: Candidate, number: number): Range {
  const found = column(candidate, number);
  if (!("range" in found)) throw new Error(`column ${number} holds no ranges`);
  return found.range;
}
