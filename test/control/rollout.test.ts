// The order in which Envoy's files and the filter learn of a change.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { PoolEndpoints } from "../../src/control/endpoints.ts";
import { Rollout } from "../../src/control/rollout.ts";
import { XdsFiles } from "../../src/control/xds.ts";
import { logLines } from "./log-lines.ts";
import { pool } from "./objects.ts";
import { temporaryDir, until } from "./until.ts";

function withPods(...hosts: readonly number[]): readonly PoolEndpoints[] {
  const endpoints = hosts.map((host) => ({
    address: `10.0.0.${host}:80`,
    ip: `10.0.0.${host}`,
    port: 80,
    pod: `p${host}`,
    id: `default/p${host}-rank-0`,
    labels: {},
    engine: "vllm",
  }));
  return [{ pool: pool("p"), endpoints }];
}

function hostsOf(pools: readonly PoolEndpoints[] | undefined): readonly string[] | undefined {
  return pools?.[0]?.endpoints.map((endpoint) => endpoint.ip);
}

function rolling(taken: () => Promise<boolean> = () => Promise.resolve(true), dir = temporaryDir()) {
  const { log, lines } = logLines();
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
    log,
    apply: (pools) => {
      applied.push({ hosts: hostsOf(pools), inEnvoy: inEnvoy(), atMs: performance.now() });
      return taken();
    },
  });
  onTestFinished(() => rollout.stop());
  return { dir, rollout, applied, inEnvoy, lines };
}

describe("rollout", () => {
  test("what the objects say about models goes with the pool, also when only removals can be told", async () => {
    const models = { objectives: [{ name: "o", priority: 1 }], models: [], generic: undefined };
    const seen: (readonly PoolEndpoints[])[] = [];
    const dir = temporaryDir();
    const { log } = logLines();
    const xds = new XdsFiles({ dir, defaultPool: undefined, retryBufferBytes: 1 });
    const apply = (pools: readonly PoolEndpoints[]) => {
      seen.push(pools);
      return Promise.resolve(true);
    };
    const rollout = new Rollout({ xds, log, apply });
    onTestFinished(() => rollout.stop());
    rollout.start(withPods(1, 2).map((entry) => ({ ...entry, models })));
    await until("applied", () => seen.length === 1);
    rmSync(dir, { recursive: true });
    rollout.start(withPods(2, 3).map((entry) => ({ ...entry, models })));
    await until("applied as far as it can be", () => seen.length === 2);
    expect(seen.map((pools) => [hostsOf(pools), pools[0]?.models])).toEqual([
      [["10.0.0.1", "10.0.0.2"], models],
      [["10.0.0.2"], models],
    ]);
  });

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
    let take: (taken: boolean) => void = () => {};
    const taken = new Promise<boolean>((resolve) => {
      take = resolve;
    });
    const { rollout, applied, inEnvoy } = rolling(() => taken);
    rollout.start(withPods(1, 2));
    await until("applied", () => applied.length === 1);
    rollout.start(withPods(2, 3));
    await until("applied again", () => applied.length === 2);
    expect(applied[1]).toMatchObject({
      hosts: ["10.0.0.2", "10.0.0.3"],
      inEnvoy: ["10.0.0.2", "10.0.0.3", "10.0.0.1"],
    });
    const takenMs = performance.now();
    take(true);
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

  test("while the filter takes nothing the file keeps what it took last and does not grow", async () => {
    let settle: (taken: boolean) => void = () => {};
    const { rollout, applied, inEnvoy } = rolling(() => {
      if (applied.length === 1) return Promise.resolve(true);
      settle(false);
      return new Promise((resolve) => {
        settle = resolve;
      });
    });
    for (let i = 1; i <= 6; ++i) {
      rollout.start(withPods(i));
      await until("applied", () => applied.length === i);
    }
    for (const step of applied) expect(step.inEnvoy).toContain("10.0.0.1");
    expect(inEnvoy().length).toBeLessThanOrEqual(3);
    settle(true);
    await until("trimmed", () => inEnvoy().join() === "10.0.0.6");
  });

  test("while a file cannot be written who leaves is picked no more, and who is new waits", async () => {
    const { dir, rollout, applied, inEnvoy, lines } = rolling();
    rollout.start(withPods(1, 2));
    await until("applied", () => applied.length === 1);
    const obstacle = join(dir, "eds", "default.p.yaml.new");
    mkdirSync(obstacle);
    rollout.start(withPods(2, 3));
    await until("the removal", () => applied.length === 2);
    expect(applied[1]).toMatchObject({ hosts: ["10.0.0.2"], inEnvoy: ["10.0.0.1", "10.0.0.2"] });
    rollout.start(withPods(3));
    await until("the next removal", () => applied.length === 3);
    expect(applied[2]).toMatchObject({ hosts: [] });
    expect(lines).toMatchObject([{ level: "error", fields: { reason: expect.stringContaining(obstacle) } }]);
    rmSync(obstacle, { recursive: true });
    await until("the new one", () => applied.length === 4);
    expect(applied[3]).toMatchObject({ hosts: ["10.0.0.3"] });
    expect(applied[3]!.inEnvoy).toContain("10.0.0.3");
    await until("trimmed", () => inEnvoy().join() === "10.0.0.3");
  });

  test("what an earlier agent wrote stays until the filter has taken the first change", async () => {
    const { dir, rollout, applied } = rolling();
    rollout.start([...withPods(1, 2), { pool: pool("gone", "h2c"), endpoints: withPods(9)[0]!.endpoints }]);
    await until("applied", () => applied.length === 1);
    rollout.stop();
    let take: (taken: boolean) => void = () => {};
    const next = rolling(
      () =>
        new Promise((resolve) => {
          take = resolve;
        }),
      dir,
    );
    const gone = () => new XdsFiles({ dir, defaultPool: undefined, retryBufferBytes: 1 }).found()[1];
    const goneBefore = gone();
    expect(goneBefore).toMatchObject({ pool: { name: "gone" }, endpoints: [{ ip: "10.0.0.9" }] });
    next.rollout.start(withPods(2, 3));
    await until("applied", () => next.applied.length === 1);
    expect(next.inEnvoy()).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.1"]);
    expect(gone()).toEqual(goneBefore);
    take(true);
    await until("trimmed", () => next.inEnvoy().join() === "10.0.0.2,10.0.0.3");
    expect(gone()).toBeUndefined();
  });
});
