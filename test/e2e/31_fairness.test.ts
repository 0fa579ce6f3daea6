// Two tenants of equal priority share the servers, although one sends ten times what the other does.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { Backend, echo } from "./support/backend.ts";
import type { Client } from "./support/client.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { Queueing } from "./support/queueing.ts";

const SERVERS = 2;
const PLACES = 4;
const SERVICE_MS = 20;
/** Requests that each tenant always has under way: both would fill the places alone. */
const SMALL = 24;
const BIG = 240;
const SECONDS = 4;
/** Half, give or take a tenth of it. */
const FAIR_SHARE = 0.5 * 0.9;

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(concurrency: number): Promise<Queueing> {
  const handler: typeof echo = async (exchange) => {
    await sleep(SERVICE_MS);
    await echo(exchange);
  };
  const servers = await onOnePort(SERVERS, (listen) => Backend.start(listen, { handler }));
  undo.push(() => Promise.all(servers.map((server) => server.stop())));
  const queueing = await Queueing.start({ settings: { queues: true, maxConcurrency: PLACES }, servers, concurrency });
  undo.push(() => queueing.stop());
  await queueing.gateway.measured();
  return queueing;
}

/** Keeps `count` requests of a tenant under way until the time is over; resolves to how many were served. */
async function keepAsking(
  queueing: Queueing,
  clients: readonly Client[],
  flow: string,
  count: number,
): Promise<number> {
  const endMs = performance.now() + SECONDS * 1_000;
  let served = 0;
  const ask = async (client: Client) => {
    while (performance.now() < endMs) {
      const { status } = await queueing.ask(client, { flow });
      expect(status).toBe(200);
      // What was still under way at the end says nothing of the shares.
      if (performance.now() < endMs) served += 1;
    }
  };
  await Promise.all(Array.from({ length: count }, (_, n) => ask(clients[n % clients.length]!)));
  return served;
}

test.each([
  ["two workers, both tenants on both", 2, 2],
  ["two workers, the small tenant on one", 2, 1],
  ["four workers, both tenants on all", 4, 4],
  ["four workers, the small tenant on one", 4, 1],
])(
  "%s: the small tenant gets its share",
  async (_, workers, smallWorkers) => {
    const queueing = await start(workers);
    const clients = (await queueing.gateway.clientsByWorker()).map(([client]) => client!);
    await Promise.all(clients.map((client) => queueing.ask(client)));
    await queueing.gateway.joined(workers);
    const [small, big] = await Promise.all([
      keepAsking(queueing, clients.slice(0, smallWorkers), "small", SMALL),
      keepAsking(queueing, clients, "big", BIG),
    ]);
    const found = `small ${small}, big ${big} in ${SECONDS} s`;
    expect(small / (small + big), found).toBeGreaterThan(FAIR_SHARE);
    expect(small / (small + big), found).toBeLessThan(1 - FAIR_SHARE);
    // Places are not left empty for fairness' sake: half of what the servers can do, on a busy machine.
    expect(small + big, found).toBeGreaterThan((0.5 * SERVERS * PLACES * SECONDS * 1_000) / SERVICE_MS);
    await queueing.expectEmpty();
  },
  60_000,
);
