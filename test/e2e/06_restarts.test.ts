// Either half can die: requests go on while the agent is away, and each side fills the other anew.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { HEADER_DESTINATION, HEADER_SERVED, STAT_PICKS } from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Client } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, POOL, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";

let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeAll(async () => {
  backends = await onOnePort(4, (listen) => Backend.start(listen));
});

beforeEach(async () => {
  gateway = await startGateway({ servers: backends.slice(0, 3) });
  await gateway.measured();
});

afterEach(async () => {
  await gateway?.stop();
});

afterAll(async () => {
  for (const backend of backends) await backend.stop();
});

/** Sends `count` requests, each of which must be answered by a server that the filter picked. */
async function allAreSteered(client: Client, count = 20): Promise<void> {
  for (let n = 0; n < count; ++n) {
    const answer = await client.call({ path: CHAT, body: chat() });
    expect(answer.status).toBe(200);
    const received = answer.json() as Received;
    expect(received.headers[HEADER_DESTINATION]?.[0]?.split(",")[0]).toBe(received.by);
  }
}

async function sentEpoch(): Promise<number> {
  return (await gateway.snapshot()).epochs.sent ?? 0;
}

test("the agent is killed: requests go on; started again, it catches up", async () => {
  const client = gateway.client();
  await allAreSteered(client);
  const epoch = await sentEpoch();
  await gateway.up.killAgent("SIGKILL");
  await allAreSteered(client, 200);
  gateway.objects.putPod({ name: "pod-4", ip: backends[3]!.address.host, pool: POOL });
  await allAreSteered(client);
  expect(backends[3]!.requests, "nobody has told the filter").toBe(0);

  await gateway.up.startAgent();
  await gateway.up.ready();
  await eventually(sentEpoch, (sent) => sent > epoch);
  await eventually(
    async () => (await client.call({ path: CHAT, body: chat() })).headers[HEADER_SERVED],
    (served) => served === backends[3]!.name,
  );
  const { workers, topologyEpoch } = await gateway.report();
  expect(topologyEpoch).toBe(await sentEpoch());
  expect(workers.some((worker) => worker.topologyEpoch === topologyEpoch)).toBe(true);
});

test("the agent is stopped and started again and again: no request notices", async () => {
  const client = gateway.client("h2");
  let going = true;
  const load = (async () => {
    while (going) {
      await allAreSteered(client, 1);
      await sleep(2);
    }
  })();
  for (const signal of ["SIGTERM", "SIGKILL", "SIGTERM"] as const) {
    await gateway.up.killAgent(signal);
    await gateway.up.startAgent();
    await gateway.up.ready();
  }
  going = false;
  await load;
});

test.each<NodeJS.Signals>(["SIGTERM", "SIGKILL"])("Envoy ends by %s: the agent fills the next one", async (signal) => {
  await allAreSteered(gateway.client());
  const epoch = await sentEpoch();
  await gateway.up.stopEnvoy(signal);
  await eventually(
    () => gateway.snapshot(),
    ({ epochs }) => epochs.applied === null,
  );
  await gateway.up.startEnvoy();
  await gateway.up.ready();
  await eventually(
    async () => (await gateway.report()).topologyEpoch,
    (found) => found >= epoch,
  );
  await gateway.measured();
  const client = gateway.client("h2");
  await allAreSteered(client);
  await gateway.counted(STAT_PICKS, { outcome: "scored", pool: `default/${POOL}` }, 20);
});
