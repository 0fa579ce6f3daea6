// Usage that the filter asks for in the caller's place, with a server that tells it only if asked: the server gets
// one member more, the caller the stream as if nobody had asked, and the tokens are counted.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Backend, type Handler } from "./support/backend.ts";
import type { Protocol } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { answerInPieces, cut } from "./support/pieces.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { Pools } from "./support/pools.ts";
import { Statistics } from "./support/statistics.ts";

const CHAT = "/v1/chat/completions";
const EVENTS = "text/event-stream";
const ASKED = '"stream_options":{"include_usage":true},';
const SERVED = "llama-v2";
const RULES = { models: [{ name: "llama", targets: [{ name: SERVED }] }] };
const DONE = "data: [DONE]\n\n";

function contentOf(model: string): string {
  const event = (text: string) => `data: {"model":"${model}","choices":[{"delta":{"content":"${text}"}}]}\n\n`;
  return ["a", "b", "[]"].map(event).join("");
}

function usageOf(model: string): string {
  return `data: {"model":"${model}","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}\n\n`;
}

/** How the server's stream is cut, by the request's "user". */
const CUTS: Readonly<Record<string, (all: string) => readonly string[]>> = {
  events: (all) => all.split(/(?<=\n\n)/),
  whole: (all) => [all],
  "cut in the usage": (all) => cut(all, 40, all.indexOf('"usage"') - 20, all.indexOf("completion"), all.length - 15),
  "cut in line ends": (all) => cut(all, all.indexOf(DONE) - 1, all.indexOf(DONE) + 1),
};

interface Asked {
  readonly model: string;
  readonly user: string;
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
}

/** What the servers got last, and the length that its header said. */
let received = { body: "", length: undefined as string | undefined };

const serve: Handler = async ({ request, response }) => {
  const bytes: Buffer[] = [];
  for await (const piece of request) bytes.push(piece as Buffer);
  received = { body: Buffer.concat(bytes).toString(), length: request.headers["content-length"] };
  const { model, user, stream_options } = JSON.parse(received.body) as Asked;
  const all = contentOf(model) + (stream_options?.include_usage ? usageOf(model) : "") + DONE;
  await answerInPieces(response, { type: EVENTS, pieces: CUTS[user]!(all) });
};

let backends: readonly Backend[] = [];
let gateway: Gateway;
let pools: Pools;

beforeAll(async () => {
  backends = await onOnePort(2, (listen) => Backend.start(listen, { handler: serve }));
  gateway = await startGateway({ servers: backends, filter: { injectUsage: true } });
  await gateway.measured();
  pools = await Pools.start({
    pools: [{ name: "chat", servers: backends, models: RULES }],
    filter: { injectUsage: true },
  });
});

afterAll(async () => {
  await pools?.stop();
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

async function counted(model: string): Promise<readonly [number, number]> {
  const { host, port } = gateway.up.agent;
  const page = new Statistics(await (await fetch(`http://${host}:${port}/metrics`)).text());
  const sum = (name: string) => page.sum(`llm_d_epp_request_${name}_tokens_sum`, { model_name: model });
  return [sum("input"), sum("output")];
}

describe.each<Protocol>(["h1", "h2"])("over %s", (protocol) => {
  test.each(Object.keys(CUTS))("%s: asked for, counted, and not seen", async (user) => {
    const model = `${user}-${protocol}`;
    const body = `{"model":"${model}","user":"${user}","stream":true}`;
    const answer = await gateway.client(protocol).call({ path: CHAT, body });
    expect(received.body).toBe(`{${ASKED}${body.slice(1)}`);
    expect(received.length).toBe(String(received.body.length));
    expect(answer.body.toString()).toBe(contentOf(model) + DONE);
    expect(
      await eventually(
        () => counted(model),
        ([input]) => input > 0,
      ),
    ).toEqual([5, 3]);
  });

  test("a caller's own word stands, either way", async () => {
    for (const wanted of [true, false]) {
      const body = `{"model":"m","user":"events","stream":true,"stream_options":{"include_usage":${wanted}}}`;
      const answer = await gateway.client(protocol).call({ path: CHAT, body });
      expect(received.body).toBe(body);
      expect(answer.body.toString()).toBe(contentOf("m") + (wanted ? usageOf("m") : "") + DONE);
    }
  });

  test.each(Object.keys(CUTS))("%s: a model is rewritten at the same time, both ways", async (user) => {
    const body = (model: string, options: string) =>
      `{"user":"${user}","model":"${model}","stream_options":{${options}"x":1},"stream":true}`;
    const call = { path: CHAT, body: body("llama", ""), framing: "chunked" as const };
    const answer = await pools.client(protocol).call(call);
    expect(received).toEqual({ body: body(SERVED, '"include_usage":true,'), length: undefined });
    expect(answer.body.toString()).toBe(contentOf("llama") + DONE);
  });
});
