// Five thousand requests wait, a thousand clients leave: nothing leaks, nobody is served twice, and every
// body arrives as it was sent.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CANCELLED } from "../../src/wire/report.ts";
import type { Received } from "./support/backend.ts";
import { chatOfBytes, sha256 } from "./support/bodies.ts";
import type { Answer, Call, Client, Opened } from "./support/client.ts";
import { CHAT, Queueing } from "./support/queueing.ts";

const PLACES = 16;
const WAITING = 5_000;
const LEAVING = 1_000;
const H1 = 500;
const TEST_ID = "x-test-id";
const LIMIT_MS = 30_000;
const GROWN_UP_MS = 1_100;
const HEARD_MS = 50;

let queueing: Queueing;

beforeEach(async () => {
  const flowControl = { defaultPriorityBand: { maxRequests: 10_000 } };
  queueing = await Queueing.start({ settings: { queues: true, maxConcurrency: PLACES, flowControl }, concurrency: 4 });
  await queueing.gateway.measured();
});

afterEach(async () => {
  await queueing?.stop();
});

interface Asked {
  readonly id: number;
  readonly body: Buffer;
  readonly opened: Opened;
  readonly answer: Promise<Answer | Error>;
}

/** Each by its own length and framing: a few bytes, several chunks, some of a quarter of a megabyte. */
function callOf(id: number): Call & { readonly body: Buffer } {
  const bytes = id % 100 === 0 ? 250_000 : 200 + (id % 7) * 700;
  const framing = id % 3 === 0 ? "chunked" : "length";
  const pieces = id % 2 === 0 ? { pieceBytes: Math.ceil(bytes / 3) } : {};
  return { path: CHAT, body: chatOfBytes(bytes), framing, headers: { [TEST_ID]: String(id) }, ...pieces };
}

function open(client: Client, id: number): Asked {
  const call = callOf(id);
  const opened = client.open(call);
  const answer = opened.live.then(whole).catch((error: Error) => error);
  return { id, body: call.body, opened, answer };
}

async function whole(live: Awaited<Opened["live"]>): Promise<Answer> {
  const pieces: Buffer[] = [];
  for await (const piece of live.body) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces);
  return { status: live.status, headers: live.headers, body, json: () => JSON.parse(body.toString()) };
}

test("5,000 wait, 1,000 leave, the others are served once and whole", async () => {
  const h2 = (await queueing.gateway.clientsByWorker(2)).flat();
  const h1 = queueing.gateway.client("h1");
  const ask = (n: number) => open(n % Math.ceil((PLACES + WAITING) / H1) === 0 ? h1 : h2[n % h2.length]!, n + 1);
  // Where all come at once, workers may fill the last places more than once before they hear of each other.
  const running = Array.from({ length: PLACES }, (_, n) => ask(n));
  await queueing.expectRunning(PLACES);
  await sleep(HEARD_MS);
  const asked = [...running, ...Array.from({ length: WAITING }, (_, n) => ask(PLACES + n))];
  await queueing.expectWaiting(WAITING, LIMIT_MS);
  await queueing.expectRunning(PLACES);
  const first = new Set(queueing.running.map(({ request }) => Number(request.headers[TEST_ID])));

  // From all connections alike, and not within their first second: Envoy closes a connection that does so.
  const left = new Set(asked.filter(({ id }) => !first.has(id) && id % 5 <= 1).slice(0, LEAVING));
  expect(left.size).toBe(LEAVING);
  await sleep(GROWN_UP_MS);
  for (const { opened } of left) opened.cut();
  await queueing.expectWaiting(WAITING - LEAVING, LIMIT_MS);
  await queueing.expectOutcomes(CANCELLED, LEAVING);

  const staying = asked.filter((one) => !left.has(one));
  const served: number[] = [];
  const done = Promise.all(staying.map(({ answer }) => answer));
  for (const exchange of queueing.running) served.push(Number(exchange.request.headers[TEST_ID]));
  queueing.onCome = ({ request }) => served.push(Number(request.headers[TEST_ID]));
  await queueing.answerAll(done);
  for (const { id, body, answer } of staying) {
    const came = await answer;
    if (came instanceof Error) throw new Error(`request ${id}: ${came.message}`);
    expect(came.status, `request ${id}: ${came.body}`).toBe(200);
    const received = came.json() as Received;
    expect([received.bytes, received.sha256], `request ${id}`).toEqual([body.length, sha256(body)]);
  }
  expect(served.toSorted((a, b) => a - b)).toEqual(staying.map(({ id }) => id));
  await queueing.expectEmpty(LIMIT_MS);
}, 180_000);
