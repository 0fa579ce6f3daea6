// The document changes while requests come: what is new is in force within a second, what is broken
// changes nothing, and no request notices.

import { renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HEADER_SERVED } from "../../src/wire/names.ts";
import { eventually } from "./support/eventually.ts";
import { document, type Plugin, Schedule } from "./support/schedule.ts";

const IN_FORCE_MS_MAX = 1_000;
/** The best of so many counts: the machine is shared. */
const ROUNDS = 3;
/** A broken document has had its chance after so long. */
const GRACE_MS = 1_500;
/** When the machine is so busy that metrics are stale, a pick or two may be by chance. */
const IN_A_ROW = 8;

const BY_QUEUE: readonly Plugin[] = [{ type: "queue-scorer" }];
const BY_MEMORY: readonly Plugin[] = [{ type: "kv-cache-utilization-scorer" }];
/** The first server has the shorter queue, the second has more memory. */
const profile = (plugins: readonly Plugin[]) => document(plugins, { default: plugins });

let schedule: Schedule;

beforeAll(async () => {
  schedule = await Schedule.start();
  await schedule.write(profile(BY_QUEUE));
  await schedule.put([{ kvUsage: 0.9 }, { waiting: 9 }]);
  await schedule.expectPicks(0);
});

afterAll(() => schedule?.stop());

/** Milliseconds until the first of several picks in a row that go by a change. */
async function untilPicked(index: number, change: () => void): Promise<number> {
  const startedMs = performance.now();
  change();
  const statuses = new Set<number>();
  let sinceMs = 0;
  let count = 0;
  await eventually(
    async () => {
      const { status, headers } = await schedule.ask();
      statuses.add(status);
      count = headers[HEADER_SERVED] === schedule.servers[index]!.name ? count + 1 : 0;
      if (count === 1) sinceMs = performance.now();
      return count;
    },
    (inARow) => inARow === IN_A_ROW,
  );
  expect([...statuses]).toEqual([200]);
  return sinceMs - startedMs;
}

test("a changed document is in force within a second", async ({ annotate }) => {
  const tookMs: number[] = [];
  for (let round = 0; round < ROUNDS; ++round) {
    tookMs.push(await untilPicked(1, () => schedule.config.replace(profile(BY_MEMORY))));
    tookMs.push(await untilPicked(0, () => schedule.config.replace(profile(BY_QUEUE))));
  }
  await schedule.expectPicks(0);
  await annotate(`in force after, ms: ${tookMs.map(Math.round).join(", ")}`);
  expect(Math.min(...tookMs)).toBeLessThan(IN_FORCE_MS_MAX);
});

test.each([
  ["no YAML", "plugins: [", "config.yaml"],
  ["an unknown plugin", profile(BY_QUEUE).replaceAll("queue-scorer", "queue-scorrer"), "queue-scorer"],
  ["an unknown field", `${profile(BY_MEMORY)}plugin: []\n`, "plugin"],
  ["a profile with what is not there yet", profile([{ type: "latency-scorer" }]), "latency-scorer"],
  ["nothing at all", "", "config.yaml"],
])("%s: the old document stays in force, and the agent says why", async (_what, text, named) => {
  schedule.config.replace(profile(BY_QUEUE));
  await schedule.expectPicks(0);
  const told = schedule.gateway.lines.length;
  schedule.config.replace(text);
  const errors = await eventually(
    () => schedule.gateway.lines.slice(told).filter((line) => line.includes(named)),
    (lines) => lines.length > 0,
  );
  expect(errors.join("\n")).toContain("config.yaml");
  const untilMs = performance.now() + GRACE_MS;
  while (performance.now() < untilMs) {
    expect(await schedule.pick()).toBe(0);
    await sleep(50);
  }
  await untilPicked(1, () => schedule.config.replace(profile(BY_MEMORY)));
});

test("a file that another is renamed to", async () => {
  const { path } = schedule.config;
  for (const [index, plugins] of [BY_QUEUE, BY_MEMORY].entries()) {
    writeFileSync(`${path}.new`, profile(plugins));
    await untilPicked(index, () => renameSync(`${path}.new`, path));
  }
});
