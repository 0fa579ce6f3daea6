// All that the agent has to do with an API server: what it watches there, and what it writes as the one replica of all
// that holds the lease.
//
//   KubeSource ─▶ onObjects            Lease ─┬─▶ ModelStatus ◀─ verdicts, models seen
//   Reflector of one ConfigMap ─▶ onConfigMap └─▶ Events ◀─ problems

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { ConfigObject } from "../kinds/object.ts";
import type { Log } from "../log.ts";
import type { Verdict } from "../models/resolve.ts";
import { KubeSource } from "../source/kube.ts";
import type { Scope } from "../source/scope.ts";
import { KubeClient } from "./client.ts";
import { loadKubeConfig, namespaceOf, rereadKubeConfig } from "./config.ts";
import type { ConfigMapRef } from "./config-map.ts";
import { Events } from "./events.ts";
import { Lease } from "./lease.ts";
import { ModelStatus } from "./model-status.ts";
import { type ObjectRef, type Raw, refOf } from "./object-ref.ts";
import { Reflector, type WatchView } from "./reflector.ts";

/** How the API server is found, and what of it is ours. */
export type KubeOptions = {
  /** Of kubeconfig; undefined: the pod's service account, or the current context. */
  readonly context?: string | undefined;
  /** Undefined: that of the pod or the context. */
  readonly namespace?: string | undefined;
  readonly pool?: string | undefined;
  /** Pools of all namespaces, where `namespace` names none. */
  readonly allPools: boolean;
  readonly picker?: string | undefined;
  readonly poolsWithoutPicker: boolean;
  /** Where the EndpointPickerConfig is; in the agent's own namespace unless it says another. */
  readonly configMap?: ConfigMapName | undefined;
};

export type ConfigMapName = Omit<ConfigMapRef, "namespace"> & { readonly namespace: string | undefined };

/** Which API server, and what of it is ours. */
export type FoundCluster = {
  readonly client: KubeClient;
  /** The agent's. */
  readonly ownNamespace: string;
  readonly scope: Scope;
  readonly configMap: ConfigMapRef | undefined;
};

/** Throws a KubeConfigError. Whether the API server answers is another matter: it is asked until it does. */
export function findCluster(kube: KubeOptions): FoundCluster {
  const config = loadKubeConfig(kube.context);
  const ownNamespace = namespaceOf(config);
  const { configMap } = kube;
  return {
    client: new KubeClient(config, rereadKubeConfig),
    ownNamespace,
    scope: scopeOf(kube, ownNamespace),
    configMap: configMap && { ...configMap, namespace: configMap.namespace ?? ownNamespace },
  };
}

export type ClusterOptions = {
  readonly found: FoundCluster;
  readonly log: Log;
  readonly onObjects: (objects: readonly ConfigObject[]) => void;
  /** Called with the ConfigMap as the API server has it, undefined while there is none. */
  readonly onConfigMap: (object: unknown) => void;
};

export class Cluster {
  readonly #client: KubeClient;
  readonly #source: KubeSource;
  readonly #configMap: Reflector<ConfigMap> | undefined;
  readonly #lease: Lease;
  readonly #status: ModelStatus;
  readonly #events: Events;
  #verdicts: readonly Verdict[] = [];

  constructor({ found, log, onObjects, onConfigMap }: ClusterOptions) {
    const { client, scope, ownNamespace, configMap } = found;
    // Pods on the host's network share a name and numbers of processes.
    const identity = `${process.env.POD_NAME ?? hostname()}-${process.pid}-${randomBytes(4).toString("hex")}`;
    this.#client = client;
    log("info", "objects are those of an API server", { server: client.server, scope: told(scope) });
    this.#events = new Events({ client, identity, log });
    this.#status = new ModelStatus({ client, log });
    this.#lease = new Lease({
      client,
      namespace: scope.namespace ?? ownNamespace,
      name: leaseName(scope),
      identity,
      log,
      onChange: (leading) => {
        this.#status.setLeading(leading);
        this.#events.setLeading(leading);
      },
    });
    this.#configMap = configMap && this.#watchConfigMap(configMap, log, onConfigMap);
    this.#source = new KubeSource({
      client,
      scope,
      log,
      onObjects: (objects) => {
        onObjects(objects);
        // Those of an object that has changed, but not in what counts, or that cannot be read, are not told again.
        this.#status.setVerdicts(this.#verdicts);
      },
      onModels: (models) => this.#status.setSeen(models),
      onProblem: (problem) => this.#events.warn(problem, INVALID, `${problem.reason}; ${problem.inForce}`),
    });
  }

  /** Why nothing has been read yet; undefined when it has. */
  notReady(): string | undefined {
    if (this.#configMap?.synced ?? true) return this.#source.notReady();
    return `waiting for the ConfigMap: ${this.#configMap?.view().problem ?? "it is read"}`;
  }

  /** How many objects are wrong now, and how many errors were found since the start. */
  wrong(): { readonly wrong: number; readonly total: number } {
    return { wrong: this.#source.problems().length, total: this.#source.problemsTotal };
  }

  watches(): readonly WatchView[] {
    return [...this.#source.watches(), ...(this.#configMap === undefined ? [] : [this.#configMap.view()])];
  }

  get leading(): boolean {
    return this.#lease.leading;
  }

  setVerdicts(verdicts: readonly Verdict[]): void {
    this.#verdicts = verdicts;
    this.#status.setVerdicts(verdicts);
  }

  /** Says what is wrong with the configuration beside the ConfigMap that holds it. */
  warnOfConfig(errors: readonly string[], isInForce: boolean): void {
    const [object] = this.#configMap?.items.values() ?? [];
    const inForce = isInForce ? "what it said before stays in force" : "nothing is put in force until it is mended";
    if (object !== undefined) for (const error of errors) this.#events.warn(object, INVALID, `${error}; ${inForce}`);
  }

  async stop(): Promise<void> {
    this.#source.stop();
    this.#configMap?.stop();
    this.#events.stop();
    await this.#status.stop();
    await this.#lease.stop();
    await this.#client.stop();
  }

  #watchConfigMap(
    { namespace, name }: ConfigMapRef,
    log: Log,
    onConfigMap: (object: unknown) => void,
  ): Reflector<ConfigMap> {
    const reflector = new Reflector<ConfigMap>({
      client: this.#client,
      collection: { path: `/api/v1/namespaces/${namespace}/configmaps`, fieldSelector: `metadata.name=${name}` },
      log,
      take: (raw) => ({ ...refOf(raw as Raw), raw }),
      onChange: () => {
        if (reflector.synced) onConfigMap(reflector.items.get(`${namespace}/${name}`)?.raw);
      },
    });
    return reflector;
  }
}

const LEASE_NAME = "pointsman";
/** Why of the Events about what cannot be read. */
const INVALID = "Invalid";

type ConfigMap = ObjectRef & { readonly raw: unknown };

function scopeOf({ namespace, pool, allPools, picker, poolsWithoutPicker }: KubeOptions, ownNamespace: string): Scope {
  return { namespace: namespace ?? (allPools ? undefined : ownNamespace), pool, picker, poolsWithoutPicker };
}

/** Those with different pools must not keep each other from writing: what is of the one the other does not know. */
function leaseName({ pool, picker }: Scope): string {
  if (pool !== undefined) return `${LEASE_NAME}-${pool}`;
  return picker === undefined ? LEASE_NAME : `${LEASE_NAME}-picker-${picker}`;
}

function told({ namespace, pool }: Scope): string {
  const pools = pool === undefined ? "all pools" : `pool ${pool}`;
  return `${pools} of ${namespace === undefined ? "all namespaces" : `namespace ${namespace}`}`;
}
