// Requests end in every way there is. Each is released exactly once: at the end nothing is in flight,
// and the proxy's memory has not grown.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { STAT_IN_FLIGHT, STAT_PICKS, STAT_REQUESTS } from "../../src/wire/names.ts";
import { Backend, type Exchange } from "./support/backend.ts";
import { chat, chatOfBytes } from "./support/bodies.ts";
import type { Call, Client } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { residentBytes } from "./support/process-memory.ts";

const CHAT = "/v1/chat/completions";
const REQUESTS = 50_000;
/** By then every pool, buffer and table has been used once. */
const WARM_REQUESTS = 15_000;
/** What Envoy's own allocator may keep or give back from one moment to the next. */
const SLACK_BYTES = 24 * 1024 * 1024;
/** After so many requests a client drops its connections, with all that runs on them. */
const LEAVES_EVERY = 500;
const SEED = 20_261_120;

let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeAll(async () => {
  backends = await onOnePort(6, (listen) => Backend.start(listen, { handler }));
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

/** The request header x-end says how the server ends it. */
async function handler({ request, response, read, cut }: Exchange): Promise<void> {
  const end = request.headers["x-end"];
  if (end === "cut at once") return cut();
  await read();
  if (end === "cut unanswered") return cut();
  if (end === "slow") await sleep(3);
  if (end === "stream" || end === "cut within") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
    await sleep(2);
    if (end === "cut within") return cut();
  }
  response.statusCode = end === "error" ? 500 : end === "busy" ? 503 : 200;
  response.end("data: [DONE]\n\n");
}

/** A repeatable sequence of numbers from 0 to below 1 (mulberry32). */
function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Plan {
  readonly share: number;
  readonly call: Call;
  /** The client leaves so many ms after it began, at most. */
  readonly leavesWithinMs?: number;
  /** The client leaves after the answer has begun. */
  readonly leavesWithinAnswer?: boolean;
}

const body = chat();
const long = chatOfBytes(150_000);
const ending = (end: string) => ({ path: CHAT, body, headers: { "x-end": end } });

/** Ways for a request to go; shares are out of 100. */
const PLANS: readonly Plan[] = [
  { share: 45, call: { path: CHAT, body } },
  { share: 8, call: ending("stream") },
  { share: 2, call: { path: CHAT, body: long, framing: "chunked" } },
  { share: 3, call: { path: "/v1/models" } },
  { share: 3, call: { path: CHAT, body: "{" } },
  { share: 3, call: ending("error") },
  { share: 2, call: ending("busy") },
  { share: 3, call: ending("cut at once") },
  { share: 3, call: ending("cut unanswered") },
  { share: 4, call: ending("cut within") },
  { share: 8, call: ending("slow"), leavesWithinMs: 3 },
  { share: 4, call: { path: CHAT, body, isUnfinished: true }, leavesWithinMs: 2 },
  { share: 2, call: { path: CHAT, body: long, framing: "chunked", isUnfinished: true }, leavesWithinMs: 3 },
  { share: 10, call: ending("stream"), leavesWithinAnswer: true },
];

async function go(client: Client, plan: Plan, random: () => number): Promise<void> {
  const { live, cut } = client.open(plan.call);
  if (plan.leavesWithinMs !== undefined) {
    live.catch(() => {});
    await sleep(random() * plan.leavesWithinMs);
    cut();
    return;
  }
  const { body } = await live;
  if (plan.leavesWithinAnswer) {
    body.on("error", () => {});
    cut();
    return;
  }
  for await (const _piece of body);
}

/** Sends `count` requests of all plans over both protocols, many at once. */
async function send(count: number, random: () => number): Promise<void> {
  const clients = [...Array(4)].map(() => gateway.client("h2")).concat([...Array(2)].map(() => gateway.client("h1")));
  const deck = PLANS.flatMap((plan) => Array<Plan>(plan.share).fill(plan));
  expect(deck).toHaveLength(100);
  let left = count;
  const loops = Array.from({ length: 72 }, async (_, n) => {
    while (left-- > 0) {
      const plan = deck[Math.floor(random() * deck.length)]!;
      const client = clients[n % clients.length]!;
      if (left % LEAVES_EVERY === 0) client.close();
      // A client or a server that cuts makes an error here; which one does not matter.
      await go(client, plan, random).catch(() => {});
    }
  });
  await Promise.all(loops);
  for (const client of clients) client.close();
}

async function nothingInFlight(): Promise<void> {
  await eventually(
    () => gateway.inFlight(),
    (count) => count === 0,
  );
  await eventually(
    async () => (await gateway.statistics()).sum(STAT_IN_FLIGHT),
    (count) => count === 0,
  );
  await eventually(
    () => gateway.snapshot(),
    ({ pools }) => pools[0]!.endpoints.every(({ inFlight }) => inFlight === 0),
  );
}

test(`after ${REQUESTS} requests nothing is in flight and no memory is lost`, { timeout: 180_000 }, async ({
  annotate,
}) => {
  const random = randoms(SEED);
  const startedMs = performance.now();
  await send(WARM_REQUESTS, random);
  await nothingInFlight();
  const warmBytes = residentBytes(gateway.up.envoyPid());
  await send(REQUESTS - WARM_REQUESTS, random);
  await nothingInFlight();
  const grownBytes = residentBytes(gateway.up.envoyPid()) - warmBytes;
  const seconds = (performance.now() - startedMs) / 1000;
  await annotate(`${seconds.toFixed(1)} s; resident memory ${(grownBytes / 1024 / 1024).toFixed(1)} MiB more`);
  expect(grownBytes).toBeLessThan(SLACK_BYTES);

  const statistics = await gateway.statistics();
  const requests = statistics.sum(STAT_REQUESTS);
  expect(statistics.sum(STAT_PICKS), "each counted request has one outcome").toBe(requests);
  // Only what its client left before it was decided is not counted.
  expect(requests).toBeGreaterThan(REQUESTS * 0.85);
  expect(statistics.sum("envoy_wasm_pointsman_filter_vm_reload")).toBe(0);
  expect((await gateway.client().call({ path: CHAT, body })).status).toBe(200);
});
