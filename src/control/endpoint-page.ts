// What is known of each endpoint, as Prometheus text. Not by prom-client, which would keep an object for each of the
// values from one reading to the next: there are eight for each of thousands of endpoints.

import { fnv1a } from "./hash.ts";
import type { Report } from "./report.ts";
import type { EndpointView, PoolView } from "./snapshot.ts";

type Value = (view: EndpointView, tokens: ReadonlyMap<bigint, number> | undefined) => number | null;

const GAUGES: readonly (readonly [name: string, help: string, value: Value])[] = [
  ["waiting_requests", "Requests waiting, as last scraped", (view) => view.waiting],
  ["running_requests", "Requests running, as last scraped", (view) => view.running],
  ["kv_usage_ratio", "Share of KV blocks in use, as last scraped", (view) => view.kvUsage],
  ["inflight_requests", "Requests that the proxy has in flight", (view) => view.inFlight],
  [
    "metrics_age_seconds",
    "Time since the last successful scrape",
    ({ metricsAgeMs }) => (metricsAgeMs === null ? null : metricsAgeMs / 1_000),
  ],
  [
    "inflight_tokens",
    "Prompt tokens that the proxy has in flight and the endpoint has still to compute",
    ({ address }, tokens) => (tokens === undefined ? null : (tokens.get(fnv1a(address)) ?? 0)),
  ],
];

/** The reference's name for the queues, and its older one, with their labels. */
const QUEUES = [
  ["llm_d_epp_per_endpoint_queue_size", "model_server_endpoint"],
  ["inference_pool_per_pod_queue_size", "model_server_pod"],
] as const;

/** The page's lines, with their ends. `report` is undefined while the proxy does not answer. */
export function endpointPage(pools: readonly PoolView[], report: Report | undefined): string {
  const queues = QUEUES.map(([name, label]) => queuePage(name, label, pools));
  return [...gauges(pools, report), ...queues].join("");
}

function gauges(pools: readonly PoolView[], report: Report | undefined): readonly string[] {
  const tokens = report && tokensIn(report);
  const all = pools.flatMap((pool) =>
    pool.endpoints.map((view) => {
      const labels = `{pool="${pool.namespace}/${pool.name}",endpoint="${view.address}",pod="${view.pod}"}`;
      return { view, labels };
    }),
  );
  return GAUGES.map(([name, help, value]) => {
    const full = `pointsman_endpoint_${name}`;
    const lines = all.map(({ view, labels }) => {
      const number = value(view, tokens);
      return number === null ? "" : `${full}${labels} ${number}\n`;
    });
    return `${head(full, help)}${lines.join("")}`;
  });
}

/** Several ports of a pod, and pods of one name in pools of one name, are one series: the last of them counts. */
function queuePage(name: string, label: string, pools: readonly PoolView[]): string {
  const series = new Map<string, number>();
  for (const pool of pools)
    for (const { pod, waiting } of pool.endpoints)
      if (waiting !== null) series.set(`${name}{name="${pool.name}",${label}="${pod}"}`, waiting);
  const lines = [...series].map(([labeled, waiting]) => `${labeled} ${waiting}\n`);
  return `${head(name, "Requests waiting at the endpoint, as last scraped")}${lines.join("")}`;
}

function head(name: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n`;
}

/** In flight, by the hash of the address. */
function tokensIn({ workers }: Report): ReadonlyMap<bigint, number> {
  const tokens = new Map<bigint, number>();
  for (const { hash, tokens: count } of workers.flatMap((worker) => worker.entries))
    tokens.set(hash, (tokens.get(hash) ?? 0) + count);
  return tokens;
}
