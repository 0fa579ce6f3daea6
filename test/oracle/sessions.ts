// Which endpoint a session belongs to.

import type { Candidate, Pick } from "./candidates.ts";

/** How a step tells sessions: see docs/scheduling.md, "Sessions". */
export interface SessionStep {
  readonly header?: string;
  readonly sources?: readonly string[];
}

/** The candidate that the session of the request belongs to. */
export function sessionOwner(step: SessionStep, candidates: readonly Candidate[], pick: Pick): Candidate | undefined {
  if (step.sources !== undefined) return boundCandidate(step.sources, candidates, pick);
  const token = pick.request.headers[step.header ?? "x-session-token"];
  if (token === undefined) return undefined;
  return candidates.find((candidate) => encodeId(candidate.id) === token);
}

function boundCandidate(
  sources: readonly string[],
  candidates: readonly Candidate[],
  pick: Pick,
): Candidate | undefined {
  const session = sessionName(sources, pick.request.headers);
  const bound = session === undefined ? undefined : pick.boundTo(session);
  if (session === undefined || bound === undefined) return undefined;
  const found = candidates.find((candidate) => candidate.address === bound);
  if (found === undefined) pick.homeless.add(session);
  return found;
}

/** How the header of sessions names an endpoint. */
export function encodeId(id: string): string {
  return Buffer.from(id).toString("base64");
}

/** The session's name: the first of these headers that is there and not blank. */
export function sessionName(sources: readonly string[], headers: Readonly<Record<string, string>>): string | undefined {
  return sources.map((name) => headers[name]?.trim()).find((value) => value !== undefined && value !== "");
}

interface Binding {
  address: string;
  lastUsedNs: bigint;
}

/** Bindings of sessions to endpoints. */
export class Sessions {
  private readonly bindings = new Map<string, Binding>();
  private readonly ttlNs: bigint;

  constructor(ttlMs: number) {
    this.ttlNs = BigInt(Math.round(ttlMs * 1e6));
  }

  addressOf(session: string, nowNs: bigint): string | undefined {
    const binding = this.bindings.get(session);
    return binding === undefined || nowNs - binding.lastUsedNs > this.ttlNs ? undefined : binding.address;
  }

  /** Told of every pick for the session, and whether the endpoint it was bound to could not be picked. */
  notePick(session: string, picked: string, isHomeless: boolean, nowNs: bigint): void {
    const bound = this.addressOf(session, nowNs);
    this.bindings.set(session, { address: isHomeless ? picked : (bound ?? picked), lastUsedNs: nowNs });
  }
}
