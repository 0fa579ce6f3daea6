// Errors that Envoy itself answers are JSON in OpenAI's shape too.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HEADER_SERVED } from "../../src/wire/names.ts";
import { Backend } from "./support/backend.ts";
import { chat, chatOfBytes } from "./support/bodies.ts";
import type { Protocol } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { raw } from "./support/raw.ts";

const CHAT = "/v1/chat/completions";

let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeAll(async () => {
  backends = await onOnePort(3, (listen) => Backend.start(listen));
  // A connection may hold less than the filter would like to read.
  gateway = await startGateway({ servers: backends, bufferBytes: 65_536, retryBufferBytes: 65_536 });
  await gateway.measured();
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

test.each<Protocol>(["h1", "h2"])("413: a body that no connection may hold, %s", async (protocol) => {
  const answer = await gateway.client(protocol).call({ path: CHAT, body: chatOfBytes(300_000) });
  expectOpenAiError(answer, 413, "request_too_large");
});

test("431: headers that are too large", async () => {
  const headers = { "x-long": "a".repeat(70_000) };
  expectOpenAiError(await gateway.client().call({ path: CHAT, body: chat(), headers }), 431, "headers_too_large");
});

describe("what is hardly HTTP", () => {
  test.each([
    ["no host", 400, "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"],
    ["two lengths", 400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"],
    ["no request line", 400, "hello\r\n\r\n"],
    ["an older protocol", 426, "GET /v1/models HTTP/1.0\r\nhost: a\r\n\r\n"],
  ])("%s: %i", async (_what, status, text) => {
    const [answer] = await raw(gateway.up.listen, text);
    expectOpenAiError(answer!, status);
  });
});

describe("servers that fail", () => {
  test.each<Protocol>(["h1", "h2"])("503: none can be reached, %s", async (protocol) => {
    for (const backend of backends) backend.refuse();
    const answer = await gateway.client(protocol).call({ path: CHAT, body: chat() });
    expectOpenAiError(answer, 503, "upstream_failed");
    for (const backend of backends) await backend.accept();
  });

  test("a server's own error stays as it is", async () => {
    for (const backend of backends) {
      backend.handler = async ({ read, response }) => {
        await read();
        response.writeHead(404, { "content-type": "text/html" }).end("<h1>no</h1>");
      };
    }
    const answer = await gateway.client().call({ path: CHAT, body: chat() });
    expect(answer).toMatchObject({ status: 404, body: Buffer.from("<h1>no</h1>") });
    expect(answer.headers["content-type"]).toBe("text/html");
    expect(backends.map(({ name }) => name)).toContain(answer.headers[HEADER_SERVED]);
  });

  test("502 or 503: an answer that is no HTTP", async () => {
    for (const backend of backends) {
      backend.handler = async ({ read, request }) => {
        await read();
        request.socket.end("SSH-2.0-OpenSSH_9.9\r\n\r\n");
      };
    }
    const answer = await gateway.client().call({ path: CHAT, body: chat() });
    expectOpenAiError(answer, answer.status);
    expect([502, 503]).toContain(answer.status);
  });
});
