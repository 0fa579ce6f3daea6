// The caller's name of the model in the answers of a real Envoy: over both protocols, in documents and event
// streams, with the name cut by a piece's end, the body's end in a piece of its own, trailers behind it.

import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { Backend } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Protocol } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, POOL, startGateway } from "./support/gateway.ts";
import { ANSWER_HEADER, type Answer, answering, cut } from "./support/pieces.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const SERVER = "llama-v2-lora-7";
const CALLER = "llama";
const EVENTS = "text/event-stream";

function eventsOf(model: string): string {
  const event = (n: number) => `data: {"id":"${n}","model":"${model}","choices":[{"delta":{"content":"${n}"}}]}\n\n`;
  return `${[0, 1, 2].map(event).join("")}data: [DONE]\n\n`;
}

function documentOf(model: string, padding = 0): string {
  return `{"id":"1","object":"x","model": "${model}","text":"${"a".repeat(padding)}","model":"other"}`;
}

const BIG = 700_000;
const NAME_AT = eventsOf(SERVER).indexOf(SERVER);

const ANSWERS: Readonly<Record<string, Answer>> = {
  document: { pieces: [documentOf(SERVER)], headers: { "content-length": String(documentOf(SERVER).length) } },
  "document, chunked and cut": { pieces: cut(documentOf(SERVER), 25, 37) },
  "large document": { pieces: [documentOf(SERVER, BIG)] },
  events: { type: EVENTS, pieces: eventsOf(SERVER).split(/(?<=\n\n)/) },
  "events cut in names": { type: EVENTS, pieces: cut(eventsOf(SERVER), NAME_AT - 6, NAME_AT + 3, NAME_AT + 90) },
  "events in single bytes": { type: EVENTS, pieces: [...eventsOf(SERVER).slice(0, 60), eventsOf(SERVER).slice(60)] },
  trailers: { pieces: cut(documentOf(SERVER), 30), trailers: { "x-after": "yes" } },
};
const GZIPPED = gzipSync(documentOf(SERVER));
const LEFT_ALONE: Readonly<Record<string, Answer>> = {
  gzip: { pieces: [GZIPPED], headers: { "content-encoding": "gzip", "content-length": String(GZIPPED.length) } },
  text: {
    type: "text/plain",
    pieces: [documentOf(SERVER)],
    headers: { "content-length": String(documentOf(SERVER).length) },
  },
};

let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeAll(async () => {
  const handler = answering({ ...ANSWERS, ...LEFT_ALONE });
  backends = await onOnePort(2, (listen) => Backend.start(listen, { handler }));
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
  const rules = [{ matches: [{ model: { value: CALLER } }], targets: [{ modelRewrite: SERVER }] }];
  const spec = { poolRef: { name: POOL }, rules };
  const metadata = { name: "rename", namespace: "default" };
  const rewrite = { apiVersion: "llm-d.ai/v1alpha2", kind: "InferenceModelRewrite", metadata, spec };
  gateway.objects.put("rename", stringify(rewrite));
  await eventually(async () => {
    const answer = await ask("document", "h1");
    return answer.body.toString() === documentOf(CALLER);
  }, Boolean);
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

function ask(name: string, protocol: Protocol) {
  return gateway.client(protocol).call({
    path: "/v1/chat/completions",
    body: chat({ model: CALLER }),
    headers: { [ANSWER_HEADER]: name },
  });
}

describe.each(["h1", "h2"] as const)("over %s", (protocol) => {
  test.each(Object.keys(ANSWERS))("%s: the caller's name, every other byte as it was", async (name) => {
    const answer = await ask(name, protocol);
    const expected = ANSWERS[name]!.pieces.join("").replaceAll(SERVER, CALLER);
    expect(answer.body.toString()).toBe(expected);
    expect(answer.headers["content-length"]).toBeUndefined();
  });

  test.each(Object.keys(LEFT_ALONE))("%s is left alone", async (name) => {
    const answer = await ask(name, protocol);
    const [body] = LEFT_ALONE[name]!.pieces;
    expect(answer.body).toEqual(Buffer.from(body!));
    expect(answer.headers["content-length"]).toBe(String(answer.body.length));
  });
});

test("an event goes on at once, but for what may be the name's beginning", async () => {
  const headers = { [ANSWER_HEADER]: "events cut in names" };
  const request = { path: "/v1/chat/completions", body: chat({ model: CALLER }), headers };
  const { body } = await gateway.client("h2").begin(request);
  const pieces: string[] = [];
  for await (const piece of body) pieces.push(String(piece));
  expect(pieces[0]).toBe('data: {"id":"0",');
  expect(pieces.join("")).toBe(eventsOf(CALLER));
});
