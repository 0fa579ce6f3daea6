// What a client sends arrives at the server that was picked, byte for byte, and the answer names it.

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HEADER_DESTINATION, HEADER_SERVED } from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat, chatOfBytes, sha256 } from "./support/bodies.ts";
import type { Answer, Call, Client, Protocol } from "./support/client.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { raw } from "./support/raw.ts";

const PROTOCOLS: readonly Protocol[] = ["h1", "h2"];
const FRAMINGS = ["length", "chunked"] as const;
const CHAT = "/v1/chat/completions";
const KB = 1024;

let backends: readonly Backend[] = [];
let gateway: Gateway;
let clients: Readonly<Record<Protocol, Client>>;

beforeAll(async () => {
  backends = await onOnePort(4, (listen) => Backend.start(listen));
  gateway = await startGateway({ servers: backends });
  clients = { h1: gateway.client("h1"), h2: gateway.client("h2") };
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

/** The answer is an echo: what it says must be what was sent, from where the filter steered it. */
function expectArrived(answer: Answer, body: Buffer | string): Received {
  expect(answer.status).toBe(200);
  const received = answer.json() as Received;
  expect(received).toMatchObject({ bytes: Buffer.byteLength(body), sha256: sha256(body) });
  expect(answer.headers[HEADER_SERVED]).toBe(received.by);
  expect(received.headers[HEADER_DESTINATION]?.[0]?.split(",")[0]).toBe(received.by);
  return received;
}

async function sends(protocol: Protocol, call: Call): Promise<Received> {
  return expectArrived(await clients[protocol].call(call), call.body ?? "");
}

describe.each(PROTOCOLS)("%s", (protocol) => {
  test.each(FRAMINGS)("0 bytes on a path that is not inference, %s", async (framing) => {
    const got = await sends(protocol, { method: "GET", path: "/v1/models" });
    expect(got).toMatchObject({ method: "GET", url: "/v1/models" });
    const posted = await sends(protocol, { path: "/tokenize?x=1", body: "", framing });
    expect(posted).toMatchObject({ method: "POST", url: "/tokenize?x=1" });
  });

  describe.each([KB, 64 * KB, 5 * KB * KB])("%i bytes", (bytes) => {
    test.each(FRAMINGS)("of a chat, %s", async (framing) => {
      const received = await sends(protocol, { path: CHAT, body: chatOfBytes(bytes), framing });
      expect(received.headers["content-length"]).toEqual(framing === "length" ? [String(bytes)] : undefined);
    });

    test.each(FRAMINGS)("of a chat in pieces, %s", async (framing) => {
      const pieceBytes = { [KB]: 7, [64 * KB]: 1_000 }[bytes] ?? 60_000;
      await sends(protocol, { path: CHAT, body: chatOfBytes(bytes), framing, pieceBytes });
    });

    test("that are no text, on a path that is not inference", async () => {
      await sends(protocol, {
        path: "/v1/audio/transcriptions",
        body: randomBytes(bytes),
        headers: { "content-type": "application/octet-stream" },
        framing: "chunked",
      });
    });
  });

  test("around the inspection limit of 512 KiB", async () => {
    for (const bytes of [-1, 0, 1].map((more) => 524_288 + more)) {
      for (const framing of FRAMINGS) await sends(protocol, { path: CHAT, body: chatOfBytes(bytes), framing });
    }
  });

  test("a chat that ends with trailers", async () => {
    await sends(protocol, { path: CHAT, body: chatOfBytes(KB), framing: "chunked", trailers: { "x-checksum": "1" } });
  });
});

describe("bytes as they may come", () => {
  const post = (body: string) =>
    `POST ${CHAT} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n${body}`;

  test("one by one, head and body", async () => {
    const body = chat();
    const [answer] = await raw(gateway.up.listen, post(body), { pieceBytes: 1 });
    expectArrived(answer!, body);
  });

  test("several requests in one segment", async () => {
    const bodies = [chat(), chat(), chat()];
    const answers = await raw(gateway.up.listen, bodies.map(post).join(""), { count: 3 });
    for (const [n, body] of bodies.entries()) expectArrived(answers[n]!, body);
  });

  test("after the gateway has said that it wants them", async () => {
    await sends("h1", { path: CHAT, body: chatOfBytes(KB * KB), headers: { expect: "100-continue" } });
  });
});

test("a long body that is sent while many others are stays whole", async () => {
  const calls = Array.from({ length: 24 }, (_, n) =>
    sends(n % 2 === 0 ? "h1" : "h2", { path: CHAT, body: chatOfBytes(KB * KB + n), pieceBytes: 50_000 }),
  );
  await Promise.all(calls);
});
