// What answers say of their tokens, and when they came, on the agent's page, whatever the protocol and however
// the answers are cut.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Backend } from "./support/backend.ts";
import type { Protocol } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { ANSWER_HEADER, type Answer, answering, cut } from "./support/pieces.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { type Labels, Statistics } from "./support/statistics.ts";

const EVENTS = "text/event-stream";
const JSON_ANSWER =
  '{"choices":[{"message":{"content":"a \\"usage\\": {"}}],"usage":{"prompt_tokens":36,"completion_tokens":8,' +
  '"prompt_tokens_details":{"cached_tokens":35}}}';
const CHAT_EVENTS = [
  'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
  'data: {"choices":[{"delta":{"content":"b"}}]}\n\n',
  'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
];
const MESSAGES_EVENTS =
  'event: message_start\ndata: {"type":"message_start","message":{"usage":{"cache_read_input_tokens":15,' +
  '"input_tokens":1,"output_tokens":0}}}\n\nevent: message_delta\n' +
  'data: {"type":"message_delta","usage":{"output_tokens":8}}\n\n';
const RESPONSES_EVENTS =
  'event: response.completed\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":16,' +
  '"output_tokens":7,"input_tokens_details":{"cached_tokens":15}}}}\n\n';

interface Case extends Answer {
  readonly path: string;
  readonly input: number;
  readonly output: number;
  readonly cached: number;
}

const CHAT = "/v1/chat/completions";
const CASES: Readonly<Record<string, Case>> = {
  json: { path: CHAT, pieces: [JSON_ANSWER], input: 36, output: 8, cached: 35 },
  "json-cut": { path: CHAT, pieces: cut(JSON_ANSWER, 50, 68, 100), input: 36, output: 8, cached: 35 },
  events: { path: CHAT, type: EVENTS, pieces: CHAT_EVENTS, input: 5, output: 2, cached: 0 },
  "events-cut": {
    path: CHAT,
    type: EVENTS,
    pieces: cut(CHAT_EVENTS.join(""), 3, 60, 112, 130, 132),
    input: 5,
    output: 2,
    cached: 0,
  },
  messages: {
    path: "/v1/messages",
    type: EVENTS,
    pieces: cut(MESSAGES_EVENTS, 90, 200),
    input: 1,
    output: 8,
    cached: 15,
  },
  responses: {
    path: "/v1/responses",
    type: EVENTS,
    pieces: cut(RESPONSES_EVENTS, 80),
    input: 16,
    output: 7,
    cached: 15,
  },
};

let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeAll(async () => {
  backends = await onOnePort(2, (listen) => Backend.start(listen, { handler: answering(CASES) }));
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

async function page(): Promise<Statistics> {
  const { host, port } = gateway.up.agent;
  return new Statistics(await (await fetch(`http://${host}:${port}/metrics`)).text());
}

/** The agent's page once it knows that many requests for the model. */
function pageWith(model: string, requests: number): Promise<Statistics> {
  return eventually(
    page,
    (read) => read.sum("llm_d_epp_request_duration_seconds_count", { model_name: model }) === requests,
  );
}

function ask(name: string, protocol: Protocol, model: string) {
  const body = JSON.stringify({ model, prompt: "a", messages: [{ role: "user", content: "hello" }], input: "a" });
  const headers = { [ANSWER_HEADER]: name, traceparent: TRACE };
  return gateway.client(protocol).call({ path: CASES[name]!.path, body, headers });
}

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe.each(["h1", "h2"] as const)("over %s", (protocol) => {
  test.each(Object.keys(CASES))("%s: tokens are counted, the answer stays as it was", async (name) => {
    const { pieces, input, output, cached, type } = CASES[name]!;
    const model = `${name}-${protocol}`;
    const answer = await ask(name, protocol, model);
    expect(answer.body.toString()).toBe(pieces.join(""));
    const labels: Labels = { model_name: model, target_model_name: model, fairness_id: "default-flow", priority: "0" };
    const read = await pageWith(model, 1);
    const sum = (family: string) => read.sum(`llm_d_epp_${family}_sum`, labels);
    expect([sum("request_input_tokens"), sum("request_output_tokens"), sum("request_cached_tokens")]).toEqual([
      input,
      output,
      cached,
    ]);
    expect(sum("response_size_bytes")).toBe(pieces.join("").length);
    expect(read.sum("llm_d_epp_request_running", labels)).toBe(0);
    const streaming = type === EVENTS;
    expect(read.sum("llm_d_epp_request_ttft_seconds_count", { ...labels, streaming: String(streaming) })).toBe(1);
    if (streaming) expect(read.sum("llm_d_epp_request_streaming_itl_seconds_count", labels)).toBeGreaterThan(0);
    const [ttft, whole] = [sum("request_ttft_seconds"), sum("request_duration_seconds")];
    expect(ttft).toBeGreaterThan(0);
    expect(whole).toBeGreaterThan(ttft);
    expect(read.sum("inference_objective_input_tokens_sum", labels)).toBe(input);
    const attempts: Labels = { status: "success", target_model_name: model };
    expect(read.sum("llm_d_epp_scheduler_attempts_total", attempts)).toBe(1);
  });
});

test("both workers' requests are one sum, and a worker that is gone stays in it", async () => {
  const clients = (await gateway.clientsByWorker()).flat();
  const body = JSON.stringify({ model: "both", prompt: "a" });
  for (const client of clients) await client.call({ path: CHAT, body, headers: { [ANSWER_HEADER]: "json" } });
  await pageWith("both", clients.length);
  await gateway.up.restartEnvoy();
  await gateway.up.ready();
  await ask("json", "h1", "both");
  const read = await pageWith("both", clients.length + 1);
  expect(read.sum("llm_d_epp_request_input_tokens_sum", { model_name: "both" })).toBe(36 * (clients.length + 1));
});

test("traceparent reaches the server as it came", async () => {
  let seen: unknown;
  for (const backend of backends) {
    const before = backend.handler;
    backend.handler = (exchange) => {
      seen = exchange.request.headers.traceparent;
      return before(exchange);
    };
  }
  await ask("json", "h1", "traced");
  expect(seen).toBe(TRACE);
});

test("the pool's gauges have the reference's names", async () => {
  const read = await page();
  expect(read.sum("llm_d_epp_ready_endpoints", { name: "chat" })).toBe(2);
  expect(read.sum("inference_pool_ready_pods", { name: "chat" })).toBe(2);
  for (const name of ["average_queue_size", "average_kv_cache_utilization", "std_dev_running_requests"]) {
    expect(read.has(`llm_d_epp_${name}`, { name: "chat" })).toBe(true);
  }
  expect(read.has("llm_d_epp_per_endpoint_queue_size", { model_server_endpoint: "pod-1" })).toBe(true);
});
