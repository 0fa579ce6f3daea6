// Several pools behind one listener, each with servers of its own: a request arrives at the pool that its route,
// its model or a header says, by a route that is chosen anew.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HEADER_MODEL_NAME, HEADER_POOL } from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Answer, Call, Protocol } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { Pools, type ServedPool } from "./support/pools.ts";

const CHAT = "/v1/chat/completions";
const NAMES = ["a", "b", "c"] as const;
const PROTOCOLS: readonly Protocol[] = ["h1", "h2"];

let backends: readonly Backend[] = [];
let withDefault: Pools;
let without: Pools;

/** Routes as users write them, before those of the agent. */
const ROUTES = [
  {
    match: { prefix: "/by-metadata/" },
    metadata: { filter_metadata: { pointsman: { pool: "ns/b" } } },
    route: { cluster: "pointsman/ns/b" },
  },
  { name: "pointsman/ns/c", match: { prefix: "/by-name/" }, route: { cluster: "pointsman/ns/c" } },
  { name: "mine", match: { prefix: "/by-cluster/" }, route: { cluster: "pointsman/ns/b" } },
  {
    match: { prefix: "/nowhere/" },
    metadata: { filter_metadata: { pointsman: { pool: "ns/gone" } } },
    route: { cluster: "pointsman/ns/a" },
  },
  // As an HTTPRoute does it: by the model, which only the filter knows.
  {
    name: "httproute",
    match: { prefix: "/", headers: [{ name: HEADER_MODEL_NAME, string_match: { exact: "special" } }] },
    route: { cluster: "pointsman/ns/c" },
    request_headers_to_add: [{ header: { key: "x-route", value: "special" } }],
  },
];

beforeAll(async () => {
  backends = await onOnePort(3, (listen) => Backend.start(listen));
  const models = {
    b: { models: [{ name: "for-b" }] },
    c: { models: [{ name: "for-c" }, { name: "for-b", routes: false }, { name: "special" }] },
  };
  const pools: readonly ServedPool[] = NAMES.map((name, n) => ({
    name,
    servers: [backends[n]!],
    ...(name === "a" ? {} : { models: models[name] }),
  }));
  const filter = { poolHeader: "x-pool" };
  withDefault = await Pools.start({ pools, filter: { ...filter, defaultPool: "ns/a" }, routes: ROUTES });
  without = await Pools.start({ pools, filter });
});

afterAll(async () => {
  await withDefault?.stop();
  await without?.stop();
  for (const backend of backends) await backend.stop();
});

/** The pool whose server answered, which must have been told so. */
function poolOf(answer: Answer): string {
  expect(answer.status).toBe(200);
  const { by, headers } = answer.json() as Received;
  const name = NAMES[backends.findIndex((backend) => backend.name === by)]!;
  expect(headers[HEADER_POOL]).toEqual([`ns/${name}`]);
  return name;
}

describe.each(PROTOCOLS)("%s", (protocol) => {
  const ask = async (pools: Pools, call: Call) => pools.client(protocol).call({ path: CHAT, body: chat(), ...call });

  test("by the route: its metadata, its name or its cluster, whatever the model is", async () => {
    const body = chat({ model: "for-c" });
    expect(poolOf(await ask(withDefault, { path: `/by-metadata${CHAT}`, body }))).toBe("b");
    expect(poolOf(await ask(withDefault, { path: `/by-name${CHAT}`, body: chat({ model: "for-b" }) }))).toBe("c");
    expect(poolOf(await ask(withDefault, { path: `/by-cluster${CHAT}`, body }))).toBe("b");
    const get = await withDefault.client(protocol).call({ path: "/by-metadata/v1/models" });
    expect(poolOf(get)).toBe("b");
    expectOpenAiError(await ask(withDefault, { path: `/nowhere${CHAT}` }), 404, "model_not_found");
  });

  test("by the model; else by the header; else the default, also without a body", async () => {
    const headers = { "x-pool": "ns/c" };
    expect(poolOf(await ask(withDefault, { body: chat({ model: "for-b" }), headers }))).toBe("b");
    expect(poolOf(await ask(withDefault, { headers }))).toBe("c");
    expect(poolOf(await ask(withDefault, {}))).toBe("a");
    expect(poolOf(await withDefault.client(protocol).call({ path: "/v1/models" }))).toBe("a");
    expect(poolOf(await withDefault.client(protocol).call({ path: "/v1/models", headers }))).toBe("c");
  });

  test("404 where nothing says which", async () => {
    expectOpenAiError(await ask(without, {}), 404, "model_not_found");
    expectOpenAiError(await without.client(protocol).call({ path: "/v1/models" }), 404, "model_not_found");
    expectOpenAiError(await ask(without, { headers: { "x-pool": "ns/gone" } }), 404, "model_not_found");
    expect(poolOf(await ask(without, { body: chat({ model: "for-c" }) }))).toBe("c");
  });

  test("routes can match on the model", async () => {
    const answer = await ask(withDefault, { body: chat({ model: "special" }) });
    expect(poolOf(answer)).toBe("c");
    const { headers } = answer.json() as Received;
    expect(headers["x-route"]).toEqual(["special"]);
    expect(headers[HEADER_MODEL_NAME]).toEqual(["special"]);
    // Not on what a client says the model is.
    const spoofed = await ask(withDefault, { headers: { [HEADER_MODEL_NAME]: "special", [HEADER_POOL]: "ns/c" } });
    expect(poolOf(spoofed)).toBe("a");
    expect((spoofed.json() as Received).headers["x-route"]).toBeUndefined();
  });

  test("a large body goes on to the pool that its beginning chose", async () => {
    const body = chat({ model: "for-b", more: "x".repeat(3_000_000) });
    const answer = await ask(without, { body, pieceBytes: 100_000 });
    expect(poolOf(answer)).toBe("b");
    expect((answer.json() as Received).bytes).toBe(body.length);
  });
});
