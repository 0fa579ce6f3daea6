// What the filter makes of answers: tokens and times by the labels of requests, in both builds, and nothing of
// an answer kept back.

import { describe, expect, test } from "vitest";
import { decodeSeries, type SeriesRow } from "../../src/control/series.ts";
import { usageFilterPath } from "../host/process.ts";
import type { Stream } from "../host/stream.ts";
import { CHAT, chatHeaders, Gateway } from "./gateway.ts";

const SERVER = "10.0.0.1:8000";
const JSON_HEAD = [
  [":status", "200"],
  ["content-type", "application/json; charset=utf-8"],
] as const;
const EVENTS_HEAD = [
  [":status", "200"],
  ["content-type", "text/event-stream"],
] as const;
const ANSWER =
  '{"model":"llama","usage":{"prompt_tokens":36,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":35}}}';
/** The lean build has no rows of tokens and times, the other has. */
const NOTHING = 0;

function gatewayOf(filter?: string): Gateway {
  const gateway = new Gateway({}, filter);
  gateway.serve([SERVER]);
  return gateway;
}

function usageGateway(): Gateway {
  return gatewayOf(usageFilterPath());
}

/** What slot 0 tells; its first row, for what is not told apart, left out. */
function rowsOf(gateway: Gateway): readonly SeriesRow[] {
  gateway.settle();
  const answer = gateway.control.exchange("GET", "/v1/series/0");
  if (answer.status !== 200) throw new Error(answer.body.toString());
  const decoded = decodeSeries(answer.body);
  if (!decoded.ok) throw new Error(decoded.error.message);
  return decoded.value.rows.slice(1);
}

function rowOf(gateway: Gateway): SeriesRow {
  const [row, ...others] = rowsOf(gateway);
  expect(others).toEqual([]);
  return row!;
}

/** Values observed, and their sum. */
function told(row: SeriesRow, name: keyof SeriesRow["histograms"]): readonly [number, number] {
  const { counts, sum } = row.histograms[name];
  return [counts.reduce((all, count) => all + count, 0), Number(sum.toFixed(6))];
}

function openAt(gateway: Gateway, body = CHAT): Stream {
  const stream = gateway.worker.open(body);
  stream.setProperty("upstream.address", SERVER);
  return stream;
}

describe("filter-usage.wasm", () => {
  test("counts a JSON answer's tokens, sizes and times under its labels", () => {
    const gateway = usageGateway();
    const stream = openAt(gateway);
    gateway.advance(30);
    stream.responseHeaders(JSON_HEAD, false);
    stream.responseBody(ANSWER.slice(0, 50), false);
    gateway.advance(50);
    stream.responseBody(ANSWER.slice(50), true);
    stream.end();
    const row = rowOf(gateway);
    expect(row).toMatchObject({
      labels: { model: "llama", target: "llama", fairnessId: "default-flow", priority: "0" },
      requests: 1,
      running: 0,
    });
    expect(told(row, "inputTokens")).toEqual([1, 36]);
    expect(told(row, "outputTokens")).toEqual([1, 8]);
    expect(told(row, "cachedTokens")).toEqual([1, 35]);
    expect(told(row, "requestBytes")).toEqual([1, CHAT.length]);
    expect(told(row, "responseBytes")).toEqual([1, ANSWER.length]);
    expect(told(row, "duration")).toEqual([1, 0.08]);
    expect(told(row, "ntpot")).toEqual([1, 0.01]);
    expect(told(row, "ttft")).toEqual([1, 0.03]);
    expect(told(row, "ttftStreaming")[0]).toBe(NOTHING);
    expect(told(row, "tpot")[0]).toBe(NOTHING);
    expect(told(row, "itl")[0]).toBe(NOTHING);
  });

  test("counts the times between the pieces of an event stream", () => {
    const gateway = usageGateway();
    const stream = openAt(gateway);
    gateway.advance(20);
    stream.responseHeaders(EVENTS_HEAD, false);
    const events = ['data: {"choices":[{}]}\n\n', 'data: {"choices":[{}]}\n\n', 'data: {"choices":[],"usa'];
    for (const event of events) {
      stream.responseBody(event, false);
      gateway.advance(10);
    }
    stream.responseBody('ge":{"prompt_tokens":5,"completion_tokens":4}}\n\ndata: [DONE]\n\n', false);
    stream.responseBody("", true);
    stream.end();
    const row = rowOf(gateway);
    expect(told(row, "ttftStreaming")).toEqual([1, 0.02]);
    expect(told(row, "ttft")[0]).toBe(NOTHING);
    expect(told(row, "itl")).toEqual([3, 0.03]);
    expect(told(row, "tpot")).toEqual([1, 0.01]);
    expect(told(row, "outputTokens")).toEqual([1, 4]);
  });

  test("pieces of an answer go on as they came", () => {
    const gateway = usageGateway();
    const stream = openAt(gateway);
    stream.responseHeaders([...JSON_HEAD, ["content-length", String(ANSWER.length)]], false);
    const pieces = [ANSWER.slice(0, 40), ANSWER.slice(40, 41), ANSWER.slice(41)];
    for (const [n, piece] of pieces.entries()) stream.responseBody(piece, n === 2);
    expect(stream.response.sentBody.map(String)).toEqual(pieces);
    expect(stream.response.sentHeaders).toContainEqual(["content-length", String(ANSWER.length)]);
  });

  test.each([
    [
      "encoded",
      [
        [":status", "200"],
        ["content-type", "application/json"],
        ["content-encoding", "gzip"],
      ],
    ],
    [
      "of another type",
      [
        [":status", "200"],
        ["content-type", "text/plain"],
      ],
    ],
  ] as const)("an answer that is %s is not read", (_what, head) => {
    const gateway = usageGateway();
    const stream = openAt(gateway);
    stream.responseHeaders(head, false);
    const before = gateway.worker.vm.log.countOf("proxy_get_buffer_bytes");
    stream.responseBody(ANSWER, true);
    expect(gateway.worker.vm.log.countOf("proxy_get_buffer_bytes")).toBe(before);
    stream.end();
    expect(told(rowOf(gateway), "inputTokens")[0]).toBe(NOTHING);
    expect(told(rowOf(gateway), "responseBytes")[0]).toBe(1);
  });

  test("a piece of a stream costs two host calls", () => {
    const gateway = usageGateway();
    const stream = openAt(gateway);
    stream.responseHeaders(EVENTS_HEAD, false);
    stream.responseBody('data: {"a":1}\n\n', false);
    const before = gateway.worker.vm.log.total;
    stream.responseBody('data: {"a":1}\n\n', false);
    expect(gateway.worker.vm.log.total - before).toBe(2);
  });
});

describe("filter.wasm", () => {
  test("has no callback for bodies of responses, and counts what it knows without", () => {
    const gateway = gatewayOf();
    expect(gateway.worker.vm.hasExport("proxy_on_response_body")).toBe(false);
    gateway.worker.drive({ body: CHAT, upstream: { headers: [["content-type", "application/json"]], body: ANSWER } });
    const row = rowOf(gateway);
    expect(row.requests).toBe(1);
    expect(told(row, "duration")[0]).toBe(1);
    expect(told(row, "requestBytes")).toEqual([1, CHAT.length]);
    for (const name of ["inputTokens", "outputTokens", "ttft", "responseBytes"] as const) {
      expect(told(row, name)[0]).toBe(NOTHING);
    }
  });

  test("tells requests apart by model, and counts those under way and those that failed", () => {
    const gateway = gatewayOf();
    const open = gateway.worker.open();
    gateway.worker.drive({ body: CHAT, upstream: { status: 503 } });
    gateway.worker.drive({ body: CHAT, upstream: { status: 418 } });
    gateway.worker.drive({ body: CHAT, upstream: "none" });
    gateway.worker.drive({ body: CHAT.replace("llama", "other-model") });
    gateway.worker.drive({ method: "GET", path: "/v1/models" });
    const rows = rowsOf(gateway);
    expect(rows.map(({ labels, requests, running }) => [labels.model, requests, running])).toEqual([
      ["llama", 4, 1],
      ["other-model", 1, 0],
    ]);
    // 503, another 4xx, and one that was never answered
    expect(rows[0]!.errors).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1]);
    open.end();
    expect(rowsOf(gateway)[0]!.running).toBe(0);
  });

  test("a refusal of its own counts by its status", () => {
    const gateway = new Gateway();
    gateway.control.topology([{ name: "default/llama", endpoints: [] }]);
    gateway.worker.drive({ body: CHAT });
    expect(rowOf(gateway).errors.indexOf(1)).toBe(10);
  });

  test("beyond 999 combinations of labels the rest is one", () => {
    const gateway = gatewayOf();
    for (let n = 0; n < 1_100; ++n) gateway.worker.drive({ body: CHAT.replace("llama", `model-${n}`) });
    gateway.settle();
    const decoded = decodeSeries(gateway.control.exchange("GET", "/v1/series/0").body);
    if (!decoded.ok) throw new Error(decoded.error.message);
    expect(decoded.value.rows).toHaveLength(1_000);
    expect(decoded.value.rows[0]).toMatchObject({ labels: { model: "other" }, requests: 101, running: 0 });
  });

  test("a worker that counted nothing since writes nothing, and a body streamed through counts in full", () => {
    const gateway = gatewayOf();
    gateway.worker.drive({ body: CHAT });
    gateway.settle();
    const writes = () => gateway.process.sharedData.get("series/1/0")!.cas;
    const before = writes();
    gateway.settle();
    expect(writes()).toBe(before);
    const stream = gateway.worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    stream.requestBody(CHAT.slice(0, -1).padEnd(600_000), false);
    stream.requestBody(" ".repeat(400_000), false);
    stream.requestBody("}", true);
    stream.setProperty("upstream.address", SERVER);
    stream.responseHeaders(JSON_HEAD, true);
    stream.end();
    expect(told(rowOf(gateway), "requestBytes")).toEqual([2, CHAT.length + 1_000_001]);
  });

  test.each(["/v1/series/", "/v1/series/64", "/v1/series/x", "/v1/series/001"])("GET %s is answered 404", (path) => {
    expect(gatewayOf().control.exchange("GET", path).status).toBe(404);
  });
});
