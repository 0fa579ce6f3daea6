// The agent: watch → scrape → snapshot → encode → push. This file is the wiring.
//
//   Folder ─▶ FirstState ─▶ ObjectStore ─┬─▶ Follower ─┬─▶ Snapshot ◀─ Fleet (scrapes)      ─▶ status server
//   ConfigFile ──────────────────────────┘             └─▶ Rollout ─▶ XdsFiles (bare Envoy)
//                                                                  └▶ Pusher ⇄ the filter   ─▶ in-flight back to both

import { ADAPTER_HASHES_MAX } from "../wire/limits.ts";
import { Config, ConfigError } from "./config.ts";
import { encodeMetrics, encodeTopology, rowsBeyond } from "./encode.ts";
import type { PoolEndpoints } from "./endpoints.ts";
import { FirstState, stateFound } from "./first-state.ts";
import { Follower } from "./follow.ts";
import type { ConfigObject } from "./kinds/object.ts";
import type { Log } from "./log.ts";
import { AgentMetrics } from "./metrics.ts";
import { type Pushed, Pusher } from "./push.ts";
import { Rollout } from "./rollout.ts";
import { longestWaitMs } from "./scheduling/flow.ts";
import type { Place } from "./scheduling/labels.ts";
import type { Scheduling } from "./scheduling/scheduling.ts";
import type { AccessOptions } from "./scrape/access.ts";
import { Fleet } from "./scrape/fleet.ts";
import { SeriesReader } from "./series-reader.ts";
import { Snapshot, topologyOf } from "./snapshot.ts";
import { Folder, type Problem } from "./source/folder.ts";
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

type Parts = { readonly config: Config; folder?: Folder; pusher?: Pusher; first?: FirstState };

async function assemble(options: AgentOptions, stops: Stop[]): Promise<Omit<Agent, "stop">> {
  const { log, place = {} } = options;
  const config = new Config(options);
  stops.push(() => config.stop());
  const { xdsDir, socketPath } = options;
  const found = askedOnce(() => stateFound({ xdsDir, socketPath }));
  await expectUsable(config, found);
  const snapshot = new Snapshot();
  const parts: Parts = { config };
  const push = () => {
    const state = parts.pusher?.state() ?? { sentEpoch: 0, appliedEpoch: 0, notReady: "the agent is starting" };
    return { ...state, notReady: parts.first?.notReady() ?? state.notReady };
  };
  const view = () => snapshot.view(performance.now());
  const metrics = new AgentMetrics({
    view,
    push,
    documents: () => wrongDocuments(parts),
    flow: () => config.scheduling.program.flow,
  });
  const series = new SeriesReader(socketPath, metrics.slots, (blocks) => metrics.counted(blocks));
  stops.push(() => series.stop());
  const inForce = () => ({
    pools: view(),
    epochs: { sent: push().sentEpoch || null, applied: push().appliedEpoch || null },
    config: config.view(),
  });
  const status = await serveStatus(options, { notReady: () => push().notReady, inForce, metrics, series });
  if (status) stops.push(status.stop);

  const xds = options.xdsDir === undefined ? undefined : openXds(options, options.xdsDir, config);
  const fleet = new Fleet({
    intervalMs: options.scrapeIntervalMs,
    access: config.access,
    engines: config.scheduling.engines,
    log,
    onReading: (address, reading, intervalMs) => {
      snapshot.record(address, reading, intervalMs, performance.now());
      parts.pusher?.metricsChanged();
    },
    onScrape: ({ ok, durationMs, values }) => metrics.scraped(ok, durationMs, values),
  });
  stops.push(() => fleet.stop());
  const pusher = openPusher(options, { snapshot, fleet, metrics });
  parts.pusher = pusher;
  stops.push(() => pusher.stop());

  const encoder = new Encoder(snapshot, place, log);
  const apply = (pools: readonly PoolEndpoints[]) => pusher.setTopology(encoder.pushed(pools, config.scheduling));
  const rollout = new Rollout({ xds, log, apply });
  stops.push(() => rollout.stop());
  const follower = new Follower({ snapshot, fleet, rollout, place, log }, config.scheduling);
  const store = new ObjectStore((objects) => follower.setObjects(objects));
  const first = new FirstState({ log, found, apply: (objects) => store.replace(objects) });
  const { folder, look } = readObjects(options, config, first);
  stops.push(() => folder.stop());
  Object.assign(parts, { folder, first });
  config.onChange = () => {
    snapshot.forget(fleet.setMeans(config.access, config.scheduling.engines));
    follower.setScheduling(config.scheduling);
    pusher.metricsChanged();
    look();
  };
  await first.decide();
  return { address: status?.address, notReady: () => push().notReady, snapshot: inForce };
}

type Watching = {
  readonly notReady: () => string | undefined;
  readonly inForce: () => unknown;
  readonly metrics: AgentMetrics;
  readonly series: SeriesReader;
};

async function serveStatus({ listen }: AgentOptions, { notReady, inForce, metrics, series }: Watching) {
  if (!listen) return undefined;
  const page = async () => {
    await series.refresh();
    return { contentType: metrics.registry.contentType, text: await metrics.page() };
  };
  return startStatus(listen, { notReady, snapshot: inForce, metrics: page });
}

function wrongDocuments({ folder, config }: Parts): { readonly wrong: number; readonly total: number } {
  const wrong = (folder?.problems().length ?? 0) + config.errors.length;
  return { wrong, total: (folder?.problemsTotal ?? 0) + config.errorsTotal };
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

/** Reads the objects and goes on watching them; what was read first is in force when it is decided on. */
function readObjects({ objectsDir: dir, log }: AgentOptions, config: Config, first: FirstState) {
  let latest: { readonly objects: readonly ConfigObject[]; readonly problems: readonly Problem[] };
  const look = (): void => first.take(latest.objects, [...latest.problems, ...config.problems()]);
  const onObjects = (objects: readonly ConfigObject[], problems: readonly Problem[]): void => {
    latest = { objects, problems };
    look();
  };
  const folder = new Folder({ dir, log, onObjects });
  return { folder, look };
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

function openXds(options: AgentOptions, dir: string, config: Config): XdsFiles {
  const { defaultPool, retryBufferBytes = RETRY_BUFFER_BYTES } = options;
  try {
    const longestWait = () => longestWaitMs(config.scheduling.program.flow);
    return new XdsFiles({ dir, defaultPool, retryBufferBytes, longestWaitMs: longestWait });
  } catch (error) {
    throw new Error(`${dir}: expected a directory for Envoy's files: ${(error as Error).message}`);
  }
}
