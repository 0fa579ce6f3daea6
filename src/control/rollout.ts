// The order in which a change of membership reaches the parts. A new endpoint is a member of Envoy's cluster before
// the filter may pick it; one that leaves is picked no more before the cluster forgets it. So a pick always names a
// host that Envoy knows.

import type { PoolEndpoints } from "./endpoints.ts";
import { poolName } from "./endpoints.ts";
import type { Log } from "./log.ts";
import type { Members, XdsFiles } from "./xds.ts";

/** Envoy has a new file in force after about 9 ms. */
const ADD_LEAD_MS = 20;
/** Workers look for a new snapshot at their next request; those held by one now get their retry. */
const REMOVE_LAG_MS = 200;
const RETRY_MS = 1_000;

export type RolloutOptions = {
  /** Undefined when another control plane keeps Envoy's clusters. */
  readonly xds: XdsFiles | undefined;
  readonly log: Log;
  /** Puts the pools in force for the filter. True when the filter has taken them, false when it never will. */
  readonly apply: (pools: readonly PoolEndpoints[]) => Promise<boolean>;
};

export class Rollout {
  readonly #options: RolloutOptions;
  #wanted: readonly PoolEndpoints[] = [];
  /** On their way: written for Envoy, not yet given to the filter. */
  #leading: readonly PoolEndpoints[] | undefined;
  /** The pools whose removals the filter was given while the files could not be written. */
  #reduced: readonly PoolEndpoints[] | undefined;
  /** What Envoy's files hold for certain. */
  #written: readonly Members[];
  /** What the filter may pick from, oldest first: the last that it took, and those given to it since. */
  #held: (readonly Members[])[];
  #timers = new Set<NodeJS.Timeout>();
  #failure: string | undefined;
  #stopped = false;

  constructor(options: RolloutOptions) {
    this.#options = options;
    this.#written = options.xds?.found() ?? [];
    // A filter that was filled by an earlier agent picks from no more than that agent wrote.
    this.#held = [this.#written];
  }

  /** Makes `pools` the state to reach. The files of Envoy are written before this returns. */
  start(pools: readonly PoolEndpoints[]): void {
    this.#wanted = pools;
    if (this.#leading === undefined) this.#lead();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #lead(): void {
    const { xds } = this.#options;
    const pools = this.#wanted;
    if (!xds) {
      void this.#options.apply(pools);
      return;
    }
    this.#leading = pools;
    if (!this.#write(xds, [...this.#held, pools])) {
      this.#applyRemovals(xds, pools);
      this.#later(RETRY_MS, () => this.#lead());
      return;
    }
    this.#later(ADD_LEAD_MS, () => {
      this.#leading = undefined;
      this.#apply(xds, pools);
      if (this.#wanted !== pools) this.#lead();
    });
  }

  /** Gives the filter what Envoy knows already of `pools`: one that leaves does not wait for one that is new. */
  #applyRemovals(xds: XdsFiles, pools: readonly PoolEndpoints[]): void {
    if (this.#reduced === pools) return;
    this.#reduced = pools;
    this.#apply(xds, common(pools, this.#written));
  }

  #apply(xds: XdsFiles, pools: readonly PoolEndpoints[]): void {
    this.#held.push(pools);
    void this.#options.apply(pools).then((taken) => {
      if (taken) this.#later(REMOVE_LAG_MS, () => this.#forget(xds, pools));
      else this.#held = this.#held.filter((entry) => entry !== pools);
    });
  }

  /** The filter has moved on to `pools`, or further. */
  #forget(xds: XdsFiles, pools: readonly PoolEndpoints[]): void {
    const i = this.#held.indexOf(pools);
    if (i > 0) this.#held.splice(0, i);
    this.#trim(xds);
  }

  /** Takes out of the files what the filter no longer picks, unless something newer is on its way and will do so. */
  #trim(xds: XdsFiles): void {
    if (this.#leading !== undefined) return;
    if (!this.#write(xds, this.#held)) this.#later(RETRY_MS, () => this.#trim(xds));
  }

  #write(xds: XdsFiles, states: readonly (readonly Members[])[]): boolean {
    const { log } = this.#options;
    const pools = states.reduce(union, []);
    try {
      xds.write(pools, this.#wanted);
    } catch (error) {
      // Some of the files may be written, some not.
      this.#written = common(this.#written, pools);
      const reason = (error as Error).message;
      if (this.#failure !== reason)
        log("error", "the files for Envoy cannot be written, trying again; new endpoints wait", { reason });
      this.#failure = reason;
      return false;
    }
    this.#written = pools;
    this.#reduced = undefined;
    if (this.#failure) log("info", "the files for Envoy are written again");
    this.#failure = undefined;
    return true;
  }

  #later(delayMs: number, action: () => void): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    this.#timers.add(timer);
  }
}

function key({ ip, port }: Members["endpoints"][number]): string {
  return `${ip} ${port}`;
}

/** Pools and endpoints of either. Of a pool in both, `next` says how it is spoken to. */
function union(last: readonly Members[], next: readonly Members[]): readonly Members[] {
  const lastByName = new Map(last.map((entry) => [poolName(entry.pool), entry]));
  const joined = next.map(({ pool, endpoints }) => {
    const before = lastByName.get(poolName(pool))?.endpoints ?? [];
    lastByName.delete(poolName(pool));
    const present = new Set(endpoints.map(key));
    return { pool, endpoints: [...endpoints, ...before.filter((endpoint) => !present.has(key(endpoint)))] };
  });
  return [...joined, ...lastByName.values()];
}

/** The pools of `pools`, each with those of its endpoints that `others` has too. */
function common<M extends Members>(pools: readonly M[], others: readonly Members[]): readonly M[] {
  const keys = new Map(others.map(({ pool, endpoints }) => [poolName(pool), new Set(endpoints.map(key))]));
  return pools.map((entry) => {
    const present = keys.get(poolName(entry.pool));
    return { ...entry, endpoints: entry.endpoints.filter((endpoint) => present?.has(key(endpoint))) };
  });
}
