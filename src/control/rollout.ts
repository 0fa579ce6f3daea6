// The order in which a change of membership reaches the parts. A new endpoint is a member of Envoy's cluster before
// the filter may pick it; one that leaves is picked no more before the cluster forgets it. So a pick always names a
// host that Envoy knows.

import type { PoolEndpoints } from "./endpoints.ts";
import { poolName } from "./endpoints.ts";
import type { Log } from "./log.ts";
import type { XdsFiles } from "./xds.ts";

/** Envoy has a new file in force after about 9 ms. */
const ADD_LEAD_MS = 20;
/** Workers look for a new snapshot at their next request; those held by one now get their retry. */
const REMOVE_LAG_MS = 200;
const RETRY_MS = 1_000;

export type RolloutOptions = {
  /** Undefined when another control plane keeps Envoy's clusters. */
  readonly xds: XdsFiles | undefined;
  readonly log: Log;
  /** Puts the pools in force for the filter. Resolves when the filter has taken them. */
  readonly apply: (pools: readonly PoolEndpoints[]) => Promise<void>;
};

export class Rollout {
  readonly #options: RolloutOptions;
  #wanted: readonly PoolEndpoints[] = [];
  /** On their way: written for Envoy, not yet given to the filter. */
  #leading: readonly PoolEndpoints[] | undefined;
  /** What Envoy's files hold. */
  #written: readonly PoolEndpoints[] = [];
  #timers = new Set<NodeJS.Timeout>();
  #failure: string | undefined;
  #stopped = false;

  constructor(options: RolloutOptions) {
    this.#options = options;
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
    const both = union(this.#written, pools);
    if (!this.#write(xds, both)) {
      this.#later(RETRY_MS, () => this.#lead());
      return;
    }
    this.#later(ADD_LEAD_MS, () => {
      this.#leading = undefined;
      void this.#options.apply(pools).then(() => this.#later(REMOVE_LAG_MS, () => this.#trim(xds, pools)));
      if (this.#wanted !== pools) this.#lead();
    });
  }

  /** Forgets what has left, unless something newer is on its way and will do so. */
  #trim(xds: XdsFiles, pools: readonly PoolEndpoints[]): void {
    if (this.#wanted !== pools || this.#leading !== undefined) return;
    if (!this.#write(xds, pools)) this.#later(RETRY_MS, () => this.#trim(xds, pools));
  }

  #write(xds: XdsFiles, pools: readonly PoolEndpoints[]): boolean {
    const { log } = this.#options;
    try {
      xds.write(pools, this.#wanted);
    } catch (error) {
      const reason = (error as Error).message;
      if (this.#failure !== reason) log("error", "the files for Envoy cannot be written, trying again", { reason });
      this.#failure = reason;
      return false;
    }
    this.#written = pools;
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

/** Pools and endpoints of either. Of a pool in both, `next` says how it is spoken to. */
function union(last: readonly PoolEndpoints[], next: readonly PoolEndpoints[]): readonly PoolEndpoints[] {
  const lastByName = new Map(last.map((entry) => [poolName(entry.pool), entry]));
  const joined = next.map(({ pool, endpoints }) => {
    const before = lastByName.get(poolName(pool))?.endpoints ?? [];
    lastByName.delete(poolName(pool));
    const addresses = new Set(endpoints.map((endpoint) => endpoint.address));
    return { pool, endpoints: [...endpoints, ...before.filter((endpoint) => !addresses.has(endpoint.address))] };
  });
  return [...joined, ...lastByName.values()];
}
