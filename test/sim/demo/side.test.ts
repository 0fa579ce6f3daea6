import { afterEach, expect, test } from "vitest";
import { startLoad } from "../../../src/demo/load.ts";
import { Side } from "../../../src/demo/side.ts";
import { Workload } from "../../../src/demo/workload.ts";
import { type Sim, type SimOptions, startSim } from "../../../src/sim/server.ts";
import { until } from "../calls.ts";

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: SimOptions): Promise<{ sim: Sim; side: Side }> {
  const sim = await startSim(options);
  undo.push(() => sim.stop());
  const side = new Side(sim.address, "x-sim-name");
  undo.push(() => side.stop());
  return { sim, side };
}

function ask(fields: Readonly<Record<string, unknown>> = {}) {
  const body = { messages: [{ role: "user", content: "a".repeat(400) }], max_tokens: 4, stream: true, ...fields };
  return { kind: "chat" as const, path: "/v1/chat/completions", body: JSON.stringify(body) };
}

test("time to first token is that of the first data, not of the headers or the end", async () => {
  // 107 tokens of prompt: 107 ms; then three more tokens: 300 ms.
  const { sim, side } = await start({ prefillTokensPerS: 1_000, decodeTokensPerS: 10 });
  side.send(ask());
  await until(() => side.finished === 1);
  expect(side.firstToken.mean()).toBeGreaterThanOrEqual(106);
  expect(side.firstToken.mean()).toBeLessThan(400);
  const count = side.endpoints.get(sim.name);
  expect(count).toMatchObject({ picks: 1, inFlight: 0 });
  expect(count?.firstToken.count).toBe(1);
  expect(side).toMatchObject({ sent: 1, waiting: 0, failed: 0 });
});

test("what waits, runs, fails and is left is told apart", async () => {
  const { sim, side } = await start({ maxRunning: 1, decodeTokensPerS: 1 });
  side.send(ask());
  side.send(ask());
  await until(() => side.firstToken.count === 1);
  expect(side).toMatchObject({ sent: 2, waiting: 1, finished: 0 });
  expect(side.endpoints.get(sim.name)?.inFlight).toBe(2);
  side.send(ask({ model: "nope" }));
  await until(() => side.failed === 1);
  await sim.setFailure({ refuse: true });
  side.send(ask());
  await until(() => side.failed === 2);
  side.stop();
  await until(() => sim.stats().running === 0);
  expect(side).toMatchObject({ sent: 4, waiting: 1, finished: 0, failed: 2, gaveUp: 0 });
  expect(side.endpoints.get(sim.name)?.inFlight).toBe(0);
});

test("both sides get the same requests, and a slow one does not hold the other back", async () => {
  const fast = await start({ model: "m", prefillTokensPerS: 1e9, decodeTokensPerS: 1e9 });
  const slow = await start({ model: "m", maxRunning: 1, prefillTokensPerS: 10 });
  const stop = startLoad(new Workload("m", 1), 500, [fast.side, slow.side]);
  undo.push(stop);
  await until(() => fast.side.finished >= 50);
  expect(slow.side.sent).toBe(fast.side.sent);
  expect(slow.side.finished).toBeLessThan(5);
  stop();
});
