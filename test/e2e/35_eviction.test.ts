// Sheddable work that runs makes room for more urgent work that waits: it is told so if its response has not
// begun, and is cut off after that.

import { afterEach, beforeEach, expect, test } from "vitest";
import { HEADER_DROPPED_REASON, REASON_EVICTED } from "../../src/wire/names.ts";
import { EVICTED } from "../../src/wire/report.ts";
import { chat } from "./support/bodies.ts";
import type { Client, Live } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { CHAT, Queueing, wishes } from "./support/queueing.ts";

const PROTOCOLS = ["h1", "h2"] as const;

let queueing: Queueing;

beforeEach(async () => {
  queueing = await Queueing.start({
    settings: { queues: true, maxConcurrency: 1, flowControl: { enableEviction: true } },
    concurrency: 2,
  });
  await queueing.gateway.measured();
});

afterEach(async () => {
  await queueing?.stop();
});

/** The server has the critical request, answers it, and then nothing is left. */
async function expectServed(critical: ReturnType<Queueing["ask"]>): Promise<void> {
  await queueing.answerAll(critical);
  expect((await critical).status).toBe(200);
  await queueing.expectEmpty();
}

test.each(PROTOCOLS)("before its response has begun, over %s: 429", async (protocol) => {
  const sheddable = queueing.ask(queueing.gateway.client(protocol), { objective: "sheddable" });
  await queueing.expectRunning(1);
  const critical = queueing.ask(queueing.gateway.client(protocol), { objective: "critical" });
  const answer = await sheddable;
  expectOpenAiError(answer, 429, "evicted");
  expect(answer.headers[HEADER_DROPPED_REASON]).toBe(REASON_EVICTED);
  expect(answer.headers["retry-after"]).toMatch(/^\d+$/);
  await queueing.expectOutcomes(EVICTED, 1);
  await expectServed(critical);
});

test.each(PROTOCOLS)("after its response has begun, over %s: cut off", async (protocol) => {
  const live = await beginStream(queueing.gateway.client(protocol));
  const critical = queueing.ask(queueing.gateway.client(protocol), { objective: "critical" });
  await expect(textOf(live)).rejects.toThrow();
  await queueing.expectOutcomes(EVICTED, 1);
  await expectServed(critical);
});

test("work that is not sheddable is left alone, and sheddable work does not evict", async () => {
  const client = queueing.gateway.client("h2");
  const standard = queueing.ask(client, { objective: "standard" });
  await queueing.expectRunning(1);
  const critical = queueing.ask(client, { objective: "critical" });
  const sheddable = queueing.ask(client, { objective: "sheddable" });
  await queueing.expectWaiting(2);
  await queueing.answerAll(Promise.all([standard, critical, sheddable]));
  for (const answer of [standard, critical, sheddable]) expect((await answer).status).toBe(200);
  await queueing.expectOutcomes(EVICTED, 0);
});

async function beginStream(client: Client): Promise<Live> {
  const body = chat({ stream: true });
  const begun = client.begin({ path: CHAT, body, headers: wishes({ objective: "sheddable" }) });
  await queueing.expectRunning(1);
  const [exchange] = queueing.running;
  await exchange!.read();
  exchange!.response.writeHead(200, { "content-type": "text/event-stream" });
  exchange!.response.write("data: 1\n\n");
  return begun;
}

async function textOf({ body }: Live): Promise<string> {
  let text = "";
  for await (const piece of body) text += String(piece);
  return text;
}
