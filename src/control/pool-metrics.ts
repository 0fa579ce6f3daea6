// Gauges of each pool as the reference has them, under its names and its older ones: means and spreads over the
// endpoints whose last scrape said something.

import { Gauge, type Registry } from "prom-client";
import type { EndpointView, PoolView } from "./snapshot.ts";

type Figure = {
  readonly name: string;
  readonly help: string;
  readonly value: (view: EndpointView) => number | null;
};

const FIGURES: readonly Figure[] = [
  { name: "kv_cache_utilization", help: "share of KV blocks in use", value: (view) => view.kvUsage },
  { name: "queue_size", help: "requests waiting at the endpoints", value: (view) => view.waiting },
  { name: "running_requests", help: "requests running at the endpoints", value: (view) => view.running },
];

const PREFIX = "llm_d_epp_";
const OLD_PREFIX = "inference_pool_";

export function registerPools(registry: Registry, pools: () => readonly PoolView[]): void {
  for (const prefix of [PREFIX, OLD_PREFIX]) {
    for (const { name, help, value } of FIGURES) {
      gauge(registry, `${prefix}average_${name}`, `Mean over the pool: ${help}`, pools, (pool) =>
        mean(known(pool, value)),
      );
      gauge(registry, `${prefix}std_dev_${name}`, `Standard deviation over the pool: ${help}`, pools, (pool) =>
        deviation(known(pool, value)),
      );
    }
    const ready = prefix === PREFIX ? "ready_endpoints" : "ready_pods";
    gauge(
      registry,
      `${prefix}${ready}`,
      "Endpoints of the pool that are ready",
      pools,
      (pool) => pool.endpoints.length,
    );
  }
}

/** A gauge with the pool as its label; a value that is not known is left out. */
function gauge(
  registry: Registry,
  name: string,
  help: string,
  pools: () => readonly PoolView[],
  value: (pool: PoolView) => number | undefined,
): void {
  new Gauge({
    name,
    help,
    labelNames: ["name"],
    registers: [registry],
    collect() {
      this.reset();
      for (const pool of pools()) {
        const number = value(pool);
        if (number !== undefined) this.labels(pool.name).set(number);
      }
    },
  });
}

function known(pool: PoolView, value: Figure["value"]): readonly number[] {
  return pool.endpoints.map(value).filter((number) => number !== null);
}

function mean(numbers: readonly number[]): number | undefined {
  return numbers.length === 0 ? undefined : numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function deviation(numbers: readonly number[]): number | undefined {
  const middle = mean(numbers);
  return middle === undefined ? undefined : Math.sqrt(mean(numbers.map((number) => (number - middle) ** 2)) ?? 0);
}
