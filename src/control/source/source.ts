// Where objects come from, a folder or an API server, as the rest of the agent sees it.

import type { Config } from "../config.ts";
import type { FirstState } from "../first-state.ts";
import type { ConfigObject } from "../kinds/object.ts";
import type { Cluster, ClusterOptions, FoundCluster } from "../kube/cluster.ts";
import type { WatchView } from "../kube/reflector.ts";
import type { Log } from "../log.ts";
import type { Verdict } from "../models/resolve.ts";
import { Folder, type Problem } from "./folder.ts";

export type Source = {
  /** Kept when the first reading is in force, or held back, where that can be waited for at the start. */
  readonly started: Promise<void>;
  /** Why nothing has been read yet; undefined when it has. */
  notReady(): string | undefined;
  /** How many objects are wrong at present, and how many errors were found since the start. */
  wrong(): { readonly wrong: number; readonly total: number };
  watches(): readonly WatchView[];
  /** Whether this replica is the one that writes; undefined where nothing is written. */
  leading(): boolean | undefined;
  /** Which InferenceModels count, for their status. */
  setVerdicts(verdicts: readonly Verdict[]): void;
  /** The configuration has changed: what was read last may count now. */
  look(): void;
  stop(): void | Promise<void>;
};

export type SourceOptions = { readonly config: Config; readonly first: FirstState; readonly log: Log };

/** Reads the folder and goes on watching it. */
export function openFolder(dir: string, { config, first, log }: SourceOptions): Source {
  let latest: { readonly objects: readonly ConfigObject[]; readonly problems: readonly Problem[] };
  const look = (): void => first.take(latest.objects, [...latest.problems, ...config.problems()]);
  const onObjects = (objects: readonly ConfigObject[], problems: readonly Problem[]): void => {
    latest = { objects, problems };
    look();
  };
  const folder = new Folder({ dir, log, onObjects });
  return {
    started: first.decide(),
    notReady: () => undefined,
    wrong: () => ({ wrong: folder.problems().length, total: folder.problemsTotal }),
    watches: () => [],
    leading: () => undefined,
    setVerdicts: () => {},
    look,
    stop: () => folder.stop(),
  };
}

/**
 * Begins to ask the API server. An object that is wrong there is left out by itself, as everything else has been found
 * right by the API server: one annotation of one pod must not keep back all others when the agent starts.
 */
export function openCluster(
  found: FoundCluster,
  open: (options: ClusterOptions) => Cluster,
  { config, first, log }: SourceOptions,
): Source {
  let objects: readonly ConfigObject[] | undefined;
  let isDecided = false;
  const look = (): void => {
    cluster.warnOfConfig(config.errors, config.isInForce);
    if (objects === undefined) return;
    first.take(objects, config.problems());
    if (!isDecided) void first.decide();
    isDecided = true;
  };
  const cluster = open({
    found,
    log,
    onObjects: (read) => {
      objects = read;
      look();
    },
    onConfigMap: (object) => config.setConfigMap(object),
  });
  return {
    // An API server may be away for long, and the proxy goes on by what it holds.
    started: Promise.resolve(),
    notReady: () => cluster.notReady(),
    wrong: () => cluster.wrong(),
    watches: () => cluster.watches(),
    leading: () => cluster.leading,
    setVerdicts: (verdicts) => cluster.setVerdicts(verdicts),
    look,
    stop: () => cluster.stop(),
  };
}
