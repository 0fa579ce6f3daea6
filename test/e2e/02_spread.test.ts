// Where requests go: to the server that can begin soonest, and evenly when all can.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatAddress } from "../../src/envoy/address.ts";
import { type Sim, startSim } from "../../src/sim/server.ts";
import { HEADER_SERVED, STAT_PICKS } from "../../src/wire/names.ts";
import { Backend, type Exchange } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import { Client, type Protocol } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";

function countBy(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

describe("one of four servers is idle, the others have a queue", () => {
  let sims: readonly Sim[] = [];
  let gateway: Gateway;
  const direct: Client[] = [];

  beforeAll(async () => {
    // One slot each, so that a second request waits; quick when idle; memory is not what is short.
    const options = { maxRunning: 1, decodeTokensPerS: 1_000, blocks: 1_000_000 };
    const start = (listen: Sim["address"]) => startSim({ listen, ...options });
    sims = await onOnePort(4, start);
    for (const sim of sims.slice(1)) {
      const client = new Client(sim.address);
      direct.push(client);
      for (let n = 0; n < 5; ++n) {
        client.call({ path: CHAT, body: chat({ model: "sim", max_tokens: 100_000 }) }).catch(() => {});
      }
    }
    await eventually(
      () => sims.map((sim) => sim.stats().waiting),
      (waiting) => waiting.slice(1).every((n) => n === 4),
    );
    gateway = await startGateway({ servers: sims });
    await gateway.measured();
  });

  afterAll(async () => {
    for (const client of direct) client.close();
    await gateway?.stop();
    for (const sim of sims) await sim.stop();
  });

  const idle = () => formatAddress(sims[0]!.address);
  const ask = (client: Client, tokens: number) =>
    client.call({ path: CHAT, body: chat({ model: "sim", max_tokens: tokens }) });

  test.each<Protocol>(["h1", "h2"])("95 of 100 requests one after another go to the idle one, %s", async (protocol) => {
    const client = gateway.client(protocol);
    const served: unknown[] = [];
    for (let n = 0; n < 100; ++n) served.push((await ask(client, 1)).headers[HEADER_SERVED]);
    expect(served.filter((name) => name === idle()).length).toBeGreaterThanOrEqual(95);
  });

  test("requests that stay go to the idle one until it is as busy as the others", async () => {
    const client = gateway.client("h1");
    const before = sims.map((sim) => sim.stats().received);
    const received = () => sims.map((sim, n) => sim.stats().received - before[n]!);
    const answers: Promise<unknown>[] = [];
    let counts = received();
    for (let sent = 1; sent <= 100 && counts.slice(1).every((count) => count === 0); ++sent) {
      answers.push(ask(client, 5_000).catch(() => {}));
      counts = await eventually(received, (all) => all.reduce((sum, count) => sum + count, 0) === sent);
      await sleep(5);
    }
    expect(counts[0]).toBeGreaterThanOrEqual(3);
    expect(Math.max(...counts.slice(1)), "others are used at last").toBe(1);
    client.close();
    await Promise.all(answers);
  });
});

describe("200 requests at one instant over four idle servers", () => {
  const REQUESTS = 200;
  let backends: readonly Backend[] = [];
  let gateway: Gateway;
  let held: Exchange[] = [];

  beforeAll(async () => {
    // Nothing is answered before all is there: no request ends in between.
    const handler = async (exchange: Exchange) => {
      await exchange.read();
      held.push(exchange);
      if (held.length < REQUESTS) return;
      for (const { response, backend } of held.splice(0)) response.end(backend.name);
    };
    // Every scrape says the same: nothing but what is in flight tells the servers apart.
    backends = await onOnePort(4, (listen) => Backend.start(listen, { handler }));
    gateway = await startGateway({ servers: backends });
    await gateway.measured();
  });

  afterAll(async () => {
    await gateway?.stop();
    for (const backend of backends) await backend.stop();
  });

  /** Connections that are open and idle, so that the requests leave together. */
  async function warm(clients: readonly Client[]): Promise<void> {
    await Promise.all(clients.map((client) => client.call({ path: CHAT, body: "no json" })));
  }

  test.each<readonly [Protocol, number]>([
    ["h1", 200],
    ["h2", 8],
  ])("are spread 50 ± 5 each, %s over %i connections", async (protocol, connections) => {
    const clients = Array.from({ length: connections }, () => gateway.client(protocol, 1));
    await warm(clients);
    const byWorker = await gateway.connectionsByWorker();
    expect(
      byWorker.map((count) => count > 0),
      "both workers take part",
    ).toEqual([true, true]);
    held = [];
    const calls = Array.from({ length: REQUESTS }, (_, n) =>
      clients[n % connections]!.call({ path: CHAT, body: chat() }),
    );
    const answers = await Promise.all(calls);
    const counts = countBy(answers.map((answer) => answer.body.toString()));
    expect(counts.size).toBe(4);
    await gateway.counted(STAT_PICKS, { outcome: "degraded" }, 0);
    for (const [name, count] of counts) expect(Math.abs(count - 50), `${name}: ${count}`).toBeLessThanOrEqual(5);
    for (const client of clients) client.close();
    await eventually(
      () => gateway.inFlight(),
      (count) => count === 0,
    );
  });

  test("what one worker has in flight the other knows", async () => {
    const [[first], [second]] = (await gateway.clientsByWorker()) as [[Client], [Client]];
    const base = await gateway.inFlight();
    const calls: Promise<unknown>[] = [];
    held = [];
    // In turns: each goes to one of the servers that have the fewest of both workers together.
    for (let sent = 1; sent <= 16; ++sent) {
      calls.push((sent % 2 === 0 ? first : second).call({ path: CHAT, body: chat() }));
      await eventually(
        () => gateway.inFlight(),
        (count) => count === base + sent,
      );
      await eventually(
        () => held.length,
        (count) => count === sent,
      );
      const counts = backends.map((backend) => held.filter((exchange) => exchange.backend === backend).length);
      expect(Math.max(...counts) - Math.min(...counts), counts.join()).toBeLessThanOrEqual(1);
    }
    for (const { response } of held.splice(0)) response.end();
    await Promise.all(calls);
  });
});
