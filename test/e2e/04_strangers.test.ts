// Clients are strangers: no header of theirs steers a request or reaches a server in the gateway's name.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  HEADER_DATA_PARALLEL,
  HEADER_DESTINATION,
  HEADER_ENCODERS,
  HEADER_KV_SOURCE,
  HEADER_MAX_RETRIES,
  HEADER_PREFILLER,
  HEADER_RETRY_GRPC_ON,
  HEADER_RETRY_ON,
  HEADER_SERVED,
  HEADER_SUBSET,
} from "../../src/wire/names.ts";
import { Backend, echo, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Call, Protocol } from "./support/client.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";
const PROTOCOLS: readonly Protocol[] = ["h1", "h2"];

let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeAll(async () => {
  // The last has the longest queue: only a client could wish to go there.
  backends = await onOnePort(5, (listen, index) =>
    Backend.start(listen, { load: { waiting: 10 * index, running: 0, kvUsage: 0 } }),
  );
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

const INFERENCE: Call = { path: CHAT, body: chat() };
const REQUESTS: readonly (readonly [string, Call])[] = [
  ["a chat", INFERENCE],
  ["a GET", { path: "/v1/models" }],
  ["a POST elsewhere", { path: "/tokenize", body: "{}" }],
];

describe.each(PROTOCOLS)("%s", (protocol) => {
  test.each(REQUESTS)("a destination that the client names does not steer %s", async (_what, call) => {
    const wish = backends[4]!.name;
    const wishes: readonly (string | readonly string[])[] = [wish, [wish, wish], `${wish},${wish}`, "", "10.0.0.1:80"];
    for (const value of wishes) {
      const name = protocol === "h1" ? "X-Gateway-Destination-Endpoint" : HEADER_DESTINATION;
      await gateway.settled();
      const answer = await gateway.client(protocol).call({ ...call, headers: { [name]: value } });
      const received = answer.json() as Received;
      expect(received.by).toBe(backends[0]!.name);
      const own = backends.slice(0, 3).map((backend) => backend.name);
      expect(received.headers[HEADER_DESTINATION]).toEqual([own.join(",")]);
    }
    expect(backends[4]!.requests).toBe(0);
  });

  test.each([
    HEADER_SUBSET,
    HEADER_PREFILLER,
    HEADER_ENCODERS,
    HEADER_DATA_PARALLEL,
    HEADER_KV_SOURCE,
    HEADER_RETRY_ON,
    HEADER_RETRY_GRPC_ON,
    HEADER_MAX_RETRIES,
    HEADER_SERVED,
  ])("%s of a client reaches no server", async (name) => {
    for (const [, call] of REQUESTS) {
      const client = gateway.client(protocol);
      const answer = await client.call({ ...call, headers: { [name]: ["10.0.0.9:1", "9"] } });
      expect(answer.status).toBe(200);
      expect((answer.json() as Received).headers).not.toHaveProperty(name);
    }
  });

  test("a client's own headers arrive", async () => {
    const headers = { authorization: "Bearer x", prefer: "respond-async", "x-custom": "1" };
    const answer = await gateway.client(protocol).call({ ...INFERENCE, headers });
    const received = (answer.json() as Received).headers;
    for (const [name, value] of Object.entries(headers)) expect(received[name]).toEqual([value]);
  });
});

test("a client cannot set Envoy's retries or time limits", async () => {
  for (const backend of backends) {
    backend.handler = async (exchange) => {
      await sleep(100);
      await echo(exchange);
    };
  }
  const headers = {
    "x-envoy-upstream-rq-timeout-ms": "20",
    "x-envoy-upstream-rq-per-try-timeout-ms": "20",
    [HEADER_MAX_RETRIES]: "50",
    [HEADER_RETRY_ON]: "5xx",
  };
  await gateway.settled();
  const before = backends.map((backend) => backend.requests);
  expect((await gateway.client().call({ ...INFERENCE, headers })).status).toBe(200);
  await gateway.settled();
  for (const backend of backends) {
    backend.handler = async ({ read, response }) => {
      await read();
      response.writeHead(500).end();
    };
  }
  expect((await gateway.client().call({ ...INFERENCE, headers })).status).toBe(500);
  const asked = backends.map((backend, n) => backend.requests - before[n]!);
  expect(asked).toEqual([2, 0, 0, 0, 0]);
});

test("a server cannot say that another one served", async () => {
  for (const backend of backends) {
    backend.handler = async ({ read, response }) => {
      await read();
      response.writeHead(200, [HEADER_SERVED, "10.0.0.9:1", HEADER_SERVED, "10.0.0.8:1"]);
      response.end(backend.name);
    };
  }
  const answer = await gateway.client().call(INFERENCE);
  expect(answer.headers[HEADER_SERVED]).toBe(answer.body.toString());
});
