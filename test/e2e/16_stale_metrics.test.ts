// Metrics grow old: a server that goes silent gains nothing by it, and when all are silent the filter
// goes by what it knows itself.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { HEADER_SERVED, STAT_PICKS } from "../../src/wire/names.ts";
import { Backend } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Client } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";

let backends: readonly Backend[] = [];
let gateway: Gateway;
let client: Client;

beforeAll(async () => {
  // All have work, so they are scraped every 50 ms; the first has no queue.
  backends = await onOnePort(3, (listen, index) =>
    Backend.start(listen, { load: { waiting: index === 0 ? 0 : 5, running: 1, kvUsage: 0 } }),
  );
});

beforeEach(async () => {
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
  client = gateway.client("h1", 1);
});

afterEach(async () => {
  for (const backend of backends) backend.isSilent = false;
  await gateway?.stop();
});

afterAll(async () => {
  for (const backend of backends) await backend.stop();
});

/** Of 60 requests one after another, how many each server gets. */
async function shares(): Promise<readonly number[]> {
  const served: unknown[] = [];
  for (let n = 0; n < 60; ++n) served.push((await client.call({ path: CHAT, body: chat() })).headers[HEADER_SERVED]);
  return backends.map(({ name }) => served.filter((by) => by === name).length);
}

async function picks(outcome: string): Promise<number> {
  return (await gateway.statistics()).sum(STAT_PICKS, { outcome });
}

test("the agent is gone: picks are by what is in flight; it is back: by metrics again", async () => {
  expect(await shares()).toEqual([60, 0, 0]);
  expect(await picks("degraded")).toBe(0);
  await gateway.up.killAgent();
  await eventually(
    async () => {
      expect((await client.call({ path: CHAT, body: chat() })).status).toBe(200);
      return picks("degraded");
    },
    (count) => count > 0,
  );
  const before = { scored: await picks("scored"), degraded: await picks("degraded") };
  for (const count of await shares()) expect(count).toBeGreaterThan(5);
  await gateway.counted(STAT_PICKS, { outcome: "scored" }, before.scored);
  expect(await picks("degraded")).toBeGreaterThan(before.degraded);
  await gateway.up.startAgent();
  await gateway.up.ready();
  await gateway.measured();
  expect(await shares()).toEqual([60, 0, 0]);
});

test("the best server stops answering scrapes: it is judged as no better than the others", async () => {
  expect(await shares()).toEqual([60, 0, 0]);
  backends[0]!.isSilent = true;
  await eventually(shares, (counts) => counts.every((count) => count > 5));
  expect(await picks("degraded"), "the others are fresh").toBe(0);
});
