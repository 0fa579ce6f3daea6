// A filter before ours, or a trusted proxy in front, says which endpoints may be picked: the pick and its retries
// stay among them.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HEADER_DESTINATION, HEADER_DROPPED_REASON, HEADER_SUBSET, METADATA_SUBSET } from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Answer, Client } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { Pools } from "./support/pools.ts";

const CHAT = "/v1/chat/completions";
/** Of the test: its value becomes the metadata. */
const HINT = "x-hint";
const FILTERS = "type.googleapis.com/envoy.extensions.filters.http";

let backends: readonly Backend[] = [];
const running: Pools[] = [];

beforeAll(async () => {
  backends = await onOnePort(6, (listen) => Backend.start(listen));
});

afterAll(async () => {
  for (const pools of running) await pools.stop();
  for (const backend of backends) await backend.stop();
});

async function start(more: Partial<Parameters<typeof Pools.start>[0]>): Promise<Client> {
  const pools = await Pools.start({ pools: [{ name: "chat", servers: backends, failOpen: true }], ...more });
  running.push(pools);
  return pools.client("h1");
}

const fromHeader = {
  name: "hint",
  typed_config: {
    "@type": `${FILTERS}.header_to_metadata.v3.Config`,
    request_rules: [
      {
        header: HINT,
        on_header_present: { metadata_namespace: METADATA_SUBSET, key: HEADER_SUBSET, type: "STRING" },
        remove: true,
      },
    ],
  },
};

function listOf(entries: readonly string[]): object {
  const value = { [HEADER_SUBSET]: entries };
  return {
    name: "hint",
    typed_config: {
      "@type": `${FILTERS}.set_metadata.v3.Config`,
      metadata: [{ metadata_namespace: METADATA_SUBSET, value }],
    },
  };
}

function destinations(answer: Answer): readonly string[] {
  expect(answer.status).toBe(200);
  const { by, headers } = answer.json() as Received;
  const list = headers[HEADER_DESTINATION]![0]!.split(",");
  expect(list).toContain(by);
  expect(headers[HEADER_SUBSET]).toBeUndefined();
  return list.toSorted();
}

const name = (n: number) => backends[n]!.name;

describe.each([
  ["metadata", HINT, { filters: [fromHeader], filter: { subsetHint: "metadata" } }],
  ["a trusted header", HEADER_SUBSET, { filter: { trustSubsetHeader: true } }],
] as const)("by %s", (_, header, options) => {
  let client: Client;
  const ask = (hint?: string) =>
    client.call({ path: CHAT, body: chat(), headers: hint === undefined ? {} : { [header]: hint } });

  beforeAll(async () => {
    client = await start(options);
  });

  test("a pick stays inside it", async () => {
    for (let n = 0; n < 20; ++n) {
      expect(destinations(await ask(name(4)))).toEqual([name(4)]);
      expect(destinations(await ask(`${name(1)},${name(5)}`))).toEqual([name(1), name(5)]);
    }
    const host = backends[2]!.address.host;
    expect(destinations(await ask(host))).toEqual([name(2)]);
    expect(destinations(await ask())).toHaveLength(3);
  });

  test("nobody of it there: 503, though the pool fails open", async () => {
    const answer = await ask("10.9.9.9:80");
    expectOpenAiError(answer, 503, "no_endpoints");
    expect(answer.headers[HEADER_DROPPED_REASON]).toBe("rejected-no-endpoints");
  });

  test("retries stay inside it", async () => {
    const before = backends.map(({ requests }) => requests);
    backends[0]!.refuse();
    try {
      for (let n = 0; n < 8; ++n) {
        const answer = await ask(`${name(0)},${name(3)}`);
        expect((answer.json() as Received).by).toBe(name(3));
      }
      for (let n = 0; n < 8; ++n) expect((await ask(name(0))).status).toBe(503);
    } finally {
      await backends[0]!.accept();
    }
    const came = backends.map(({ requests }, n) => requests - before[n]!);
    expect(came).toEqual([0, 0, 0, 8, 0, 0]);
  });
});

test("a list in metadata, and an empty one", async () => {
  const two = await start({ filters: [listOf([name(2), name(3)])], filter: { subsetHint: "metadata" } });
  for (let n = 0; n < 10; ++n) {
    expect(destinations(await two.call({ path: CHAT, body: chat() }))).toEqual([name(2), name(3)]);
  }
  const none = await start({ filters: [listOf([])], filter: { subsetHint: "metadata" } });
  expectOpenAiError(await none.call({ path: CHAT, body: chat() }), 503, "no_endpoints");
});

test("a client's header, and metadata that nobody asked to be read, have no effect", async () => {
  const client = await start({ filters: [listOf([name(5)])] });
  const answer = await client.call({ path: CHAT, body: chat(), headers: { [HEADER_SUBSET]: name(4) } });
  expect(destinations(answer)).toHaveLength(3);
});
