// The agent: watch → scrape → snapshot → encode → push. This file is the wiring.
//
//   Folder or Cluster ─▶ FirstState ─▶ ObjectStore ─┬─▶ Follower ─┬─▶ Snapshot ◀─ Fleet (scrapes)  ─▶ status server
//   Config (file or ConfigMap) ─────────────────────┘             └─▶ Rollout ─▶ XdsFiles (bare Envoy)
//                                                                     └▶ Pusher ⇄ the filter ─▶ in-flight back to both

import { ADAPTER_HASHES_MAX } from "../wire/limits.ts";
import { Config, ConfigError } from "./config.ts";
import { encodeMetrics, encodeTopology, rowsBeyond } from "./encode.ts";
import type { PoolEndpoints } from "./endpoints.ts";
import { FirstState, stateFound } from "./first-state.ts";
import { Follower } from "./follow.ts";
import type { ClusterOptions, KubeOptions } from "./kube/cluster.ts";
import type { WatchView } from "./kube/reflector.ts";
import type { Log } from "./log.ts";
import { AgentMetrics } from "./metrics.ts";
import type { Verdict } from "./models/resolve.ts";
import { type Pushed, Pusher } from "./push.ts";
import { Rollout } from "./rollout.ts";
import { longestWaitMs } from "./scheduling/flow.ts";
import type { Place } from "./scheduling/labels.ts";
import type { Scheduling } from "./scheduling/scheduling.ts";
import type { AccessOptions } from "./scrape/access.ts";
import { Fleet } from "./scrape/fleet.ts";
import { SeriesReader } from "./series-reader.ts";
import { Snapshot, topologyOf } from "./snapshot.ts";
import { openCluster, openFolder, type Source, type SourceOptions } from "./source/source.ts";
import { type ListenAddress, startStatus } from "./status.ts";
import { ObjectStore } from "./store.ts";
import { registerWatches, watchLine } from "./watches.ts";
import { RETRY_BUFFER_BYTES, XdsFiles } from "./xds.ts";

export type AgentOptions = {
  /** Where objects come from: a directory of Kubernetes documents, or an API server. One of the two. */
  readonly objectsDir?: string | undefined;
  readonly kube?: KubeOptions | undefined;
  /** Unix socket of the proxy's control listener. */
  readonly socketPath: string;
  /** Of the status server; undefined for none. */
  readonly listen: ListenAddress | undefined;
  /** Of an endpoint that has work. */
  readonly scrapeIntervalMs: number;
  /** The EndpointPickerConfig; without one the default profile counts. */
  readonly configFile?: string | undefined;
  /** Where the gateway is. */
  readonly place?: Place | undefined;
  /** How metrics are asked for. Counts before what the configuration says; http and /metrics by default. */
  readonly metrics?: Partial<AccessOptions> | undefined;
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
 * `metrics` names cannot be used, and a ConfigError when the configuration is wrong and nothing is in force.
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

type Parts = { readonly config: Config; source?: Source; pusher?: Pusher; first?: FirstState };

async function assemble(options: AgentOptions, stops: Stop[]): Promise<Omit<Agent, "stop">> {
  const { log, place = {} } = options;
  const cluster = options.kube && (await findKube(options.kube));
  const config = new Config({ ...options, configMap: cluster?.found.configMap });
  stops.push(() => config.stop());
  const { xdsDir, socketPath } = options;
  const found = askedOnce(() => stateFound({ xdsDir, socketPath }));
  await expectUsable(config, found);
  const snapshot = new Snapshot();
  const parts: Parts = { config };
  const push = () => {
    const state = parts.pusher?.state() ?? { sentEpoch: 0, appliedEpoch: 0, notReady: "the agent is starting" };
    return { ...state, notReady: parts.source?.notReady() ?? parts.first?.notReady() ?? state.notReady };
  };
  const view = () => snapshot.view(performance.now());
  const metrics = new AgentMetrics({
    view,
    push,
    documents: () => wrongDocuments(parts),
    flow: () => config.scheduling.program.flow,
  });
  registerWatches(metrics.registry, () => parts.source);
  const series = new SeriesReader(socketPath, metrics.slots, (blocks) => metrics.counted(blocks));
  stops.push(() => series.stop());
  const inForce = () => ({
    pools: view(),
    epochs: { sent: push().sentEpoch || null, applied: push().appliedEpoch || null },
    config: config.view(),
  });
  const status = await serveStatus(options, {
    notReady: () => push().notReady,
    watches: () => parts.source?.watches() ?? [],
    inForce,
    metrics,
    series,
  });
  if (status) stops.push(status.stop);

  const xds = options.xdsDir === undefined ? undefined : openXds(options, options.xdsDir, config);
  if (xds && cluster) await prepare(xds, found);
  const fleet = openFleet(options, { parts, snapshot, metrics });
  stops.push(() => fleet.stop());
  const pusher = openPusher(options, { snapshot, fleet, metrics });
  parts.pusher = pusher;
  stops.push(() => pusher.stop());

  const encoder = new Encoder(snapshot, place, log);
  const apply = (pools: readonly PoolEndpoints[]) => pusher.setTopology(encoder.pushed(pools, config.scheduling));
  const rollout = new Rollout({ xds, log, apply });
  stops.push(() => rollout.stop());
  const onVerdicts = (verdicts: readonly Verdict[]) => parts.source?.setVerdicts(verdicts);
  const follower = new Follower({ snapshot, fleet, rollout, place, log, onVerdicts }, config.scheduling);
  const store = new ObjectStore((objects) => follower.setObjects(objects));
  const first = new FirstState({ log, found, apply: (objects) => store.replace(objects) });
  parts.first = first;
  config.onChange = () => {
    snapshot.forget(fleet.setMeans(config.access, config.scheduling.engines));
    follower.setScheduling(config.scheduling);
    pusher.metricsChanged();
    parts.source?.look();
  };
  const source = openSource(options, cluster, { config, first, log });
  stops.push(() => source.stop());
  parts.source = source;
  await source.started;
  return { address: status?.address, notReady: () => push().notReady, snapshot: inForce };
}

type Watching = {
  readonly notReady: () => string | undefined;
  readonly watches: () => readonly WatchView[];
  readonly inForce: () => unknown;
  readonly metrics: AgentMetrics;
  readonly series: SeriesReader;
};

async function serveStatus({ listen }: AgentOptions, { notReady, watches, inForce, metrics, series }: Watching) {
  if (!listen) return undefined;
  const page = async () => {
    await series.refresh();
    return { contentType: metrics.registry.contentType, text: await metrics.page() };
  };
  const details = () => watches().map(watchLine);
  return startStatus(listen, { notReady, details, snapshot: inForce, metrics: page });
}

function wrongDocuments({ source, config }: Parts): { readonly wrong: number; readonly total: number } {
  const { wrong, total } = source?.wrong() ?? { wrong: 0, total: 0 };
  return { wrong: wrong + config.errors.length, total: total + config.errorsTotal };
}

type Scraped = { readonly parts: Parts; readonly snapshot: Snapshot; readonly metrics: AgentMetrics };

function openFleet({ scrapeIntervalMs, log }: AgentOptions, { parts, snapshot, metrics }: Scraped): Fleet {
  const { access, scheduling } = parts.config;
  return new Fleet({
    intervalMs: scrapeIntervalMs,
    access,
    engines: scheduling.engines,
    log,
    onReading: (address, reading, intervalMs) => {
      snapshot.record(address, reading, intervalMs, performance.now());
      parts.pusher?.metricsChanged();
    },
    onScrape: ({ ok, durationMs, values }) => metrics.scraped(ok, durationMs, values),
  });
}

type Fed = { readonly snapshot: Snapshot; readonly fleet: Fleet; readonly metrics: AgentMetrics };

function openPusher(options: AgentOptions, { snapshot, fleet, metrics }: Fed): Pusher {
  const { socketPath, scrapeIntervalMs, log } = options;
  return new Pusher({
    socketPath,
    // Slow scraping is no reason to hold back what has been scraped.
    intervalMs: Math.min(scrapeIntervalMs, PUSH_INTERVAL_MS),
    log,
    busy: () => fleet.busy(),
    onReport: (report) => {
      snapshot.setReport(report);
      metrics.reported(report);
      fleet.setInFlight((address) => snapshot.inFlight(address));
    },
    onPush: (blob, refusal) => metrics.pushed(blob, refusal),
  });
}

/** The client is much code, loaded only where there is an API server. */
async function findKube(kube: KubeOptions) {
  const { Cluster, findCluster } = await import("./kube/cluster.ts");
  return { found: findCluster(kube), open: (options: ClusterOptions) => new Cluster(options) };
}

function openSource(
  { objectsDir }: AgentOptions,
  cluster: Awaited<ReturnType<typeof findKube>> | undefined,
  options: SourceOptions,
): Source {
  return cluster ? openCluster(cluster.found, cluster.open, options) : openFolder(objectsDir!, options);
}

/** A configuration that is wrong holds back everything, as wrong objects do; with nothing in force it is an error. */
async function expectUsable(config: Config, found: () => Promise<string | undefined>): Promise<void> {
  if (config.errors.length === 0 || (await found()) !== undefined) return;
  throw new ConfigError(config.errors.join("\n"));
}

/** Every question gets the first answer: what the proxy holds may change while the agent starts. */
function askedOnce<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
}

/** Encodes pools and what is known of their endpoints, all by one scheduling. */
class Encoder {
  readonly #snapshot: Snapshot;
  readonly #place: Place;
  readonly #log: Log;
  #beyond = 0;

  constructor(snapshot: Snapshot, place: Place, log: Log) {
    this.#snapshot = snapshot;
    this.#place = place;
    this.#log = log;
  }

  pushed(pools: readonly PoolEndpoints[], scheduling: Scheduling): Pushed {
    const addresses = pools.flatMap(({ endpoints }) => endpoints.map((endpoint) => endpoint.address));
    return {
      topology: (epoch) => encodeTopology(topologyOf(pools, scheduling, this.#place, epoch)),
      metrics: (epoch, sequence) => {
        const rows = this.#snapshot.rows(addresses, scheduling.attributes, performance.now());
        this.#tellBeyond(rowsBeyond(rows));
        return encodeMetrics({ epoch, sequence, rows });
      },
    };
  }

  #tellBeyond(beyond: number): void {
    if (beyond > 0 && this.#beyond === 0)
      this.#log(
        "warn",
        `endpoints list more than ${ADAPTER_HASHES_MAX} adapters together: the lists of some are left out`,
        {
          endpoints: beyond,
        },
      );
    this.#beyond = beyond;
  }
}

/** The objects of an API server may be long in coming. What an earlier agent has left is looked for before. */
async function prepare(xds: XdsFiles, found: () => Promise<string | undefined>): Promise<void> {
  await found();
  xds.prepare();
}

function openXds(options: AgentOptions, dir: string, config: Config): XdsFiles {
  const { defaultPool, retryBufferBytes = RETRY_BUFFER_BYTES } = options;
  try {
    const longestWait = () => longestWaitMs(config.scheduling.program.flow);
    return new XdsFiles({ dir, defaultPool, retryBufferBytes, longestWaitMs: longestWait });
  } catch (error) {
    throw new Error(`${dir}: expected a directory for Envoy's files: ${(error as Error).message}`);
  }
}
