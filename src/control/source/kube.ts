// The API server as the source of objects. Every kind that is served is watched, and of pods those that some pool of
// ours selects.
//
//   Served ─▶ Reflectors of pools and models ─▶ Reflectors of pods, one for each selector ─▶ onObjects
//
// What is handed on is never a part: nothing before everything has been listed once, and a pool, or a pool's new
// selector, not before its pods have been. Lost watches change nothing: what they last showed stays.

import { converterOf } from "../kinds/menu.ts";
import { type ConfigObject, type ModelObject, objectKey, type Pod, type Pool } from "../kinds/object.ts";
import { podWithPortsOf } from "../kinds/pod.ts";
import type { Misfit } from "../kinds/schema.ts";
import type { KubeClient } from "../kube/client.ts";
import { type ObjectRef, type Raw, refOf } from "../kube/object-ref.ts";
import { type Collection, Reflector, type WatchView } from "../kube/reflector.ts";
import { type SeenModel, seenModel } from "../kube/seen-model.ts";
import { Served, type ServedKind } from "../kube/served.ts";
import type { Log } from "../log.ts";
import { isOurs, type Scope } from "./scope.ts";

/** What comes in a burst is handed on together; a change that comes alone waits as long. */
const GATHER_MS = 5;
/** Between two hand-overs: a rolling update of a thousand pods is some twenty a second, not a thousand. */
const SPACING_MS = 50;
/** Or so many times what the last one took, 30 ms at 4,000 endpoints: it must not take the processor for itself. */
const SPACING_TIMES = 3;

/** What is wrong with an object at present. */
export type ObjectProblem = ObjectRef & {
  readonly reason: string;
  /** What counts in its place, in words. */
  readonly inForce: string;
};

export type KubeSourceOptions = {
  readonly client: KubeClient;
  readonly scope: Scope;
  readonly log: Log;
  /** Called with all objects, sorted by their keys. */
  readonly onObjects: (objects: readonly ConfigObject[]) => void;
  /** Called before `onObjects`, with what the API server has of the status of each InferenceModel of ours. */
  readonly onModels: (models: readonly SeenModel[]) => void;
  /** Called when something is found wrong with an object. */
  readonly onProblem: (problem: ObjectProblem) => void;
};

/** What is kept of an object. */
type Kept = {
  readonly object: ConfigObject | undefined;
  readonly problem: ObjectProblem | undefined;
  /** Of an InferenceModel. */
  readonly seen?: SeenModel | undefined;
};

/** Of the name of a pool: whether such a pool, if there is one, is ours. */
type ForOurs = (namespace: string, pool: string) => boolean;

export class KubeSource {
  readonly #options: KubeSourceOptions;
  readonly #served: Served;
  /** Of all kinds but Pod, by apiVersion and kind. */
  readonly #kinds = new Map<string, Reflector<Kept>>();
  /** By namespace and selector. */
  readonly #pods = new Map<string, Reflector<Kept>>();
  /** The pools as they were handed on last, by key. */
  #inForce: ReadonlyMap<string, Pool> = new Map();
  #isHandedOn = false;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Problems found since the start. */
  problemsTotal = 0;

  constructor(options: KubeSourceOptions) {
    this.#options = options;
    const { client, log } = options;
    this.#served = new Served({ client, log, onChange: () => this.#watchKinds() });
  }

  /** Why no objects have been handed on yet; undefined when they have. */
  notReady(): string | undefined {
    if (this.#isHandedOn) return undefined;
    const behind = this.#reflectors().find((reflector) => isAwaited(reflector));
    if (behind === undefined) return `waiting for the API server: ${this.#served.problem() ?? "objects are read"}`;
    const { resource, scope, problem } = behind.view();
    return `waiting for ${resource} of ${scope}: ${problem ?? "they are read"}`;
  }

  problems(): readonly ObjectProblem[] {
    return this.#reflectors().flatMap(({ items }) => [...items.values()].flatMap(({ problem }) => problem ?? []));
  }

  watches(): readonly WatchView[] {
    return this.#reflectors().map((reflector) => reflector.view());
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#served.stop();
    for (const reflector of this.#reflectors()) reflector.stop();
  }

  #reflectors(): readonly Reflector<Kept>[] {
    return [...this.#kinds.values(), ...this.#pods.values()];
  }

  #watchKinds(): void {
    const served = this.#served.kinds() ?? [];
    const wanted = new Map(served.map((kind) => [`${kind.apiVersion} ${kind.kind}`, kind]));
    for (const [name, reflector] of this.#kinds) {
      if (wanted.has(name)) continue;
      reflector.stop();
      this.#kinds.delete(name);
    }
    for (const [name, kind] of wanted)
      if (!this.#kinds.has(name))
        this.#kinds.set(
          name,
          this.#reflector(collectionOf(kind, this.#options.scope), () => this.#kindsChanged()),
        );
    this.#kindsChanged();
  }

  #reflector(collection: Collection, onChange: () => void): Reflector<Kept> {
    const { client, log } = this.#options;
    return new Reflector<Kept>({
      client,
      collection,
      log,
      take: (raw, previous) => this.#take(raw as Raw, previous),
      onChange,
    });
  }

  #take(raw: Raw, previous: Kept | undefined): Kept | undefined {
    const { apiVersion, kind } = raw;
    const converted = converterOf(apiVersion, kind)!(raw);
    const seen = kind === "InferenceModel" ? seenModel(raw) : undefined;
    if (converted.ok) {
      if (previous?.problem !== undefined) this.#mended(previous.problem);
      return { object: converted.value, problem: undefined, seen };
    }
    if (kind === "Pod" && isBeingDeleted(raw)) return undefined;
    const before = previous?.object;
    const object = before?.kind === "Pod" ? podWithPortsOf(before, raw) : before;
    const problem = this.#problem(refOf(raw), converted.misfit, previous?.problem, object);
    return { object, problem, seen: seen && { ...seen, problem: `${problem.reason}; ${problem.inForce}` } };
  }

  #problem(
    object: ObjectRef,
    { reason }: Misfit,
    previous: ObjectProblem | undefined,
    kept: ConfigObject | undefined,
  ): ObjectProblem {
    const { kind, namespace, name } = object;
    const inForce = kept === undefined ? "it does not count until that is mended" : "what it said before stays";
    const problem = { ...object, reason, inForce };
    if (previous?.reason === reason) return problem;
    this.problemsTotal += 1;
    this.#options.log("error", `${kind} ${namespace}/${name}: ${reason}`, { inForce });
    this.#options.onProblem(problem);
    return problem;
  }

  #mended({ kind, namespace, name, reason }: ObjectProblem): void {
    this.#options.log("info", `${kind} ${namespace}/${name}: no longer wrong`, { was: reason });
  }

  /** Which pods are to be watched may have changed, too. */
  #kindsChanged(): void {
    if (this.#stopped) return;
    this.#watchPods();
    this.#changed();
  }

  #changed(): void {
    if (this.#stopped) return;
    const waitMs = this.#notBeforeMs - performance.now();
    this.#timer ??= setTimeout(() => this.#handOn(), Math.max(GATHER_MS, waitMs));
  }

  /** Pods of the pools as they are now, and of those still in force. */
  #watchPods(): void {
    const wanted = new Map<string, Collection>();
    for (const pool of [...this.#ours(), ...this.#inForce.values()]) wanted.set(podsKey(pool), podsOf(pool));
    for (const [key, reflector] of this.#pods) {
      if (wanted.has(key)) continue;
      reflector.stop();
      this.#pods.delete(key);
    }
    for (const [key, collection] of wanted)
      if (!this.#pods.has(key))
        this.#pods.set(
          key,
          this.#reflector(collection, () => this.#changed()),
        );
  }

  #all(): readonly ConfigObject[] {
    return [...this.#kinds.values()].flatMap(({ items }) => [...items.values()].flatMap(({ object }) => object ?? []));
  }

  #ours(): readonly Pool[] {
    const { scope } = this.#options;
    return this.#all().flatMap((object) => (object.kind === "InferencePool" && isOurs(object, scope) ? [object] : []));
  }

  #handOn(): void {
    this.#timer = undefined;
    if (!this.#isHandedOn && (this.#served.kinds() === undefined || this.#reflectors().some(isAwaited))) return;
    this.#isHandedOn = true;
    const beginMs = performance.now();
    const pools = this.#settledPools();
    this.#inForce = new Map(pools.map((pool) => [objectKey(pool), pool]));
    this.#watchPods();
    const objects = new Map<string, ConfigObject>(this.#inForce);
    for (const pod of this.#podsKept()) objects.set(objectKey(pod), pod);
    const isForOurs = this.#isForOurs();
    for (const object of this.#modelObjects(isForOurs)) objects.set(objectKey(object), object);
    this.#options.onModels(this.#seenModels(isForOurs));
    const sorted = [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
    this.#options.onObjects(sorted);
    const endMs = performance.now();
    this.#notBeforeMs = endMs + Math.max(SPACING_MS, SPACING_TIMES * (endMs - beginMs));
  }

  /** Each pool in the newest form whose pods are known; not one of which no pods have been listed yet. */
  #settledPools(): readonly Pool[] {
    return this.#ours().flatMap((pool) => {
      const pods = this.#pods.get(podsKey(pool));
      return pods !== undefined && !isAwaited(pods) ? pool : (this.#inForce.get(objectKey(pool)) ?? []);
    });
  }

  #podsKept(): readonly Pod[] {
    return [...this.#pods.values()].flatMap(({ items }) =>
      [...items.values()].flatMap(({ object }) => (object?.kind === "Pod" ? object : [])),
    );
  }

  /** InferenceModels, less those of pools that are not ours. */
  #seenModels(isForOurs: ForOurs): readonly SeenModel[] {
    return [...this.#kinds.values()].flatMap(({ items }) =>
      [...items.values()].flatMap(({ seen }) => (seen && isForOurs(seen.namespace, seen.pool) ? seen : [])),
    );
  }

  /** Objects about models, less those of pools that are not ours. */
  #modelObjects(isForOurs: ForOurs): readonly ModelObject[] {
    return this.#all().flatMap((object) => {
      if (object.kind === "InferencePool" || object.kind === "Pod") return [];
      return isForOurs(object.namespace, object.poolRef.name) ? object : [];
    });
  }

  #isForOurs(): ForOurs {
    const { scope } = this.#options;
    const others = new Set(
      this.#all().flatMap((object) =>
        object.kind === "InferencePool" && !isOurs(object, scope) ? `${object.namespace}/${object.name}` : [],
      ),
    );
    const isNamed = (pool: string) => scope.pool === undefined || scope.pool === pool;
    return (namespace, pool) => isNamed(pool) && !others.has(`${namespace}/${pool}`);
  }
}

function isBeingDeleted({ metadata }: { readonly metadata: object }): boolean {
  return "deletionTimestamp" in metadata;
}

/** Listing is on its way, or cannot be done now; what is refused for want of a right is not waited for. */
function isAwaited({ synced, refused }: Reflector<Kept>): boolean {
  return !synced && !refused;
}

function collectionOf({ apiVersion, kind, plural }: ServedKind, { namespace, pool }: Scope): Collection {
  const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
  const path = `/apis/${apiVersion}${within}/${plural}`;
  return kind === "InferencePool" && pool !== undefined ? { path, fieldSelector: `metadata.name=${pool}` } : { path };
}

function podsOf({ namespace, matchLabels }: Pool): Collection {
  const labels = Object.entries(matchLabels).map(([name, value]) => `${name}=${value}`);
  return { path: `/api/v1/namespaces/${namespace}/pods`, labelSelector: labels.sort().join(",") };
}

function podsKey(pool: Pool): string {
  const { path, labelSelector } = podsOf(pool);
  return `${path}?${labelSelector}`;
}
