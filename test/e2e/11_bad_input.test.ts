// What is no request is answered 400 before a server is asked; what is not ours to judge passes.

import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { INSPECTION_BYTES } from "../../src/wire/limits.ts";
import { HEADER_SERVED, STAT_PICKS } from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat, sha256 } from "./support/bodies.ts";
import type { Client, Protocol } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const PATHS = ["/v1/chat/completions", "/v1/completions", "/openai/deployments/a/chat/completions?version=1"];

let backends: readonly Backend[] = [];
let gateway: Gateway;
let clients: Readonly<Record<Protocol, Client>>;

beforeAll(async () => {
  backends = await onOnePort(2, (listen) => Backend.start(listen));
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
  clients = { h1: gateway.client("h1"), h2: gateway.client("h2") };
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

const asked = () => backends.reduce((sum, backend) => sum + backend.requests, 0);

const BAD: readonly (readonly [string, string, string | Buffer])[] = [
  ["no body", "invalid_json", ""],
  ["blanks", "invalid_json", " \n\t "],
  ["no JSON", "invalid_json", "model=m&prompt=hello"],
  ["an array", "invalid_json", '[{"model":"m"}]'],
  ["a string", "invalid_json", '"model"'],
  ["a number", "invalid_json", "12"],
  ["null", "invalid_json", "null"],
  ["cut short in a string", "invalid_json", chat().slice(0, 40)],
  ["cut short before its last brace", "invalid_json", chat().slice(0, -1)],
  ["more after its end", "invalid_json", `${chat()}{}`],
  ["a comma too many", "invalid_json", '{"model":"m",}'],
  ["single quotes", "invalid_json", "{'model':'m'}"],
  ["a control character in a string", "invalid_json", '{"model":"m","prompt":"a\nb"}'],
  ["an escape that is none", "invalid_json", '{"model":"m","prompt":"\\x"}'],
  ["a number that is none", "invalid_json", '{"model":"m","max_tokens":01}'],
  ["not UTF-8", "invalid_json", Buffer.from('{"model":"m","prompt":"\xff"}', "latin1")],
  ["no model", "missing_model", '{"messages":[{"role":"user","content":"hi","model":"m"}]}'],
  ["an empty object", "missing_model", "{}"],
  ["a model that is a number", "missing_model", '{"model":7}'],
  ["a model that is null", "missing_model", '{"model":null}'],
  ["a model that is a list", "missing_model", '{"model":["m"]}'],
  ["nested too deep", "json_too_deep", `{"model":"m","x":${"[".repeat(600)}${"]".repeat(600)}}`],
];

describe.each<Protocol>(["h1", "h2"])("400 over %s:", (protocol) => {
  test.each(BAD)("%s: %s", async (_what, code, body) => {
    const before = asked();
    for (const path of PATHS) {
      for (const framing of ["length", "chunked"] as const) {
        const answer = await clients[protocol].call({ path, body, framing });
        expectOpenAiError(answer, 400, code);
        expect(answer.headers).not.toHaveProperty(HEADER_SERVED);
      }
    }
    expect(asked(), "no server is asked").toBe(before);
  });

  test("when the inspection limit is reached, not at the end of the body", async () => {
    const body = `[${" ".repeat(INSPECTION_BYTES)}`;
    const unfinished = { path: PATHS[0]!, body, framing: "chunked", isUnfinished: true } as const;
    const { live, cut } = clients[protocol].open(unfinished);
    expect((await live).status).toBe(400);
    cut();
  });

  test("and the connection goes on being used", async () => {
    const client = gateway.client(protocol, 1);
    const bad = await client.call({ path: PATHS[0]!, body: "{}" });
    expect(bad.status).toBe(400);
    expect((await client.call({ path: PATHS[0]!, body: chat() })).status).toBe(200);
  });
});

describe.each<Protocol>(["h1", "h2"])("passes as it is over %s:", (protocol) => {
  const json = { "content-type": "application/json" };
  test.each<readonly [string, Readonly<Record<string, string>>, string | Buffer]>([
    ["a model that nothing names", json, '{"model":"never-heard-of","prompt":"hi"}'],
    ["an empty model", json, '{"model":"","prompt":"hi"}'],
    ["a very long model", json, `{"model":"${"m".repeat(5_000)}"}`],
    ["a model told twice", json, '{"model":"a","model":"b"}'],
    ["blanks around it", json, ` \r\n\t{ "model" : "m" } \n`],
    ["escapes in the name of its model", json, '{"mod\\u0065l":"m"}'],
    ["JSON with a character set", { "content-type": "application/json; charset=utf-8" }, chat()],
    ["another content type", { "content-type": "text/plain" }, "hello"],
    ["a form", { "content-type": "multipart/form-data; boundary=x" }, "--x\r\n\r\n--x--\r\n"],
    ["a content encoding", { ...json, "content-encoding": "gzip" }, gzipSync(chat())],
  ])("%s", async (_what, headers, body) => {
    for (const path of PATHS) {
      const answer = await clients[protocol].call({ path, body, headers });
      expect(answer.status).toBe(200);
      expect(answer.json() as Received).toMatchObject({ sha256: sha256(body), url: path });
    }
  });

  test("what is no JSON on a path that is not inference", async () => {
    const answer = await clients[protocol].call({ path: "/v1/rerank", body: "{" });
    expect(answer.json() as Received).toMatchObject({ bytes: 1 });
  });
});

test("each 400 is counted, none is in flight", async () => {
  // Of both protocols: every body to every path in both framings, one that is unfinished, one that is {}.
  const count = 2 * (BAD.length * PATHS.length * 2 + 2);
  await gateway.counted(STAT_PICKS, { outcome: "bad_request" }, count);
  await eventually(
    () => gateway.inFlight(),
    (count) => count === 0,
  );
});
