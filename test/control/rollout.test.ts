// The order in which Envoy's files and the filter learn of a change.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { PoolEndpoints } from "../../src/control/endpoints.ts";
import { Rollout } from "../../src/control/rollout.ts";
import { XdsFiles } from "../../src/control/xds.ts";
import { pool } from "./objects.ts";
import { temporaryDir, until } from "./until.ts";

function withPods(...hosts: readonly number[]): readonly PoolEndpoints[] {
  const endpoints = hosts.map((host) => ({
    address: `10.0.0.${host}:80`,
    ip: `10.0.0.${host}`,
    port: 80,
    pod: `p${host}`,
    engine: "vllm" as const,
  }));
  return [{ pool: pool("p"), endpoints }];
}

function hostsOf(pools: readonly PoolEndpoints[] | undefined): readonly string[] | undefined {
  return pools?.[0]?.endpoints.map((endpoint) => endpoint.ip);
}

function rolling(taken: Promise<void> = Promise.resolve()) {
  const dir = temporaryDir();
  const applied: {
    readonly hosts: readonly string[] | undefined;
    readonly inEnvoy: readonly string[];
    readonly atMs: number;
  }[] = [];
  const inEnvoy = () =>
    [...readFileSync(join(dir, "eds", "default.p.yaml"), "utf8").matchAll(/"address": "([^"]+)"/g)].map(
      (match) => match[1]!,
    );
  const rollout = new Rollout({
    xds: new XdsFiles({ dir, defaultPool: undefined, retryBufferBytes: 1 }),
    log: () => {},
    apply: (pools) => {
      applied.push({ hosts: hostsOf(pools), inEnvoy: inEnvoy(), atMs: performance.now() });
      return taken;
    },
  });
  onTestFinished(() => rollout.stop());
  return { rollout, applied, inEnvoy };
}

describe("rollout", () => {
  test("a new endpoint is in Envoy's file some time before the filter hears of it", async () => {
    const { rollout, applied, inEnvoy } = rolling();
    const startMs = performance.now();
    rollout.start(withPods(1, 2));
    expect(inEnvoy()).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(applied).toEqual([]);
    await until("applied", () => applied.length === 1);
    expect(applied[0]!.atMs - startMs).toBeGreaterThan(15);
    expect(applied[0]!.hosts).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  test("one that leaves goes from the filter first, and from the file after the filter has taken that", async () => {
    let take: () => void = () => {};
    const taken = new Promise<void>((resolve) => {
      take = resolve;
    });
    const { rollout, applied, inEnvoy } = rolling(taken);
    rollout.start(withPods(1, 2));
    await until("applied", () => applied.length === 1);
    rollout.start(withPods(2, 3));
    await until("applied again", () => applied.length === 2);
    expect(applied[1]).toMatchObject({
      hosts: ["10.0.0.2", "10.0.0.3"],
      inEnvoy: ["10.0.0.2", "10.0.0.3", "10.0.0.1"],
    });
    const takenMs = performance.now();
    take();
    await until("gone from the file", () => inEnvoy().join() === "10.0.0.2,10.0.0.3");
    expect(performance.now() - takenMs).toBeGreaterThan(180);
  });

  test("changes that come fast end in the last one, and none that is picked is unknown to Envoy", async () => {
    const { rollout, applied, inEnvoy } = rolling();
    for (let i = 1; i <= 20; ++i) {
      rollout.start(withPods(i, i + 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until("the last", () => applied.at(-1)?.hosts?.[0] === "10.0.0.20");
    await until("trimmed", () => inEnvoy().join() === "10.0.0.20,10.0.0.21");
    for (const step of applied) expect(step.inEnvoy).toEqual(expect.arrayContaining([...step.hosts!]));
    expect(applied.length).toBeGreaterThan(2);
  });
});
