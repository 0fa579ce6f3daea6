// Usage that the filter asks for in the caller's place: what becomes of the body of the request, and that the
// caller sees nothing of it in the answer. However bodies look and are cut is shown in
// test/property/injected-usage.test.ts.

import { describe, expect, test } from "vitest";
import { decodeSeries } from "../../src/control/series.ts";
import { headerOf, isHeld } from "../host/drive.ts";
import type { ModelsSpec } from "../host/models.ts";
import { filterPath, usageFilterPath } from "../host/process.ts";
import type { Stream } from "../host/stream.ts";
import { Gateway, IDLE, POOL } from "./gateway.ts";

const SERVER = "10.0.0.1:8000";
const ASKED = '"stream_options":{"include_usage":true},';
const RULES: ModelsSpec = { models: [{ name: "m", targets: [{ name: "longer" }] }] };

function gatewayOf(configuration: object = { injectUsage: true }, filter = usageFilterPath(), models = {}): Gateway {
  const gateway = new Gateway(configuration, filter);
  gateway.control.topology([{ name: POOL, models, endpoints: [{ address: SERVER }] }]);
  gateway.control.metrics([IDLE]);
  return gateway;
}

/** The body that the server gets, once its length was found right. */
function sentFor(body: string, gateway = gatewayOf(), path?: string): string {
  const headers = [["content-length", String(Buffer.byteLength(body))]] as const;
  const outcome = gateway.worker.drive({ body, headers, ...(path === undefined ? {} : { path }) });
  expect(outcome.localResponse).toBeUndefined();
  const sent = Buffer.from(outcome.forwardedBody);
  expect(headerOf(outcome.forwardedHeaders, "content-length")).toBe(String(sent.length));
  return sent.toString();
}

describe("the request", () => {
  test("is asked for usage first in its body, or first in the options that are there", () => {
    expect(sentFor('{"model":"m","stream":true}')).toBe(`{${ASKED}"model":"m","stream":true}`);
    expect(sentFor(' {\n"stream" : true, "model":"m" }\n')).toBe(` {${ASKED}\n"stream" : true, "model":"m" }\n`);
    expect(sentFor('{"model":"m","stream":true,"prompt":"é"}', gatewayOf(), "/v1/completions")).toBe(
      `{${ASKED}"model":"m","stream":true,"prompt":"é"}`,
    );
    expect(sentFor('{"model":"m","stream_options":{ },"stream":true}')).toBe(
      '{"model":"m","stream_options":{"include_usage":true },"stream":true}',
    );
    expect(sentFor('{"stream_options": {"x":{"include_usage":1}},"model":"m","stream":true}')).toBe(
      '{"stream_options": {"include_usage":true,"x":{"include_usage":1}},"model":"m","stream":true}',
    );
  });

  test.each([
    '{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
    '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    '{"model":"m","stream":true,"stream_options":{"a":[],"include\\u005fusage":null}}',
    '{"model":"m","stream":true,"stream_options":null}',
    '{"model":"m","stream":true,"stream_options":[]}',
    '{"model":"m","stream":false}',
    '{"model":"m","stream":true,"stream":0}',
    '{"model":"m"}',
  ])("is left alone where the caller has a word, or no stream: %s", (body) => {
    expect(sentFor(body)).toBe(body);
  });

  test("of members that are there twice the last counts", () => {
    const before = '"stream_options":{"include_usage":false}';
    expect(sentFor(`{${before},"model":"m","stream":true,"stream_options":{}}`)).toBe(
      `{${before},"model":"m","stream":true,"stream_options":{"include_usage":true}}`,
    );
  });

  test("has its model rewritten all the same, on either side of the change", () => {
    const gateway = gatewayOf({ injectUsage: true }, usageFilterPath(), RULES);
    expect(sentFor('{"model":"m","stream":true}', gateway)).toBe(`{${ASKED}"model":"longer","stream":true}`);
    const options = '"stream_options":{"a":1}';
    const asked = '"stream_options":{"include_usage":true,"a":1}';
    expect(sentFor(`{"model":"m",${options},"stream":true}`, gateway)).toBe(
      `{"model":"longer",${asked},"stream":true}`,
    );
    expect(sentFor(`{${options},"model":"m","stream":true}`, gateway)).toBe(
      `{${asked},"model":"longer","stream":true}`,
    );
  });

  test("is asked once, also when it had to wait and is read again", () => {
    const gateway = new Gateway({ injectUsage: true, prefixIndexMiB: 1 }, usageFilterPath());
    const profiles = [{ scorers: [{ type: "in-flight-scorer" as const }] }];
    const flow = { queues: true, detector: { type: "concurrency-detector", maxConcurrency: 1 } } as const;
    gateway.control.topology([{ name: POOL, program: { profiles, flow }, endpoints: [{ address: SERVER }] }]);
    gateway.control.metrics([IDLE]);
    gateway.settle();
    const body = '{"model":"m","stream":true}';
    const running = gateway.worker.open(body);
    const waiting = gateway.worker.open(body);
    expect(isHeld(waiting)).toBe(true);
    running.end();
    gateway.settle();
    expect(waiting.request.sentBody.map(String).join("")).toBe(`{${ASKED}"model":"m","stream":true}`);
    waiting.end();
  });

  test("is left alone where its body goes on beyond what is read, other APIs', and without the setting", () => {
    const long = `{"model":"m","stream":true,"x":"${"x".repeat(200)}"}`;
    expect(sentFor(long, gatewayOf({ injectUsage: true, inspectionBytes: 100 }))).toBe(long);
    const body = '{"model":"m","stream":true,"input":"x","messages":[]}';
    for (const path of ["/v1/responses", "/v1/messages"]) expect(sentFor(body, gatewayOf(), path)).toBe(body);
    expect(sentFor(body, gatewayOf({ injectUsage: false }))).toBe(body);
    expect(sentFor(body, gatewayOf({}))).toBe(body);
  });

  test("is left alone by the lean build, which would not take the usage out again", () => {
    const body = '{"model":"m","stream":true}';
    expect(sentFor(body, gatewayOf({ injectUsage: true }, filterPath()))).toBe(body);
  });
});

const EVENT = 'data: {"id":"1","model":"longer","choices":[{"delta":{"content":"a \\" ]"}}],"usage":null}\n\n';
const USAGE = 'data: {"id":"1","model":"longer","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n';
const DONE = "data: [DONE]\n\n";

/** A stream whose usage was asked for, its answer's head come. */
function answering(gateway: Gateway, type = "text/event-stream", body = '{"model":"m","stream":true}'): Stream {
  const stream = gateway.worker.open(body);
  stream.setProperty("upstream.address", SERVER);
  const head = [
    [":status", "200"],
    ["content-type", type],
    ["content-length", "9"],
  ] as const;
  stream.responseHeaders(head, false);
  return stream;
}

function got(stream: Stream, pieces: readonly string[]): string {
  for (const piece of pieces) stream.responseBody(piece, false);
  stream.responseBody("", true);
  stream.end();
  return stream.response.sentBody.map(String).join("");
}

describe("the answer", () => {
  test("comes without the event that tells it, which counts all the same", () => {
    const gateway = gatewayOf();
    const stream = answering(gateway);
    expect(got(stream, [EVENT, EVENT + USAGE + DONE])).toBe(EVENT + EVENT + DONE);
    expect(headerOf(stream.response.sentHeaders, "content-length")).toBeUndefined();
    gateway.settle();
    const series = decodeSeries(gateway.control.exchange("GET", "/v1/series/0").body);
    if (!series.ok) throw new Error(series.error.message);
    expect(series.value.rows[1]!.histograms.inputTokens.sum).toBe(5);
    expect(series.value.rows[1]!.histograms.outputTokens.sum).toBe(2);
  });

  test("is held back no longer than until an event says that it is another one", () => {
    const stream = answering(gatewayOf());
    const sent = () => stream.response.sentBody.map(String).join("");
    const decides = EVENT.indexOf("[{") + 2;
    stream.responseBody(EVENT + EVENT.slice(0, decides - 1), false);
    expect(sent()).toBe(EVENT);
    stream.responseBody("{", false);
    expect(sent()).toBe(EVENT + EVENT.slice(0, decides));
    stream.responseBody(EVENT.slice(decides), false);
    expect(sent()).toBe(EVENT + EVENT);
    for (const byte of USAGE) stream.responseBody(byte, false);
    stream.responseBody(DONE, false);
    expect(sent()).toBe(EVENT + EVENT + DONE);
    stream.end();
  });

  test("goes on at once where a line ends before it says what it is", () => {
    const stream = answering(gatewayOf());
    for (const line of ["data:\n\n", 'data: {"choices":[]\n\n', 'data: {"a\n\n']) {
      const before = stream.response.sentBody.length;
      stream.responseBody(line + EVENT, false);
      expect(stream.response.sentBody.slice(before).map(String)).toEqual([line + EVENT]);
    }
    stream.end();
  });

  test("shows the caller's name of the model too", () => {
    const gateway = gatewayOf({ injectUsage: true }, usageFilterPath(), RULES);
    const expected = `${EVENT}${EVENT}${DONE}`.replaceAll("longer", "m");
    for (let cut = 1; cut < EVENT.length + USAGE.length; ++cut) {
      const all = EVENT + USAGE + EVENT + DONE;
      expect(got(answering(gateway), [all.slice(0, cut), all.slice(cut)])).toBe(expected);
    }
  });

  test("goes on whole when it ends in the middle of such an event", () => {
    const begun = USAGE.slice(0, USAGE.indexOf('"usage"'));
    expect(got(answering(gatewayOf()), [EVENT, begun])).toBe(EVENT + begun);
    const stream = answering(gatewayOf());
    stream.responseBody(begun, true);
    stream.end();
    expect(stream.response.sentBody.map(String).join("")).toBe(begun);
  });

  test("keeps an event that is longer than what may be held of it", () => {
    const long = USAGE.replace('"id"', `"x":"${"y".repeat(2_000)}","id"`);
    expect(got(answering(gatewayOf()), [long.slice(0, 1_900), long.slice(1_900)])).toBe(long);
    expect(got(answering(gatewayOf()), [EVENT + long, DONE])).toBe(EVENT + DONE);
  });

  test("is left alone where the caller asked, and where it is no event stream", () => {
    const own = '{"model":"m","stream":true,"stream_options":{"include_usage":true}}';
    expect(got(answering(gatewayOf(), "text/event-stream", own), [EVENT, USAGE])).toBe(EVENT + USAGE);
    const stream = answering(gatewayOf(), "application/json");
    expect(got(stream, [USAGE])).toBe(USAGE);
    expect(headerOf(stream.response.sentHeaders, "content-length")).toBe("9");
  });

  test("streams that end while something of them is held give its room back", () => {
    const gateway = gatewayOf();
    // More than there is room for at once.
    for (let n = 0; n < 600; ++n) {
      const stream = answering(gateway);
      stream.responseBody("data: {", false);
      expect(stream.response.sentBody).toEqual([]);
      stream.end();
    }
    const open = Array.from({ length: 300 }, () => answering(gateway));
    for (const stream of open) stream.responseBody("data: {", false);
    expect(open.filter((stream) => stream.response.sentBody.length === 0)).toHaveLength(256);
    for (const stream of open) {
      expect(got(stream, [USAGE.slice(7)])).toBe(stream.response.sentBody.length === 0 ? "" : USAGE);
    }
  });
});
