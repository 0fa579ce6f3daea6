// The agent: watch → scrape → snapshot → encode → push. This file is the wiring.
//
//   Folder ─▶ FirstState ─▶ ObjectStore ─▶ membership ─┬─▶ Snapshot ◀─ Fleet (scrapes)      ─▶ status server
//                                                      └─▶ Rollout ─▶ XdsFiles (bare Envoy)
//                                                                  └▶ Pusher ⇄ the filter   ─▶ in-flight back to both

import { isDeepStrictEqual } from "node:util";
import { encodeMetrics, encodeTopology } from "./encode.ts";
import { membership, type PoolEndpoints } from "./endpoints.ts";
import { FirstState, stateFound } from "./first-state.ts";
import type { ConfigObject } from "./kinds/object.ts";
import type { Log } from "./log.ts";
import { AgentMetrics } from "./metrics.ts";
import { type Pushed, Pusher } from "./push.ts";
import { Rollout } from "./rollout.ts";
import { ACCESS_DEFAULT, Access, type AccessOptions } from "./scrape/access.ts";
import { Fleet } from "./scrape/fleet.ts";
import { Snapshot, topologyOf } from "./snapshot.ts";
import { Folder } from "./source/folder.ts";
import { type ListenAddress, startStatus } from "./status.ts";
import { ObjectStore } from "./store.ts";
import { RETRY_BUFFER_BYTES, XdsFiles } from "./xds.ts";

export type AgentOptions = {
  /** Directory of Kubernetes documents. */
  readonly objectsDir: string;
  /** Unix socket of the proxy's control listener. */
  readonly socketPath: string;
  /** Of the status server; undefined for none. */
  readonly listen: ListenAddress | undefined;
  /** Of an endpoint that has work. */
  readonly scrapeIntervalMs: number;
  /** How metrics are asked for; by default http, /metrics, no token. */
  readonly metrics?: AccessOptions | undefined;
  /** Bare Envoy: where it looks for clusters, members and routes. */
  readonly xdsDir?: string | undefined;
  /** `namespace/name` of the pool that the route leads to. */
  readonly defaultPool?: string | undefined;
  readonly retryBufferBytes?: number | undefined;
  readonly log: Log;
};

export type Agent = {
  /** Of the status server. */
  readonly address: ListenAddress | undefined;
  /** Why the filter holds no snapshot of this agent; undefined when it does. */
  notReady(): string | undefined;
  /** What GET /snapshot answers. */
  snapshot(): unknown;
  stop(): Promise<void>;
};

type Stop = () => void | Promise<void>;

/** Metrics are pushed at most this often: as fast as endpoints are scraped by default. */
const PUSH_INTERVAL_MS = 50;

/**
 * Starts the agent. When it returns, the objects have been read and the files for Envoy are written, unless objects
 * are wrong while an earlier agent's state is in force: then that stays until they are right.
 * Throws an Error with a sentence for the user when the objects, the address, the xDS directory or a file that
 * `metrics` names cannot be used.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const stops: Stop[] = [];
  const stop = async (): Promise<void> => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    return { ...(await assemble(options, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(options: AgentOptions, stops: Stop[]): Promise<Omit<Agent, "stop">> {
  const { log, socketPath, scrapeIntervalMs } = options;
  const snapshot = new Snapshot();
  const view = () => snapshot.view(performance.now());
  const parts: { folder?: Folder; pusher?: Pusher; first?: FirstState } = {};
  const push = () => {
    const state = parts.pusher?.state() ?? { sentEpoch: 0, appliedEpoch: 0, notReady: "the agent is starting" };
    return { ...state, notReady: parts.first?.notReady() ?? state.notReady };
  };
  const metrics = new AgentMetrics({
    view,
    push,
    documents: () => ({ wrong: parts.folder?.problems().length ?? 0, total: parts.folder?.problemsTotal ?? 0 }),
  });

  const inForce = () => ({
    pools: view(),
    epochs: { sent: push().sentEpoch || null, applied: push().appliedEpoch || null },
  });
  const status =
    options.listen &&
    (await startStatus(options.listen, {
      notReady: () => push().notReady,
      snapshot: inForce,
      metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
    }));
  if (status) stops.push(status.stop);

  const access = new Access(options.metrics ?? ACCESS_DEFAULT, log);
  const xds = options.xdsDir === undefined ? undefined : openXds(options, options.xdsDir);
  const fleet = new Fleet({
    intervalMs: scrapeIntervalMs,
    access,
    log,
    onReading: (address, reading, intervalMs) => {
      snapshot.record(address, reading, intervalMs, performance.now());
      parts.pusher?.metricsChanged();
    },
    onScrape: ({ ok, durationMs, values }) => metrics.scraped(ok, durationMs, values),
  });
  stops.push(() => fleet.stop());

  const pusher = new Pusher({
    socketPath,
    // Slow scraping is no reason to hold back what has been scraped.
    intervalMs: Math.min(scrapeIntervalMs, PUSH_INTERVAL_MS),
    log,
    busy: () => fleet.busy(),
    onReport: (report) => {
      snapshot.setReport(report);
      fleet.setInFlight((address) => snapshot.inFlight(address));
    },
    onPush: (blob, refusal) => metrics.pushed(blob, refusal),
  });
  parts.pusher = pusher;
  stops.push(() => pusher.stop());

  const rollout = new Rollout({ xds, log, apply: (pools) => pusher.setTopology(pushedOf(pools, snapshot)) });
  stops.push(() => rollout.stop());
  const store = new ObjectStore(follow({ snapshot, fleet, rollout, log }));
  const { folder, first } = readObjects(options, (objects) => store.replace(objects));
  stops.push(() => folder.stop());
  Object.assign(parts, { folder, first });
  await first.decide();

  return { address: status?.address, notReady: () => push().notReady, snapshot: inForce };
}

/** Reads the objects and goes on watching them; what was read first is in force when it is decided on. */
function readObjects(options: AgentOptions, apply: (objects: readonly ConfigObject[]) => void) {
  const { objectsDir: dir, socketPath, xdsDir, log } = options;
  const first = new FirstState({ log, found: () => stateFound({ xdsDir, socketPath }), apply });
  const folder = new Folder({ dir, log, onObjects: (objects, problems) => first.take(objects, problems) });
  return { folder, first };
}

type Followers = {
  readonly snapshot: Snapshot;
  readonly fleet: Fleet;
  readonly rollout: Rollout;
  readonly log: Log;
};

/** Makes what is to happen when the objects have changed. */
function follow({ snapshot, fleet, rollout, log }: Followers): (objects: readonly ConfigObject[]) => void {
  let last: readonly PoolEndpoints[] | undefined;
  let told = new Set<string>();
  return (objects) => {
    const { pools, left, doubts } = membership(objects);
    for (const sentence of left) if (!told.has(sentence)) log("error", sentence);
    for (const sentence of doubts) if (!told.has(sentence)) log("warn", sentence);
    told = new Set([...left, ...doubts]);
    if (isDeepStrictEqual(pools, last)) return;
    last = pools;
    log("info", "membership changed", {
      pools: pools.map(({ pool, endpoints }) => `${pool.namespace}/${pool.name}: ${endpoints.length} endpoints`),
    });
    snapshot.setPools(pools);
    fleet.setTargets(snapshot.targets());
    rollout.start(pools);
  };
}

function pushedOf(pools: readonly PoolEndpoints[], snapshot: Snapshot): Pushed {
  const addresses = pools.flatMap(({ endpoints }) => endpoints.map((endpoint) => endpoint.address));
  return {
    topology: (epoch) => encodeTopology(topologyOf(pools, epoch)),
    metrics: (epoch, sequence) => encodeMetrics({ epoch, sequence, rows: snapshot.rows(addresses, performance.now()) }),
  };
}

function openXds(options: AgentOptions, dir: string): XdsFiles {
  const { defaultPool, retryBufferBytes = RETRY_BUFFER_BYTES } = options;
  try {
    return new XdsFiles({ dir, defaultPool, retryBufferBytes });
  } catch (error) {
    throw new Error(`${dir}: expected a directory for Envoy's files: ${(error as Error).message}`);
  }
}
