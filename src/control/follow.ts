// What happens when the objects or the configuration have changed: membership and models anew, then all who go by them
// are told.

import { isDeepStrictEqual } from "node:util";
import { ofNewestGroup } from "./both-groups.ts";
import { membership, type PoolEndpoints, poolName } from "./endpoints.ts";
import type { ConfigObject } from "./kinds/object.ts";
import type { Log } from "./log.ts";
import { resolveModels, type Verdict } from "./models/resolve.ts";
import type { Rollout } from "./rollout.ts";
import { type Place, placeOf } from "./scheduling/labels.ts";
import { SCHEDULING_DEFAULT, type Scheduling } from "./scheduling/scheduling.ts";
import type { Fleet } from "./scrape/fleet.ts";
import { type Snapshot, topologyOf } from "./snapshot.ts";

export type FollowerOptions = {
  readonly snapshot: Snapshot;
  readonly fleet: Fleet;
  readonly rollout: Rollout;
  /** Of the gateway. */
  readonly place: Place;
  readonly log: Log;
  /** Told which InferenceModels count, whenever that was found out, also when it is as before. */
  readonly onVerdicts?: ((verdicts: readonly Verdict[]) => void) | undefined;
};

export class Follower {
  readonly #options: FollowerOptions;
  #objects: readonly ConfigObject[] | undefined;
  #scheduling: Scheduling;
  #last: unknown;
  #told = new Set<string>();

  constructor(options: FollowerOptions, scheduling: Scheduling = SCHEDULING_DEFAULT) {
    this.#options = options;
    this.#scheduling = scheduling;
  }

  setObjects(objects: readonly ConfigObject[]): void {
    this.#objects = objects;
    this.#follow("objects changed");
  }

  setScheduling(scheduling: Scheduling): void {
    this.#scheduling = scheduling;
    if (this.#objects !== undefined) this.#follow("configuration changed");
  }

  #follow(what: string): void {
    const { snapshot, fleet, rollout, place, log } = this.#options;
    const pools = this.#resolve();
    const next = this.#tellingApart(pools, place);
    if (isDeepStrictEqual(next, this.#last)) return;
    this.#last = next;
    log("info", what, {
      pools: pools.map(({ pool, endpoints }) => `${pool.namespace}/${pool.name}: ${endpoints.length} endpoints`),
    });
    snapshot.setPools(pools);
    fleet.setTargets(snapshot.targets());
    rollout.start(pools);
  }

  /** Pools, their endpoints and models by the objects at present. What is strange about those is told once. */
  #resolve(): readonly PoolEndpoints[] {
    const { log, onVerdicts } = this.#options;
    const { objects, doubts: twice } = ofNewestGroup(this.#objects ?? []);
    const members = membership(objects, this.#scheduling.engines);
    const resolved = resolveModels(
      objects,
      members.pools.map(({ pool }) => pool),
    );
    onVerdicts?.(resolved.verdicts);
    const left = [...members.left, ...resolved.left];
    const doubts = [...twice, ...members.doubts, ...resolved.doubts, ...placeDoubts(members.pools, this.#scheduling)];
    for (const sentence of left) if (!this.#told.has(sentence)) log("error", sentence);
    for (const sentence of doubts) if (!this.#told.has(sentence)) log("warn", sentence);
    this.#told = new Set([...left, ...doubts]);
    return members.pools.map((entry) => ({ ...entry, models: resolved.byPool.get(poolName(entry.pool)) }));
  }

  /** Everything that matters to anybody: of the labels only what the program asks for. */
  #tellingApart(pools: readonly PoolEndpoints[], place: Place): unknown {
    const members = pools.map(({ pool, endpoints }) => ({
      pool,
      endpoints: endpoints.map(({ labels: _labels, hostname: _hostname, ...endpoint }) => endpoint),
    }));
    return {
      members,
      topology: topologyOf(pools, this.#scheduling, place, 0),
      attributes: this.#scheduling.attributes,
    };
  }
}

/** Steps that go by where pods are, while nothing says where they are: a sentence for each set of labels. */
function placeDoubts(pools: readonly PoolEndpoints[], { columns }: Scheduling): readonly string[] {
  const all = pools.flatMap(({ endpoints }) => endpoints);
  return columns.flatMap((column) => {
    if (column.kind !== "topology level" || all.length === 0) return [];
    const isPlaced = all.some(
      ({ labels, hostname }) => Object.keys(placeOf(column.labels, labels, hostname)).length > 0,
    );
    const names = Object.values(column.labels).join(", ");
    return isPlaced ? [] : [`no pod has any of the labels ${names}: steps that go by topology take all for far away`];
  });
}
