// A trap of the filter costs the streams that are live on that worker and no more. The build under
// test traps on demand: the request header x-pointsman-test-trap names the callback.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { HEADER_DESTINATION, STAT_IN_FLIGHT } from "../../src/wire/names.ts";
import { Backend, type Exchange, echo, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Call, Client, Live } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type BuiltFilter, buildFilterWithHooks } from "./support/filter-with-hooks.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { residentBytes } from "./support/process-memory.ts";

const CHAT = "/v1/chat/completions";
const EVENTS = "/v1/completions";
/** In-flight counts are to be right within a second; what is asserted is three times that. */
const RIGHT_WITHIN_MS = 3_000;
/** A VM that traps right after it was loaded is loaded again only after Envoy's backoff, 50 ms at first. */
const GROWN_UP_MS = 200;
const STREAMS_PER_WORKER = 3;
const CALLBACKS = ["headers", "body", "response"] as const;

let filter: BuiltFilter;
let backends: readonly Backend[] = [];
let gateway: Gateway;
let open: Exchange[] = [];

beforeAll(async () => {
  filter = await buildFilterWithHooks();
  // Completions are streams that go on until the test ends them; the rest is echoed.
  const handler = async (exchange: Exchange) => {
    if (exchange.request.url !== EVENTS) return echo(exchange);
    await exchange.read();
    exchange.response.writeHead(200, { "content-type": "text/event-stream" });
    exchange.response.write("data: 1\n\n");
    open.push(exchange);
  };
  backends = await onOnePort(4, (listen) => Backend.start(listen, { handler }));
});

beforeEach(async () => {
  open = [];
  gateway = await startGateway({ servers: backends, filterPath: filter.path });
  await gateway.measured();
  await sleep(GROWN_UP_MS);
});

afterEach(async () => {
  await gateway?.stop();
});

afterAll(async () => {
  for (const backend of backends) await backend.stop();
  filter?.remove();
});

function poison(callback: (typeof CALLBACKS)[number]): Call {
  return { path: CHAT, body: chat(), headers: { "x-pointsman-test-trap": callback } };
}

/** Sends a request that traps; whatever the client gets, it must get something. */
async function trap(client: Client, callback: (typeof CALLBACKS)[number]): Promise<void> {
  await client.call(poison(callback)).catch(() => {});
}

async function expectSteered(client: Client): Promise<void> {
  const answer = await client.call({ path: CHAT, body: chat() });
  expect(answer.status).toBe(200);
  const received = answer.json() as Received;
  expect(received.headers[HEADER_DESTINATION]?.[0]?.split(",")[0]).toBe(received.by);
}

interface Stream {
  /** Resolves to what it got: everything, or only what came before it was cut. */
  readonly end: Promise<"whole" | "cut">;
}

async function openStream(client: Client): Promise<Stream> {
  const live = await client.begin({ path: EVENTS, body: chat({ stream: true }) });
  expect(live.status).toBe(200);
  return { end: endOf(live) };
}

async function endOf({ body }: Live): Promise<"whole" | "cut"> {
  let text = "";
  try {
    for await (const piece of body) text += String(piece);
  } catch {
    return "cut";
  }
  return text.endsWith("data: [DONE]\n\n") ? "whole" : "cut";
}

/** An event on every stream: Envoy tells those that ran on a trapped VM from the others. */
function sendEvents(text: string): void {
  for (const { response } of open) response.write(text);
}

function endStreams(): void {
  for (const { response } of open) response.end("data: [DONE]\n\n");
}

async function vmReloads(): Promise<number> {
  return (await gateway.statistics()).sum("envoy_wasm_pointsman_filter_vm_reload_success");
}

describe.each(CALLBACKS)("a trap in the %s callback", (callback) => {
  test("cuts the streams of that worker, not those of the other; the next request is picked", async () => {
    const clients = await gateway.clientsByWorker(STREAMS_PER_WORKER + 1);
    const [poisoned, other] = clients.map(([client]) => client!);
    const openOn = (worker: number) => Promise.all(clients[worker]!.slice(1).map(openStream));
    const [cut, kept] = [await openOn(0), await openOn(1)];
    await eventually(
      () => gateway.inFlight(),
      (count) => count === 2 * STREAMS_PER_WORKER,
    );

    await trap(poisoned!, callback);
    await expectSteered(poisoned!);
    await expectSteered(other!);
    expect(await vmReloads()).toBe(1);

    sendEvents("data: 2\n\n");
    expect(await Promise.all(cut.map(({ end }) => end))).toEqual(cut.map(() => "cut"));
    await eventually(
      () => gateway.inFlight(),
      (count) => count === STREAMS_PER_WORKER,
      RIGHT_WITHIN_MS,
    );
    endStreams();
    expect(await Promise.all(kept.map(({ end }) => end))).toEqual(kept.map(() => "whole"));
    await eventually(
      () => gateway.inFlight(),
      (count) => count === 0,
      RIGHT_WITHIN_MS,
    );
  });
});

test("in-flight counts are right within a second of a trap, in Envoy's statistics too", async () => {
  const [[poisoned, streaming]] = (await gateway.clientsByWorker(2)) as [[Client, Client], unknown];
  await Promise.all([openStream(streaming), openStream(streaming), openStream(streaming)]);
  const gauge = async () => (await gateway.statistics()).sum(STAT_IN_FLIGHT);
  await eventually(gauge, (count) => count === 3);
  await trap(poisoned, "body");
  // The next request brings the VM back; before it nobody speaks for that worker.
  await expectSteered(poisoned);
  await eventually(
    () => gateway.inFlight(),
    (count) => count === 0,
    RIGHT_WITHIN_MS,
  );
  await eventually(gauge, (count) => count === 0, RIGHT_WITHIN_MS);
  const { pools } = await eventually(
    () => gateway.snapshot(),
    ({ pools }) => pools[0]!.endpoints.every(({ inFlight }) => inFlight === 0),
    RIGHT_WITHIN_MS,
  );
  expect(pools[0]!.endpoints).toHaveLength(4);
});

test("nothing is leaked by 20 traps", async () => {
  const [[client]] = (await gateway.clientsByWorker(1)) as [[Client], unknown];
  const pid = gateway.up.envoyPid();
  let settledBytes = 0;
  for (let n = 0; n < 20; ++n) {
    await openStream(client);
    await trap(client, CALLBACKS[n % CALLBACKS.length]!);
    await eventually(
      () => client.call({ path: CHAT, body: chat() }),
      ({ status }) => status === 200,
    );
    if (n === 4) settledBytes = residentBytes(pid);
  }
  const { workers } = await eventually(
    () => gateway.report(),
    (report) => report.workers.length <= 2 && report.workers.every(({ entries }) => entries.length === 0),
    RIGHT_WITHIN_MS,
  );
  expect(workers.length).toBeGreaterThan(0);
  await expectSteered(client);
  expect(await vmReloads()).toBe(20);
  // A VM that is kept takes some 15 MB: 15 of them would show.
  expect(residentBytes(pid) - settledBytes).toBeLessThan(64 * 1024 * 1024);
});

test("a client repeats the poison 20 times a second: how many other requests succeed", async ({ annotate }) => {
  const DURATION_MS = 3_000;
  const [[poisoner, same], [other]] = (await gateway.clientsByWorker(2)) as [[Client, Client], [Client]];
  const endMs = performance.now() + DURATION_MS;
  const counts = { poison: 0, same: { good: 0, bad: 0 }, other: { good: 0, bad: 0 } };
  const ask = async (client: Client, count: { good: number; bad: number }) => {
    while (performance.now() < endMs) {
      const status = await client.call({ path: CHAT, body: chat() }).then(
        (answer) => answer.status,
        () => 0,
      );
      if (status === 200) count.good += 1;
      else count.bad += 1;
      await sleep(10);
    }
  };
  const repeat = async () => {
    while (performance.now() < endMs) {
      counts.poison += 1;
      void trap(poisoner, "body");
      await sleep(50);
    }
  };
  await Promise.all([repeat(), ask(same, counts.same), ask(other, counts.other)]);
  const share = ({ good, bad }: { good: number; bad: number }) => `${good} of ${good + bad}`;
  await annotate(
    `poison ${counts.poison} times in ${DURATION_MS} ms: good requests on the same worker ${share(counts.same)}, ` +
      `on the other ${share(counts.other)}`,
  );
  expect(counts.other.bad, "the other worker does not notice").toBe(0);
  // With the poison gone, the worker is well again after the longest backoff.
  await eventually(
    () => same.call({ path: CHAT, body: chat() }),
    ({ status }) => status === 200,
    3_000,
  );
  await eventually(
    () => gateway.inFlight(),
    (count) => count === 0,
    RIGHT_WITHIN_MS,
  );
});
