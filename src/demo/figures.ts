// Gathers what the table shows: Pointsman's side as its agent tells it, the other from the servers.

import { type Address, formatAddress } from "../envoy/address.ts";
import type { Sim } from "../sim/server.ts";
import { podName } from "./objects.ts";
import { SPEEDS } from "./servers.ts";
import type { Side } from "./side.ts";
import type { EndpointFigures, Figures, SideFigures } from "./table.ts";

/** What is read of the agent's /snapshot, by "ip:port". Null: the agent does not know. */
export type Known = ReadonlyMap<string, KnownEndpoint>;

interface KnownEndpoint {
  readonly address: string;
  readonly waiting: number | null;
  readonly running: number | null;
  readonly kvUsage: number | null;
  readonly inFlight: number | null;
}

interface SnapshotPage {
  readonly pools: readonly { readonly endpoints: readonly KnownEndpoint[] }[];
}

const ASK_TIMEOUT_MS = 1_000;

/** Undefined when the agent does not answer in time. */
export async function askAgent(agent: Address): Promise<Known | undefined> {
  try {
    const answer = await fetch(`http://${formatAddress(agent)}/snapshot`, {
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    });
    const { pools } = (await answer.json()) as SnapshotPage;
    return new Map(pools.flatMap(({ endpoints }) => endpoints.map((endpoint) => [endpoint.address, endpoint])));
  } catch {
    return undefined;
  }
}

export function figuresOf(
  picked: Side,
  known: Known,
  servers: readonly Sim[],
  turns: Side,
  others: readonly Sim[],
): Figures {
  return {
    servers: SPEEDS.map((speed, index) => ({ name: podName(index), speed })),
    sides: [
      sideFigures(
        "Pointsman",
        picked,
        servers.map((sim) => {
          const endpoint = known.get(formatAddress(sim.address));
          const { waiting, running, kvUsage, inFlight } = endpoint ?? {};
          return counted(picked, sim, [
            waiting ?? undefined,
            running ?? undefined,
            kvUsage ?? undefined,
            inFlight ?? undefined,
          ]);
        }),
      ),
      sideFigures(
        "round robin",
        turns,
        others.map((sim) => {
          const { waiting, running, kvUsage } = sim.stats();
          return counted(turns, sim, [waiting, running, kvUsage, turns.endpoints.get(sim.name)?.inFlight ?? 0]);
        }),
      ),
    ],
  };
}

type Load = readonly [
  waiting: number | undefined,
  running: number | undefined,
  kvUsage: number | undefined,
  inFlight: number | undefined,
];

function counted(side: Side, sim: Sim, [waiting, running, kvUsage, inFlight]: Load): EndpointFigures {
  const count = side.endpoints.get(formatAddress(sim.address));
  return {
    waiting,
    running,
    kvUsage,
    inFlight,
    picks: count?.picks ?? 0,
    firstTokenP50Ms: count?.firstToken.quantile(0.5),
    firstTokenP90Ms: count?.firstToken.quantile(0.9),
  };
}

function sideFigures(name: string, side: Side, endpoints: readonly EndpointFigures[]): SideFigures {
  const { firstToken, finished, waiting, gaveUp, failed } = side;
  return {
    name,
    endpoints,
    meanMs: firstToken.mean(),
    p90Ms: firstToken.quantile(0.9),
    p99Ms: firstToken.quantile(0.99),
    finished,
    waiting,
    gaveUp,
    failed,
  };
}
