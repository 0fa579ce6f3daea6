// Who belongs to which pool, in which order.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { membership } from "../../src/control/endpoints.ts";
import type { Pod, Pool } from "../../src/control/kinds/object.ts";
import { ENDPOINTS_MAX, POOLS_MAX } from "../../src/wire/limits.ts";

function pod(name: string, more: Partial<Pod> = {}): Pod {
  const ip = `10.0.0.${name.length}`;
  return {
    kind: "Pod",
    namespace: "default",
    name,
    labels: { app: "m" },
    ip,
    ready: true,
    activePorts: undefined,
    ...more,
  };
}

function pool(name: string, more: Partial<Pool> = {}): Pool {
  return {
    kind: "InferencePool",
    namespace: "default",
    name,
    matchLabels: { app: "m" },
    targetPorts: [8000],
    appProtocol: "http",
    failureMode: "FailClose",
    ...more,
  };
}

function addresses(objects: readonly (Pod | Pool)[]): readonly (readonly string[])[] {
  return membership(objects).pools.map(({ endpoints }) => endpoints.map(({ address }) => address));
}

describe("membership", () => {
  test("a member has every label, is ready, has an address, and lives in the pool's namespace", () => {
    const objects = [
      pool("p", { matchLabels: { app: "m", tier: "a" } }),
      pod("member", { ip: "10.0.0.1", labels: { app: "m", tier: "a", more: "x" } }),
      pod("one-label", { labels: { app: "m" } }),
      pod("unready", { labels: { app: "m", tier: "a" }, ready: false }),
      pod("no-address", { labels: { app: "m", tier: "a" }, ip: undefined }),
      pod("elsewhere", { labels: { app: "m", tier: "a" }, namespace: "other" }),
    ];
    expect(addresses(objects)).toEqual([["10.0.0.1:8000"]]);
  });

  test("each target port is an endpoint, unless the pod says it is not active", () => {
    const objects = [
      pool("p", { targetPorts: [8001, 8000, 8002] }),
      pod("b", { ip: "fd00::1" }),
      pod("a", { ip: "10.0.0.1", activePorts: [8002, 9999] }),
    ];
    expect(addresses(objects)).toEqual([["10.0.0.1:8002", "[fd00::1]:8000", "[fd00::1]:8001", "[fd00::1]:8002"]]);
  });

  test("an endpoint is named for its pod and the place of its port in the pool's own order", () => {
    const ids = (more: Partial<Pod>) =>
      membership([pool("p", { targetPorts: [8002, 8000, 8001] }), pod("a", more)]).pools[0]?.endpoints.map(
        ({ port, id }) => [port, id],
      );
    expect(ids({})).toEqual([
      [8000, "default/a-rank-1"],
      [8001, "default/a-rank-2"],
      [8002, "default/a-rank-0"],
    ]);
    expect(ids({ activePorts: [8001] })).toEqual([[8001, "default/a-rank-2"]]);
  });

  test("two pods with one address are one endpoint, and that is told", () => {
    const found = membership([pool("p"), pod("b", { ip: "10.0.0.1" }), pod("a", { ip: "10.0.0.1" })]);
    expect(found.pools[0]?.endpoints).toEqual([
      {
        address: "10.0.0.1:8000",
        ip: "10.0.0.1",
        port: 8000,
        pod: "a",
        id: "default/a-rank-0",
        labels: { app: "m" },
        engine: "vllm",
      },
    ]);
    expect(found.left).toEqual(["pods a and b of pool default/p share 10.0.0.1:8000, the first counts"]);
  });

  test("limits of the wire hold, and what is left out is told", () => {
    const pods = Array.from({ length: 1_100 }, (_, i) => pod(`pod-${i}`, { ip: `10.0.${i >> 8}.${i & 255}` }));
    const targetPorts = [1, 2, 3, 4, 5, 6, 7, 8];
    const pools = Array.from({ length: POOLS_MAX + 1 }, (_, i) => pool(`p${100 + i}`, { targetPorts }));
    const found = membership([...pods, ...pools]);
    expect(found.pools).toHaveLength(POOLS_MAX);
    expect(found.pools.reduce((count, { endpoints }) => count + endpoints.length, 0)).toBe(ENDPOINTS_MAX);
    expect(found.left[0]).toBe(`${POOLS_MAX + 1} pools, only the first ${POOLS_MAX} by name count`);
    expect(found.left[1]).toBe(`pool default/p100 has 8800 endpoints, only 8192 fit in 8192 of all pools`);
  });

  test("the order of the objects does not matter", () => {
    const objects = [
      pool("b", { targetPorts: [2, 1] }),
      pool("a"),
      pool("a", { namespace: "zone" }),
      ...["x", "y1", "y10", "y2"].map((name, i) => pod(name, { ip: `10.0.0.${9 - i}` })),
    ];
    const expected = membership(objects);
    fc.assert(
      fc.property(fc.shuffledSubarray(objects, { minLength: objects.length }), (shuffled) => {
        expect(membership(shuffled)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
    expect(expected.pools[1]?.endpoints.map((endpoint) => endpoint.pod)).toEqual([
      "x",
      "x",
      "y1",
      "y1",
      "y10",
      "y10",
      "y2",
      "y2",
    ]);
  });

  test("the engine that a pod's label names, current label before alias; vllm otherwise", () => {
    const engine = (labels: Readonly<Record<string, string>>) =>
      membership([pool("p"), pod("a", { labels: { app: "m", ...labels } })]).pools[0]?.endpoints[0]?.engine;
    const [current, alias] = ["llm-d.ai/engine-type", "inference.networking.k8s.io/engine-type"];
    expect(engine({})).toBe("vllm");
    for (const name of ["vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm", "triton", "llama.cpp"]) {
      expect(engine({ [current]: name })).toBe(name);
      expect(engine({ [alias]: name })).toBe(name);
    }
    expect(engine({ [current]: "triton", [alias]: "sglang" })).toBe("triton");
  });

  test("an engine that is not known is read as vllm, and told once per pod", () => {
    const labels = { app: "m", "llm-d.ai/engine-type": "Triton" };
    const found = membership([pool("p", { targetPorts: [1, 2] }), pool("q"), pod("a", { labels }), pod("bb")]);
    expect(found.pools[0]?.endpoints[0]?.engine).toBe("vllm");
    expect(found.left).toEqual([]);
    expect(found.doubts).toEqual([
      "pod default/a: label llm-d.ai/engine-type: Triton: expected one of vllm, sglang, trtllm-serve, " +
        "triton-tensorrt-llm, triton, llama.cpp; read as vllm",
    ]);
  });

  test("pods that are no endpoints are not told about", () => {
    const labels = { "llm-d.ai/engine-type": "x" };
    const found = membership([
      pool("p"),
      pod("a", { labels }),
      pod("b", { labels: { ...labels, app: "m" }, ready: false }),
    ]);
    expect(found.doubts).toEqual([]);
  });
});
