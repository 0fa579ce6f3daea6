// How old what is known of an API server is, for people and for Prometheus.

import { Counter, Gauge, type Registry } from "prom-client";
import type { WatchView } from "./kube/reflector.ts";
import type { Source } from "./source/source.ts";

/** A line of /readyz. */
export function watchLine({ resource, scope, ageMs, problem }: WatchView): string {
  const age = ageMs === null ? "not read yet" : `current ${(ageMs / 1_000).toFixed(1)} s ago`;
  return `watch ${resource} of ${scope}: ${age}${problem === undefined ? "" : `; ${problem}`}`;
}

/** The gauges of all watches, looked up when somebody reads them. There are none while objects come from a folder. */
export function registerWatches(registry: Registry, source: () => Source | undefined): void {
  const registers = [registry];
  const labelNames = ["resource", "scope"];
  const watches = () => source()?.watches() ?? [];
  new Gauge({
    name: "pointsman_agent_watch_age_seconds",
    help: "Time since the API server last said what shows that the copy of a collection is current",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { resource, scope, ageMs } of watches())
        if (ageMs !== null) this.labels(resource, scope).set(ageMs / 1_000);
    },
  });
  new Gauge({
    name: "pointsman_agent_watch_up",
    help: "1 while a collection is watched, 0 while its watch is lost",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { resource, scope, problem } of watches())
        this.labels(resource, scope).set(problem === undefined ? 1 : 0);
    },
  });
  new Counter({
    name: "pointsman_agent_watch_restarts_total",
    help: "Times that a collection was listed or watched anew because its watch was lost",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { resource, scope, restarts } of watches()) this.labels(resource, scope).inc(restarts);
    },
  });
  new Gauge({
    name: "pointsman_agent_leader",
    help: "1 while this replica is the one that writes to the API server",
    registers,
    collect() {
      this.set(source()?.leading() ? 1 : 0);
    },
  });
}
