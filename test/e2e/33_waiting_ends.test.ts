// How waiting ends without a place: by its time, by want of room, while the pool is empty, and when the proxy
// is about to end. Each with its status and reason, exactly once.

import { afterEach, describe, expect, test } from "vitest";
import {
  HEADER_DROPPED_REASON,
  PATH_DRAIN,
  REASON_SATURATED,
  REASON_SHUTTING_DOWN,
  REASON_TTL_EXPIRED,
} from "../../src/wire/names.ts";
import { EXPIRED, EXPIRED_EMPTY, REFUSED_FULL, SHUT_DOWN } from "../../src/wire/report.ts";
import type { Received } from "./support/backend.ts";
import type { Answer } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { POOL } from "./support/gateway.ts";
import { Queueing, type Settings } from "./support/queueing.ts";

const ONE_PLACE: Settings = { queues: true, maxConcurrency: 1 };
const PROTOCOLS = ["h1", "h2"] as const;

let queueing: Queueing;

afterEach(async () => {
  await queueing?.stop();
});

async function start(flowControl: object = {}): Promise<Queueing> {
  queueing = await Queueing.start({ settings: { ...ONE_PLACE, flowControl } });
  await queueing.gateway.measured();
  return queueing;
}

/** One request runs: the only place is taken. */
async function occupied(flowControl: object = {}): Promise<{ readonly running: Promise<Answer> }> {
  await start(flowControl);
  const running = queueing.ask(queueing.gateway.client("h1", 1));
  await queueing.expectRunning(1);
  return { running };
}

function expectDropped(answer: Answer, status: 429 | 503, code: string, reason: string): void {
  expectOpenAiError(answer, status, code);
  expect(answer.headers[HEADER_DROPPED_REASON]).toBe(reason);
  expect(Number(answer.headers["retry-after"])).toBeGreaterThanOrEqual(1);
  expect(Number(answer.headers["retry-after"])).toBeLessThanOrEqual(60);
}

/** The servers have seen no more than this, and nothing is left over. */
async function expectNothingElse(requests: number): Promise<void> {
  await queueing.answerOne();
  await queueing.expectEmpty();
  expect(queueing.servers.map((server) => server.requests)).toEqual([requests]);
}

describe("time runs out", () => {
  test.each(PROTOCOLS)("of the band, over %s: 429", async (protocol) => {
    const { running } = await occupied({ defaultRequestTTL: "1s" });
    const client = queueing.gateway.client(protocol);
    const sentMs = performance.now();
    const answers = await Promise.all(Array.from({ length: 5 }, () => queueing.ask(client)));
    const tookMs = performance.now() - sentMs;
    for (const answer of answers) expectDropped(answer, 429, "ttl_expired", REASON_TTL_EXPIRED);
    expect(tookMs).toBeGreaterThan(990);
    expect(tookMs).toBeLessThan(3_000);
    await queueing.expectOutcomes(EXPIRED, 5);
    await expectNothingElse(1);
    expect((await running).status).toBe(200);
  });

  test("of the request's own header, which can only shorten it", async () => {
    const { running } = await occupied({ defaultRequestTTL: "1s" });
    const client = queueing.gateway.client("h2");
    const sentMs = performance.now();
    const ask = (ttl: string) => queueing.ask(client, {}, { headers: { "x-llm-d-inference-ttl": ttl } });
    const took = async (answer: Promise<Answer>) => {
      expectDropped(await answer, 429, "ttl_expired", REASON_TTL_EXPIRED);
      return performance.now() - sentMs;
    };
    const [short, long] = await Promise.all([took(ask("200ms")), took(ask("30"))]);
    expect(short).toBeLessThan(900);
    expect(long).toBeGreaterThan(990);
    await expectNothingElse(1);
    expect((await running).status).toBe(200);
  });
});

test.each([
  ["of a band", { defaultPriorityBand: { maxRequests: 3 } }],
  ["of all bands", { maxRequests: 3 }],
])("no room within the limit %s: 429 at once", async (_, limits) => {
  const { running } = await occupied(limits);
  const client = queueing.gateway.client("h2");
  const waiting = Array.from({ length: 3 }, () => queueing.ask(client));
  await queueing.expectWaiting(3);
  expectDropped(await queueing.ask(client), 429, "saturated", REASON_SATURATED);
  await queueing.expectOutcomes(REFUSED_FULL, 1);
  await queueing.answerAll(Promise.all([running, ...waiting]));
  for (const answer of await Promise.all([running, ...waiting])) expect(answer.status).toBe(200);
  await queueing.expectEmpty();
  expect(queueing.servers[0]!.requests).toBe(4);
});

describe("the pool is empty", () => {
  async function emptied(flowControl: object): Promise<void> {
    await start(flowControl);
    await queueing.inForce(() => putPod(false));
  }

  function putPod(ready: boolean): void {
    const ip = queueing.servers[0]!.address.host;
    queueing.gateway.objects.putPod({ name: "pod-1", ip, pool: POOL, ready });
  }

  test("requests wait until its first pod is ready", async () => {
    await emptied({ noEndpointRequestTTL: "20s" });
    const clients = PROTOCOLS.map((protocol) => queueing.gateway.client(protocol));
    const waiting = clients.map((client) => queueing.ask(client));
    await queueing.expectWaiting(2);
    await queueing.inForce(() => putPod(true));
    await queueing.answerAll(Promise.all(waiting));
    for (const answer of await Promise.all(waiting)) {
      expect((answer.json() as Received).by).toBe(queueing.servers[0]!.name);
    }
    await queueing.expectEmpty();
  });

  test("when their time for that has run out: 503", async () => {
    await emptied({ noEndpointRequestTTL: "500ms" });
    const client = queueing.gateway.client("h2");
    const answers = await Promise.all(Array.from({ length: 3 }, () => queueing.ask(client)));
    for (const answer of answers) expectDropped(answer, 503, "ttl_expired", REASON_TTL_EXPIRED);
    await queueing.expectOutcomes(EXPIRED_EMPTY, 3);
    await queueing.expectEmpty();
    expect(queueing.servers[0]!.requests).toBe(0);
  });
});

test("the proxy is about to end: 503 for all that waits and would have to wait, what runs goes on", async () => {
  const { running } = await occupied();
  const clients = PROTOCOLS.map((protocol) => queueing.gateway.client(protocol));
  const waiting = clients.flatMap((client) => Array.from({ length: 5 }, () => queueing.ask(client)));
  await queueing.expectWaiting(10);
  expect((await queueing.gateway.control("PUT", PATH_DRAIN)).status).toBe(200);
  for (const answer of await Promise.all(waiting)) expectDropped(answer, 503, "shutting_down", REASON_SHUTTING_DOWN);
  await queueing.expectOutcomes(SHUT_DOWN, 10);
  expectDropped(await queueing.ask(clients[0]!), 503, "shutting_down", REASON_SHUTTING_DOWN);
  expect((await queueing.gateway.control("DELETE", PATH_DRAIN)).status).toBe(200);
  await expectNothingElse(1);
  expect((await running).status).toBe(200);
});
