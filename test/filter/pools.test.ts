// Several pools behind one listener: what chooses among them, in which order, and what routes are told of it.

import { describe, expect, test } from "vitest";
import { HEADER_MODEL_NAME, HEADER_POOL } from "../../src/wire/names.ts";
import { API_CHAT, API_COMPLETIONS } from "../../src/wire/program.ts";
import { headerOf, type Outcome, sendRequest } from "../host/drive.ts";
import type { ModelsSpec } from "../host/models.ts";
import { CHAT, errorOf, Gateway, IDLE } from "./gateway.ts";

const ADDRESS: Readonly<Record<string, string>> = { "ns/a": "10.0.0.1:8000", "ns/b": "10.0.0.2:8000" };

function serving(configuration: object = {}, models: Readonly<Record<string, ModelsSpec>> = {}): Gateway {
  const gateway = new Gateway({ explain: true, ...configuration });
  const pools = Object.entries(ADDRESS).map(([name, address]) => ({
    name,
    ...(models[name] === undefined ? {} : { models: models[name] }),
    endpoints: [{ address }],
  }));
  gateway.control.topology(pools);
  gateway.control.metrics(pools.map(() => IDLE));
  return gateway;
}

const ROUTED = { "ns/b": { models: [{ name: "llama" }] } };
const METADATA = "xds\0route_metadata\0filter_metadata\0pointsman\0pool";

interface Asked {
  readonly path?: string;
  readonly body?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly properties?: Readonly<Record<string, string>>;
}

function ask(gateway: Gateway, { path, body, headers = [], properties = {} }: Asked): Outcome["stream"] {
  const stream = gateway.worker.stream();
  for (const [path, value] of Object.entries(properties)) stream.setProperty(path, value);
  const request = body === undefined ? { path: "/v1/models" } : { body, path: path ?? "/v1/chat/completions" };
  sendRequest(stream, { ...request, headers });
  return stream;
}

/** The pool that the request went to; its status when it was answered. */
function poolOf(gateway: Gateway, asked: Asked): string | number {
  const stream = ask(gateway, asked);
  if (stream.localResponse !== undefined) return stream.localResponse.status;
  const destination = headerOf(stream.request.sentHeaders, "x-gateway-destination-endpoint");
  return Object.entries(ADDRESS).find(([, address]) => address === destination)![0];
}

describe("the pool is", () => {
  const gateway = serving({ defaultPool: "ns/a", poolHeader: "x-pool" }, ROUTED);
  const other = '{"model":"other"}';

  test("that of the route: by its metadata, its name or its cluster, in this order", () => {
    const name = { "xds.route_name": "pointsman/ns/a", "xds.cluster_name": "pointsman/ns/b" };
    expect(poolOf(gateway, { body: CHAT, properties: { [METADATA]: "ns/a" } })).toBe("ns/a");
    expect(poolOf(gateway, { body: CHAT, properties: { ...name, [METADATA]: "ns/b" } })).toBe("ns/b");
    expect(poolOf(gateway, { body: CHAT, properties: name })).toBe("ns/a");
    expect(poolOf(gateway, { body: other, properties: { "xds.cluster_name": "pointsman/ns/b" } })).toBe("ns/b");
    expect(poolOf(gateway, { properties: { [METADATA]: "ns/b" } })).toBe("ns/b");
  });

  test("not said by a route of the agent's own, or one that names no pool", () => {
    const own = { "xds.route_name": "inference", "xds.cluster_name": "pointsman/ns/a" };
    expect(poolOf(gateway, { body: CHAT, properties: own })).toBe("ns/b");
    const strange = { "xds.route_name": "httproute/ns/chat", "xds.cluster_name": "httproute/ns/chat/rule/0" };
    expect(poolOf(gateway, { body: CHAT, properties: strange })).toBe("ns/b");
  });

  test("else the one whose objects name the model; else that of the header; else the default", () => {
    const headers = [["x-pool", "ns/a"]] as const;
    expect(poolOf(gateway, { body: CHAT, headers })).toBe("ns/b");
    expect(poolOf(gateway, { body: other, headers: [["x-pool", "ns/b"]] })).toBe("ns/b");
    expect(poolOf(gateway, { body: other })).toBe("ns/a");
    expect(poolOf(gateway, {})).toBe("ns/a");
    expect(poolOf(gateway, { headers: [["x-pool", "ns/b"]] })).toBe("ns/b");
    // No header counts that the configuration does not name.
    expect(poolOf(serving({ defaultPool: "ns/a" }), { headers: [["x-pool", "ns/b"]] })).toBe("ns/a");
  });

  test("not that of an object that is younger than another pool's", () => {
    const models = { "ns/a": { models: [{ name: "llama", routes: false }] }, ...ROUTED };
    expect(poolOf(serving({}, models), { body: CHAT })).toBe("ns/b");
  });

  test("none: 404, for a route or header that names what there is not, too", () => {
    const without = serving({ poolHeader: "x-pool" }, ROUTED);
    const expected = { status: 404, type: "not_found_error", code: "model_not_found" };
    expect(errorOf(ask(without, { body: other }))).toMatchObject(expected);
    expect(errorOf(ask(without, {})).message).toContain("No pool serves this model");
    const named = errorOf(ask(without, { body: other, properties: { [METADATA]: "ns/c" } }));
    expect(named).toMatchObject({ ...expected, message: expect.stringContaining("does not exist") });
    expect(errorOf(ask(without, { body: other, headers: [["x-pool", "ns/c"]] }))).toMatchObject(expected);
  });
});

describe("routes can match on the choice", () => {
  const told = (stream: Outcome["stream"]) =>
    [HEADER_MODEL_NAME, HEADER_POOL].map((name) => headerOf(stream.request.sentHeaders, name));
  const clears = (gateway: Gateway) => gateway.worker.vm.log.countOf("proxy_call_foreign_function");

  test("with several pools: the caller's model, the pool, and the route is chosen anew", () => {
    const targets = [{ name: "llama-v2" }];
    const gateway = serving({}, { "ns/b": { models: [{ name: "llama", targets }] } });
    const spoofed = [
      [HEADER_MODEL_NAME, "evil"],
      [HEADER_POOL, "ns/a"],
    ] as const;
    expect(told(ask(gateway, { body: CHAT, headers: spoofed }))).toEqual(["llama", "ns/b"]);
    expect(clears(gateway)).toBe(1);
  });

  test("with one pool only where the configuration wants it", () => {
    for (const [modelHeader, expected] of [
      [false, [undefined, undefined]],
      [true, ["llama", "ns/a"]],
    ] as const) {
      const gateway = new Gateway({ modelHeader });
      gateway.control.topology([{ name: "ns/a", endpoints: [{ address: "10.0.0.1:8000" }] }]);
      expect(told(ask(gateway, { body: CHAT }))).toEqual(expected);
      expect(clears(gateway)).toBe(modelHeader ? 1 : 0);
    }
  });

  test.each(["a\\nb", "a\\u0000", "a\\r\\nx: y", "a b", "é", ""])(
    "a name that a header cannot hold is left out: %j",
    (model) => {
      const gateway = serving({ defaultPool: "ns/a" });
      expect(told(ask(gateway, { body: `{"model":"${model}"}` }))).toEqual([undefined, "ns/a"]);
    },
  );
});

test("what any of the pools reads of a body is read, and its prompt if any of them needs it", () => {
  const gateway = new Gateway({ explain: true, defaultPool: "ns/a" });
  const queue = { profiles: [{ scorers: [{ type: "queue-scorer" as const }] }], parsers: 1 << API_COMPLETIONS };
  const prefix = { profiles: [{ scorers: [{ type: "prefix-cache-scorer" as const }] }], parsers: 1 << API_CHAT };
  const endpoints = [{ address: "10.0.0.1:8000" }];
  gateway.control.topology([
    { name: "ns/a", program: queue, endpoints },
    { name: "ns/b", program: prefix, endpoints, models: ROUTED["ns/b"] },
  ]);
  gateway.control.metrics([IDLE, IDLE]);
  gateway.worker.drive({ path: "/v1/models" });
  const tokensOf = (path: string, body: string) => {
    const reply = ask(gateway, { path, body, headers: [["x-pointsman-explain", "1"]] }).localResponse!;
    return JSON.parse(Buffer.from(reply.body).toString()).tokens;
  };
  expect(tokensOf("/v1/chat/completions", CHAT)).toBeGreaterThan(0);
  expect(tokensOf("/v1/completions", '{"model":"m","prompt":"hello"}')).toBeGreaterThan(0);
  // Nobody reads these.
  expect(tokensOf("/v1/embeddings", '{"model":"m","input":"hello"}')).toBe(0);
});

test("requests and outcomes are counted where they went", () => {
  const gateway = serving({}, { "ns/a": { models: [{ name: "m" }] }, ...ROUTED });
  for (const body of [CHAT, CHAT, '{"model":"m"}', '{"model":"x"}']) ask(gateway, { body }).end();
  gateway.settle();
  const count = (pool: string) => gateway.process.metrics.value(`pointsman_requests_total.pool.${pool}`);
  expect([count("ns/a"), count("ns/b"), count("-")]).toEqual([1, 2, 1]);
});
