// What only the gateway may say has no effect when a client says it: with the filter, and on routes that bypass it.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as names from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Call, Protocol } from "./support/client.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { Pools } from "./support/pools.ts";

const CHAT = "/v1/chat/completions";
const PROTOCOLS: readonly Protocol[] = ["h1", "h2"];
const PER_ROUTE = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/** Never reaches a server as the client sent it. */
const INTERNAL = [
  names.HEADER_DESTINATION,
  names.HEADER_SUBSET,
  names.HEADER_SERVED,
  names.HEADER_PREFILLER,
  names.HEADER_ENCODERS,
  names.HEADER_DATA_PARALLEL,
  names.HEADER_KV_SOURCE,
  names.HEADER_MODEL_NAME,
  names.HEADER_BASE_MODEL_NAME,
  names.HEADER_POOL,
  names.HEADER_MAX_RETRIES,
  names.HEADER_RETRY_ON,
  names.HEADER_RETRY_GRPC_ON,
  names.HEADER_RETRIABLE_CODES,
  names.HEADER_RETRIABLE_HEADERS,
  names.HEADER_TIMEOUT_MS,
  names.HEADER_TRY_TIMEOUT_MS,
  names.HEADER_HEDGE,
];

let backends: readonly Backend[] = [];
let pools: Pools;

beforeAll(async () => {
  backends = await onOnePort(6, (listen) => Backend.start(listen));
  pools = await Pools.start({
    pools: [
      { name: "a", servers: backends.slice(0, 4) },
      { name: "b", servers: backends.slice(4) },
    ],
    filter: { defaultPool: "ns/a" },
    routes: [
      {
        match: { prefix: "/bypass/" },
        route: { cluster: "pointsman/ns/a" },
        typed_per_filter_config: { pointsman: { "@type": PER_ROUTE, disabled: true } },
      },
      {
        match: { prefix: "/", headers: [{ name: names.HEADER_MODEL_NAME, string_match: { exact: "evil" } }] },
        direct_response: { status: 418 },
      },
    ],
  });
});

afterAll(async () => {
  await pools?.stop();
  for (const backend of backends) await backend.stop();
});

/** No two chats are alike: those with one prompt would go to one server. */
const CALLS: readonly (readonly [string, () => Call])[] = [
  ["a chat", () => ({ path: CHAT, body: chat() })],
  ["a GET", () => ({ path: "/v1/models" })],
  ["a chat that bypasses the filter", () => ({ path: `/bypass${CHAT}`, body: chat() })],
  ["a GET that bypasses the filter", () => ({ path: "/bypass/v1/models" })],
];

describe.each(PROTOCOLS)("%s", (protocol) => {
  describe.each(CALLS)("%s", (_, call) => {
    test("no server sees what the client said", async () => {
      const client = pools.client(protocol);
      for (const name of INTERNAL) {
        const answer = await client.call({ ...call(), headers: { [name]: ["6.6.6.6:66", "7"] } });
        expect(answer.status, name).toBe(200);
        const seen = (answer.json() as Received).headers[name] ?? [];
        expect(seen, name).not.toContain("6.6.6.6:66");
        expect(seen, name).not.toContain("7");
      }
    });

    test("it does not steer, choose a pool or match a route", async () => {
      const client = pools.client(protocol);
      const wish = backends[5]!.name;
      const counts = new Map<string, number>();
      for (let n = 0; n < 40; ++n) {
        const one = backends[n % 4 === 0 ? 5 : 3]!.name;
        const headers = {
          [names.HEADER_DESTINATION]: one,
          [names.HEADER_SUBSET]: one,
          [names.HEADER_POOL]: "ns/b",
          [names.HEADER_MODEL_NAME]: "evil",
        };
        const answer = await client.call({ ...call(), headers });
        expect(answer.status).toBe(200);
        const { by } = answer.json() as Received;
        counts.set(by, (counts.get(by) ?? 0) + 1);
      }
      expect([...counts.keys()]).not.toContain(wish);
      // 30 wished for one of the four of the pool. By chance 10 go there, and 22 in one of 100,000 runs.
      expect(counts.get(backends[3]!.name) ?? 0).toBeLessThan(22);
    });
  });

  test("objective, fairness and the rest are for the gateway: no server that the filter picks sees them", async () => {
    const headers = {
      [names.HEADER_OBJECTIVE]: "o",
      [names.HEADER_OBJECTIVE_OLD]: "o",
      [names.HEADER_FAIRNESS]: "f",
      [names.HEADER_FAIRNESS_OLD]: "f",
      [names.HEADER_REWRITE]: "m",
      [names.HEADER_REWRITE_OLD]: "m",
      [names.HEADER_SLO_TTFT]: "9",
      [names.HEADER_SLO_TPOT_OLD]: "9",
      [names.HEADER_TTL]: "5s",
      [names.HEADER_VIDEO_SECONDS]: "3",
    };
    const traced = { "x-request-id": "8f1e4b7c-1111-4222-8333-944455566677", traceparent: "00-1-2-01" };
    for (const call of [{ path: CHAT, body: chat() }, { path: "/v1/models" }]) {
      const answer = await pools.client(protocol).call({ ...call, headers: { ...headers, ...traced } });
      const seen = (answer.json() as Received).headers;
      for (const name of Object.keys(headers)) expect(seen[name], name).toBeUndefined();
      expect(seen.traceparent).toEqual([traced.traceparent]);
    }
  });
});
