// A server of the list fails: the next one of the list serves, nobody outside it is asked, and later
// requests keep away from the one that failed before any scrape could have told.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HEADER_DESTINATION, HEADER_SERVED } from "../../src/wire/names.ts";
import { STALE_INTERVALS } from "../../src/wire/policy.ts";
import { Backend, echo, type Handler, type Received } from "./support/backend.ts";
import { chat, chatOfBytes, sha256 } from "./support/bodies.ts";
import type { Answer, Client, Protocol } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";
const RETRY_BUFFER_BYTES = 65_536;
/** So rare that what was scraped before a server failed is fresh all through a test. */
const SCRAPE_INTERVAL_MS = 500;

let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeEach(async () => {
  // The longer the queue the later in the list: 1, 2, 3 are listed, 4 and 5 are not.
  backends = await onOnePort(5, (listen, index) =>
    Backend.start(listen, { load: { waiting: 10 * index, running: 0, kvUsage: 0 } }),
  );
  gateway = await startGateway({
    servers: backends,
    retryBufferBytes: RETRY_BUFFER_BYTES,
    scrapeIntervalMs: SCRAPE_INTERVAL_MS,
  });
  await gateway.measured();
});

afterEach(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

const name = (n: number) => backends[n - 1]!.name;
const requests = () => backends.map((backend) => backend.requests);

/** How often Envoy has tried a second or third server. */
async function retries(): Promise<number> {
  return (await gateway.statistics()).sum("envoy_cluster_upstream_rq_retry");
}

/** Waits until a worker has told the others of a failure: within some milliseconds. */
async function told(): Promise<void> {
  await eventually(
    async () => (await gateway.report()).workers.flatMap(({ entries }) => entries),
    (entries) => entries.some(({ failures }) => failures > 0),
  );
}

function expectServedBy(answer: Answer, n: number, body: Buffer | string): void {
  expect(answer.status).toBe(200);
  expect(answer.json()).toMatchObject({ by: name(n), bytes: Buffer.byteLength(body), sha256: sha256(body) });
  expect(answer.headers[HEADER_SERVED]).toBe(name(n));
}

async function ask(client: Client, body: Buffer | string = chat()): Promise<Answer> {
  return client.call({ path: CHAT, body });
}

test("the list is in the order of the scores", async () => {
  const body = chat();
  const answer = await ask(gateway.client(), body);
  expectServedBy(answer, 1, body);
  expect((answer.json() as Received).headers[HEADER_DESTINATION]).toEqual([`${name(1)},${name(2)},${name(3)}`]);
});

describe("the first of the list refuses connections", () => {
  test.each<Protocol>(["h1", "h2"])("the second serves, later requests avoid it, %s", async (protocol) => {
    const clients = (await gateway.clientsByWorker()).flat();
    const before = requests();
    backends[0]!.refuse();
    const body = chatOfBytes(60_000);
    expectServedBy(await ask(gateway.client(protocol), body), 2, body);
    expect(await retries()).toBe(1);
    await told();
    for (let n = 0; n < 20; ++n) {
      expect((await ask(clients[n % clients.length]!)).status).toBe(200);
    }
    expect(await retries(), "nobody tried it again").toBe(1);
    // The third gets some: a worker hears a little late that another one's request to the second is over.
    const [first, second, third, ...rest] = requests().map((count, n) => count - before[n]!);
    expect([first, second! + third!, ...rest]).toEqual([0, 21, 0, 0]);
    const { pools } = await gateway.snapshot();
    // Its metrics are still fresh: no scrape has told.
    expect(pools[0]?.endpoints[0]?.metricsAgeMs).toBeLessThan(STALE_INTERVALS * SCRAPE_INTERVAL_MS);
  });

  test("it is used again when it is back", async () => {
    const client = gateway.client();
    backends[0]!.refuse();
    await ask(client);
    await backends[0]!.accept();
    await eventually(
      async () => (await ask(client)).headers[HEADER_SERVED],
      (served) => served === name(1),
    );
    expect(requests().slice(3)).toEqual([0, 0]);
  });

  test("a body larger than the retry buffer cannot be sent again: one 503, and the next one arrives", async () => {
    const client = gateway.client();
    backends[0]!.refuse();
    const body = chatOfBytes(2 * RETRY_BUFFER_BYTES);
    expectOpenAiError(await ask(client, body), 503, "upstream_failed");
    expect(requests()).toEqual([0, 0, 0, 0, 0]);
    expectServedBy(await ask(client, body), 2, body);
    expect(requests()).toEqual([0, 1, 0, 0, 0]);
  });
});

describe("the first of the list closes a connection that was idle, as the next request comes", () => {
  const cutReused: Handler = async (exchange) => {
    if (exchange.use === 1) return echo(exchange);
    await exchange.read();
    exchange.cut();
  };

  test("the second serves, later requests avoid it", async () => {
    backends[0]!.handler = cutReused;
    // One connection stays with one worker, and that worker reuses its connections to servers.
    const client = gateway.client("h1", 1);
    const body = chatOfBytes(60_000);
    expectServedBy(await ask(client, body), 1, body);
    expectServedBy(await ask(client, body), 2, body);
    expect(requests()).toEqual([2, 1, 0, 0, 0]);
    for (let n = 0; n < 20; ++n) expectServedBy(await ask(client, body), 2, body);
    expect(requests()).toEqual([2, 21, 0, 0, 0]);
  });

  test("a body larger than the retry buffer: one 503, and the next one arrives", async () => {
    backends[0]!.handler = cutReused;
    const client = gateway.client("h1", 1);
    const body = chatOfBytes(2 * RETRY_BUFFER_BYTES);
    expectServedBy(await ask(client, body), 1, body);
    expectOpenAiError(await ask(client, body), 503, "upstream_failed");
    expectServedBy(await ask(client, body), 2, body);
    expect(requests()).toEqual([2, 1, 0, 0, 0]);
  });
});

describe("the whole list fails", () => {
  const listed = () => backends.slice(0, 3);
  const refuse = () => {
    for (const backend of listed()) backend.refuse();
  };
  const cut = () => {
    for (const backend of listed()) {
      backend.handler = async (exchange) => {
        await exchange.read();
        exchange.cut();
      };
    }
  };

  test.each([
    ["by refusing", refuse],
    ["by cutting", cut],
  ])("%s: one 503, the others are not asked until the next request", async (_how, fail) => {
    fail();
    const client = gateway.client();
    expectOpenAiError(await ask(client), 503, "upstream_failed");
    expect(await retries()).toBe(2);
    expect(requests().slice(3)).toEqual([0, 0]);
    const body = chat();
    expectServedBy(await ask(client, body), 4, body);
  });
});

describe("the first of the list answers with an error", () => {
  const answering =
    (status: number): Handler =>
    async ({ read, response }) => {
      await read();
      response.writeHead(status, { "content-type": "text/plain" });
      response.end("out of order");
    };

  test("503: the second serves, later requests avoid it", async () => {
    backends[0]!.handler = answering(503);
    const client = gateway.client();
    const body = chat();
    for (let n = 0; n < 10; ++n) expectServedBy(await ask(client, body), 2, body);
    expect(requests()).toEqual([1, 10, 0, 0, 0]);
  });

  test("500: the client gets it as it is, later requests avoid the server", async () => {
    backends[0]!.handler = answering(500);
    const client = gateway.client();
    const answer = await ask(client);
    expect(answer).toMatchObject({ status: 500, body: Buffer.from("out of order") });
    expect(answer.headers[HEADER_SERVED]).toBe(name(1));
    const body = chat();
    for (let n = 0; n < 10; ++n) expectServedBy(await ask(client, body), 2, body);
    expect(requests()).toEqual([1, 10, 0, 0, 0]);
  });

  test("429: the client gets it as it is, and the server goes on being used", async () => {
    backends[0]!.handler = answering(429);
    const client = gateway.client();
    for (let n = 0; n < 3; ++n) expect((await ask(client)).status).toBe(429);
    expect(requests()).toEqual([3, 0, 0, 0, 0]);
  });
});
