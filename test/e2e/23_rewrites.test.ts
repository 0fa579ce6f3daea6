// The model that a caller names becomes the one that the objects say: in the shares they say, and without another
// byte of the body being touched.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HEADER_REWRITE, HEADER_SERVED } from "../../src/wire/names.ts";
import { Backend, type Exchange, type Received } from "./support/backend.ts";
import { chatOfBytes, sha256 } from "./support/bodies.ts";
import type { Call, Protocol } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { Pools } from "./support/pools.ts";

const CHAT = "/v1/chat/completions";
const PROTOCOLS: readonly Protocol[] = ["h1", "h2"];
const FRAMINGS = ["length", "chunked"] as const;
const KB = 1024;
/** Says which model it was asked for, and nothing else: for many requests. */
const TERSE = "x-terse";
const REQUESTS = 10_000;
const AT_ONCE = 32;

let backends: readonly Backend[] = [];
let pools: Pools;

async function modelOnly({ request, response }: Exchange): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  response.end((JSON.parse(Buffer.concat(pieces).toString()) as { readonly model: string }).model);
}

beforeAll(async () => {
  backends = await onOnePort(2, async (listen) => {
    const backend = await Backend.start(listen);
    const echo = backend.handler;
    backend.handler = (exchange) => (exchange.request.headers[TERSE] ? modelOnly(exchange) : echo(exchange));
    return backend;
  });
  const models = {
    models: [
      { name: "m", targets: [{ name: "much-longer-name" }] },
      {
        name: "food-review",
        targets: [
          { name: "food-v1", weight: 90 },
          { name: "food-v2", weight: 10 },
        ],
      },
      { name: "a-name-that-is-long", targets: [{ name: "s" }] },
      { name: "own" },
    ],
  };
  // One worker and a seed: the shares are the same in every run.
  pools = await Pools.start({
    pools: [{ name: "chat", servers: backends, models }],
    filter: { seed: 5 },
    concurrency: 1,
  });
});

afterAll(async () => {
  await pools?.stop();
  for (const backend of backends) await backend.stop();
});

test(`${REQUESTS} requests for a name that is split 90 to 10 are split so within 1 %`, async () => {
  const client = pools.client("h2");
  const call = { path: CHAT, body: '{"model":"food-review","messages":[]}', headers: { [TERSE]: "1" } };
  const counts = new Map<string, number>();
  const one = async () => {
    for (let n = 0; n < REQUESTS / AT_ONCE; ++n) {
      const model = (await client.call(call)).body.toString();
      counts.set(model, (counts.get(model) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  expect([...counts.keys()].toSorted()).toEqual(["food-v1", "food-v2"]);
  expect(counts.get("food-v1")! / all).toBeGreaterThan(0.89);
  expect(counts.get("food-v1")! / all).toBeLessThan(0.91);
}, 120_000);

/** Sends the body; the server must get `expected`, and be told its length where the client told one. */
async function arrives(protocol: Protocol, call: Call, expected: Buffer): Promise<void> {
  const answer = await pools.client(protocol).call({ path: CHAT, ...call });
  expect(answer.status).toBe(200);
  const received = answer.json() as Received;
  expect(received).toMatchObject({ bytes: expected.length, sha256: sha256(expected) });
  const length = call.framing === "chunked" ? undefined : [String(expected.length)];
  expect(received.headers["content-length"]).toEqual(length);
  expect(answer.headers[HEADER_SERVED]).toBe(received.by);
}

function replaced(body: Buffer, from: string, to: string): Buffer {
  const at = body.indexOf(from);
  return Buffer.concat([body.subarray(0, at), Buffer.from(to), body.subarray(at + from.length)]);
}

describe.each(PROTOCOLS)("%s", (protocol) => {
  describe.each(FRAMINGS)("%s", (framing) => {
    test.each([KB, 64 * KB, 700 * KB, 5 * KB * KB])("of %i bytes only the name changes", async (bytes) => {
      const body = chatOfBytes(bytes);
      const expected = replaced(body, '"model":"m"', '"model":"much-longer-name"');
      await arrives(protocol, { body, framing }, expected);
      const pieceBytes = Math.max(100, Math.floor(bytes / 40));
      await arrives(protocol, { body, framing, pieceBytes }, expected);
    });

    test("a name at the end of a body, a shorter one in its place", async () => {
      const content = "é\\n".repeat(100_000);
      const text = (model: string) => `{"messages":[{"role":"user","content":"${content}"}], "model" : "${model}" }\n`;
      const body = Buffer.from(text("a-name-that-is-long"));
      const expected = Buffer.from(text("s"));
      await arrives(protocol, { body, framing }, expected);
      await arrives(protocol, { body, framing, pieceBytes: 9_999 }, expected);
      // HTTP/1.1 knows trailers of chunked bodies only.
      if (protocol === "h1" && framing === "length") return;
      await arrives(protocol, { body, framing, trailers: { "x-end": "1" }, pieceBytes: 50_000 }, expected);
    });
  });

  test("a body that is for its own model, or goes on beyond what is inspected before it names one, stays", async () => {
    const own = Buffer.from('{"model":"own","messages":[]}');
    await arrives(protocol, { body: own }, own);
    const late = Buffer.from(`{"messages":[{"role":"user","content":"${"x".repeat(600 * KB)}"}],"model":"m"}`);
    await arrives(protocol, { body: late }, late);
  });

  test("a header names a model where no object does", async () => {
    const body = Buffer.from('{"model":"own","messages":[]}');
    const expected = Buffer.from('{"model":"asked \\"for\\"","messages":[]}');
    await arrives(protocol, { body, headers: { [HEADER_REWRITE]: 'asked "for"' } }, expected);
  });

  test("Prefer: if-available is 412 until a server holds some of the prompt", async () => {
    const client = pools.client(protocol);
    const messages = [{ role: "user", content: `${protocol}: ${"hello ".repeat(500)}` }];
    const call = { path: CHAT, body: JSON.stringify({ model: "own", messages }) };
    const prefers = { ...call, headers: { prefer: "if-available" } };
    expectOpenAiError(await client.call(prefers), 412, "not_cached");
    expectOpenAiError(await client.call(prefers), 412, "not_cached");
    expect((await client.call(call)).status).toBe(200);
    expect((await client.call(prefers)).status).toBe(200);
  });
});
