// What waits while the rules change goes on under the new ones, and none is lost. What waits on a worker whose
// VM traps is ended by the route's idle timeout, while others go on.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Answer, Client } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { eventually } from "./support/eventually.ts";
import { type BuiltFilter, buildFilterWithHooks } from "./support/filter-with-hooks.ts";
import { POOL } from "./support/gateway.ts";
import { CHAT, cameOf, Queueing, type Settings } from "./support/queueing.ts";

const ONE_PLACE: Settings = { queues: true, maxConcurrency: 1 };
/** Counts are to be right within a second; what is asserted is three times that. */
const RIGHT_WITHIN_MS = 3_000;

let queueing: Queueing;

afterEach(async () => {
  await queueing?.stop();
});

/** `count` wait for one place that is taken, over both protocols. */
async function waiting(count: number): Promise<readonly Promise<Answer>[]> {
  queueing = await Queueing.start({ settings: ONE_PLACE });
  await queueing.gateway.measured();
  const running = queueing.ask(queueing.gateway.client("h1", 1));
  await queueing.expectRunning(1);
  const clients = (["h1", "h2"] as const).map((protocol) => queueing.gateway.client(protocol));
  const asked = Array.from({ length: count }, (_, n) => queueing.ask(clients[n % 2]!));
  await queueing.expectWaiting(count);
  return [running, ...asked];
}

async function expectAllServed(answers: readonly Promise<Answer>[]): Promise<void> {
  const all = Promise.all(answers);
  await queueing.answerAll(all);
  for (const answer of await all) expect(answer.status).toBe(200);
  expect(queueing.servers.reduce((sum, server) => sum + server.requests, 0)).toBe(answers.length);
  await queueing.expectEmpty();
}

describe("while requests wait", () => {
  test("more places: so many go on at once", async () => {
    const asked = await waiting(20);
    await queueing.use({ ...ONE_PLACE, maxConcurrency: 5 });
    await queueing.expectRunning(5);
    await queueing.expectWaiting(16);
    await expectAllServed(asked);
  });

  test("the gate is turned off: all go on", async () => {
    const asked = await waiting(20);
    await queueing.use({ ...ONE_PLACE, queues: false });
    await queueing.expectRunning(21);
    await queueing.expectWaiting(0);
    await expectAllServed(asked);
  });

  test("their time is made shorter: it counts from when they came", async () => {
    const asked = await waiting(6);
    await sleep(1_000);
    await queueing.use({ ...ONE_PLACE, flowControl: { defaultRequestTTL: "1s" } });
    await queueing.expectWaiting(0, RIGHT_WITHIN_MS);
    const [running, ...others] = asked;
    for (const answer of await Promise.all(others)) expectOpenAiError(answer, 429, "ttl_expired");
    await queueing.answerOne();
    expect((await running!).status).toBe(200);
  });

  test("limits below what waits: nobody is turned away who waits already", async () => {
    const asked = await waiting(20);
    await queueing.use({ ...ONE_PLACE, flowControl: { maxRequests: 5, defaultPriorityBand: { maxRequests: 2 } } });
    await queueing.expectWaiting(20);
    await expectAllServed(asked);
  });

  test("a pod comes, and the first one goes: the new one serves", async () => {
    const asked = await waiting(6);
    const [server] = queueing.servers;
    const pod = { name: "pod-1", ip: server!.address.host, pool: POOL };
    await queueing.inForce(() => queueing.gateway.objects.putPod({ ...pod, ready: false }));
    await queueing.expectWaiting(6);
    await queueing.inForce(() => queueing.gateway.objects.putPod({ ...pod, name: "pod-2" }));
    await expectAllServed(asked);
  });

  test("the order of priorities is turned round: the next place goes to what is first now", async () => {
    queueing = await Queueing.start({ settings: ONE_PLACE });
    await queueing.gateway.measured();
    const client = queueing.gateway.client("h2");
    const asked = [queueing.ask(client)];
    await queueing.expectRunning(1);
    const ask = (objective: "critical" | "sheddable") => {
      asked.push(queueing.ask(client, { objective }, { headers: { "x-test-id": objective } }));
    };
    ask("critical");
    ask("sheddable");
    await queueing.expectWaiting(2);
    await queueing.inForce(() => queueing.putObjective("sheddable", 20));
    await queueing.answerOne();
    await queueing.expectRunning(1);
    expect(queueing.running[0]!.request.headers["x-test-id"]).toBe("sheddable");
    await expectAllServed(asked);
  });
});

describe("a trap while requests wait on both workers", () => {
  const TTL_S = 2;
  /** The route's idle timeout while queueing is on: the longest time of waiting and 5 s. */
  const IDLE_MS = (TTL_S + 5) * 1_000;
  const WAITING = 5;
  let filter: BuiltFilter;

  beforeAll(async () => {
    filter = await buildFilterWithHooks();
  });

  afterAll(() => filter?.remove());

  test("those of that worker end by the idle timeout, the others go on, counts are right", async () => {
    const flowControl = { defaultRequestTTL: `${TTL_S}s` };
    queueing = await Queueing.start({
      settings: { ...ONE_PLACE, flowControl },
      filterPath: filter.path,
      concurrency: 2,
    });
    await queueing.gateway.measured();
    const [[poisoned, lost], [kept]] = (await queueing.gateway.clientsByWorker(2)) as [
      readonly [Client, Client],
      readonly [Client, Client],
    ];
    await sleep(200);
    const running = queueing.ask(kept);
    await queueing.expectRunning(1);
    const askedMs = performance.now();
    const ask = (client: Client) => Array.from({ length: WAITING }, () => cameOf(queueing.ask(client)));
    const [losing, keeping] = [ask(lost), ask(kept)];
    await queueing.expectWaiting(2 * WAITING);

    const body = '{"model":"m","messages":[]}';
    await poisoned.call({ path: CHAT, body, headers: { "x-pointsman-test-trap": "headers" } }).catch(() => {});
    await queueing.answerAll(Promise.all([running, ...keeping]));
    expect((await running).status).toBe(200);
    expect((await Promise.all(keeping)).map(statusOf)).toEqual(keeping.map(() => 200));
    await queueing.expectEmpty(RIGHT_WITHIN_MS);

    const ended = await Promise.all(losing);
    const tookMs = performance.now() - askedMs;
    for (const came of ended) expectTimeout(came);
    expect(tookMs).toBeGreaterThan(IDLE_MS - 500);
    expect(tookMs).toBeLessThan(IDLE_MS * 3);
    // The worker is well again.
    await eventually(
      async () => {
        const again = queueing.ask(poisoned);
        await queueing.answerAll(again);
        return (await again).status;
      },
      (status) => status === 200,
    );
    await queueing.expectEmpty(RIGHT_WITHIN_MS);
  }, 60_000);

  function statusOf(came: Answer | Error): number | string {
    return came instanceof Error ? came.message : came.status;
  }

  function expectTimeout(came: Answer | Error): void {
    if (came instanceof Error) throw came;
    expectOpenAiError(came, came.status);
    // 503: the reply to the timeout comes to the lost VM too, and Envoy puts its own in its place.
    expect([408, 503, 504]).toContain(came.status);
  }
});
