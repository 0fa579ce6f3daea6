// The gauges of endpoints as Prometheus reads them.

import { expect, test } from "vitest";
import { endpointPage } from "../../src/control/endpoint-page.ts";
import type { EndpointView, PoolView } from "../../src/control/snapshot.ts";

function endpoint(address: string, pod: string, waiting: number | null): EndpointView {
  return { address, pod, waiting, running: null, kvUsage: null, inFlight: null, metricsAgeMs: null } as EndpointView;
}

function pool(namespace: string, endpoints: readonly EndpointView[]): PoolView {
  return { namespace, name: "chat", endpoints } as PoolView;
}

test("no series is there twice, whatever names pods and pools share", () => {
  const pools = [
    pool("a", [endpoint("10.0.0.1:8000", "x", 1), endpoint("10.0.0.1:8001", "x", 2)]),
    pool("b", [endpoint("10.0.0.2:8000", "x", 3), endpoint("10.0.0.3:8000", "y", null)]),
  ];
  const series = endpointPage(pools, undefined)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const names = series.map((line) => line.slice(0, line.lastIndexOf(" ")));
  expect(new Set(names).size).toBe(names.length);
  expect(series).toContain('pointsman_endpoint_waiting_requests{pool="a/chat",endpoint="10.0.0.1:8001",pod="x"} 2');
  expect(series).toContain('llm_d_epp_per_endpoint_queue_size{name="chat",model_server_endpoint="x"} 3');
  expect(series.filter((line) => line.includes('"y"'))).toEqual([]);
});
