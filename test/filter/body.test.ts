// Bodies: refused ones, held ones, long ones.

import { describe, expect, test } from "vitest";
import { ACTION_CONTINUE, ACTION_STOP } from "../host/abi.ts";
import { isHeld } from "../host/drive.ts";
import { CHAT, chatHeaders, destinationOf, errorOf, Gateway } from "./gateway.ts";

const A = "10.0.0.1:8000";
const LIMIT = 524_288;

function one(configuration: object = {}): Gateway {
  const gateway = new Gateway(configuration);
  gateway.serve([A]);
  return gateway;
}

describe("400 in OpenAI's shape", () => {
  test.each([
    ["not JSON", "hello", "invalid_json"],
    ["not UTF-8", Buffer.from('{"model":"\xff"}', "latin1"), "invalid_json"],
    ["a byte order mark", '\ufeff{"model":"m"}', "invalid_json"],
    ["cut short", '{"model":"m","messages":[', "invalid_json"],
    ["empty", "", "invalid_json"],
    ["an array", '[{"model":"m"}]', "invalid_json"],
    ["a text", '"model"', "invalid_json"],
    ["no model", '{"prompt":"x"}', "missing_model"],
    ["a model that is no string", '{"model":7}', "missing_model"],
    ["a model in a message only", '{"messages":[{"model":"m"}]}', "missing_model"],
    ["nested too deep", `{"model":"m","a":${"[".repeat(600)}`, "json_too_deep"],
  ])("%s", (_, body, code) => {
    const gateway = one();
    const error = errorOf(gateway.worker.drive({ body }));
    expect(error).toMatchObject({ status: 400, type: "invalid_request_error", code });
    expect(gateway.worker.vm.trap).toBeUndefined();
    expect(gateway.inFlightTotal()).toBe(0);
  });

  test("a POST without a body", () => {
    const stream = one().worker.stream();
    stream.requestHeaders(chatHeaders(), true);
    expect(errorOf(stream)).toMatchObject({ status: 400, code: "invalid_json" });
  });

  test("a body that is wrong early, once it is whole", () => {
    const stream = one().worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    expect(stream.requestBody(`{"model":"m",}${" ".repeat(70_000)}`, false)).toBe(ACTION_STOP);
    expect(isHeld(stream)).toBe(true);
    stream.requestBody("more", true);
    expect(errorOf(stream)).toMatchObject({ status: 400, code: "invalid_json" });
    expect(stream.request.sentHeaders).toBeUndefined();
    expect(stream.request.sentBody).toEqual([]);
  });

  test("a longer one at the inspection limit, whatever is still to come", () => {
    const stream = one({ inspectionBytes: 100 }).worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    stream.requestBody(`{"model":"m",}${" ".repeat(200)}`, false);
    expect(errorOf(stream)).toMatchObject({ status: 400, code: "invalid_json" });
    expect(stream.requestBody("more", true)).toBe(ACTION_CONTINUE);
    expect(stream.request.sentHeaders).toBeUndefined();
    expect(stream.request.sentBody).toEqual([]);
  });
});

test.each(["/v1/messages", "/v1/embeddings", "/v1/responses", "/v1/images/generations", "/inference/v1/generate"])(
  "a request to %s without a model is refused",
  (path) => {
    const { worker } = one();
    expect(errorOf(worker.drive({ path, body: '{"input":"x"}' }))).toMatchObject({
      status: 400,
      code: "missing_model",
    });
    expect(worker.drive({ path, body: '{"model":"m"}' }).destination).toBe(A);
  },
);

test("a model that no object names passes unchanged", () => {
  const body = '{"model":"nobody knows it","prompt":"x"}';
  const outcome = one().worker.drive({ path: "/v1/completions", body });
  expect(Buffer.from(outcome.forwardedBody).toString()).toBe(body);
  expect(outcome.destination).toBe(A);
});

test("a body is held to its end and goes on byte by byte as it came", () => {
  const stream = one().worker.stream();
  expect(stream.requestHeaders(chatHeaders(), false)).toBe(ACTION_STOP);
  for (let at = 0; at < CHAT.length - 1; at++) {
    expect(stream.requestBody(CHAT.slice(at, at + 1), false)).toBe(ACTION_STOP);
  }
  expect(isHeld(stream)).toBe(true);
  expect(stream.requestBody(CHAT.slice(-1), true)).toBe(ACTION_CONTINUE);
  expect(Buffer.concat(stream.request.sentBody).toString()).toBe(CHAT);
  expect(destinationOf(stream)).toBe(A);
});

test("a body whose end arrives by itself, and one that ends in trailers", () => {
  const { worker } = one();
  const alone = worker.stream();
  alone.requestHeaders(chatHeaders(), false);
  alone.requestBody(CHAT, false);
  expect(isHeld(alone)).toBe(true);
  alone.requestBody("", true);
  expect(destinationOf(alone)).toBe(A);

  const trailed = worker.stream();
  trailed.requestHeaders(chatHeaders(), false);
  trailed.requestBody(CHAT, false);
  trailed.requestTrailers([["x-checksum", "1"]]);
  expect(destinationOf(trailed)).toBe(A);
  expect(Buffer.concat(trailed.request.sentBody).toString()).toBe(CHAT);

  const cut = worker.stream();
  cut.requestHeaders(chatHeaders(), false);
  cut.requestBody(CHAT.slice(0, 20), false);
  cut.requestTrailers([["x-checksum", "1"]]);
  expect(errorOf(cut)).toMatchObject({ status: 400, code: "invalid_json" });
  expect(cut.request.sentHeaders).toBeUndefined();
});

describe("bounded inspection", () => {
  const CHUNK = 16_384;

  interface Sent {
    readonly heldBytes: number;
    readonly fetched: number;
    readonly body: Buffer;
    readonly forwarded: Buffer;
    readonly destination: string | undefined;
    readonly fetches: readonly [from: number, bytes: number][];
  }

  function send(gateway: Gateway, body: Buffer): Sent {
    const { worker } = gateway;
    worker.vm.log.recording = true;
    worker.vm.log.take();
    const stream = worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    let heldBytes = 0;
    for (let at = 0; at < body.length; at += CHUNK) {
      stream.requestBody(body.subarray(at, at + CHUNK), at + CHUNK >= body.length);
      if (isHeld(stream)) heldBytes = Math.min(at + CHUNK, body.length);
    }
    const fetches = worker.vm.log.take().flatMap((entry): [number, number][] => {
      if (entry.kind !== "call" || entry.name !== "proxy_get_buffer_bytes") return [];
      return [[Number(entry.args[1]), Number(/\d+/.exec(entry.value ?? "")?.[0])]];
    });
    const destination = destinationOf(stream);
    stream.end();
    return {
      heldBytes,
      fetched: fetches.reduce((sum, [, bytes]) => sum + bytes, 0),
      body,
      forwarded: Buffer.concat(stream.request.sentBody),
      destination,
      fetches,
    };
  }

  const chat = (bytes: number) => Buffer.from(CHAT.replace("hello", "x".repeat(bytes - CHAT.length + 5)));

  test("nothing is fetched before the body is whole", () => {
    const { worker } = one();
    const before = worker.vm.log.countOf("proxy_get_buffer_bytes");
    const stream = worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    stream.requestBody(chat(300_000).subarray(0, 200_000), false);
    expect(worker.vm.log.countOf("proxy_get_buffer_bytes")).toBe(before);
  });

  test("600 KB: decided at 512 KiB, then streamed; each byte fetched once", () => {
    const sent = send(one(), chat(600_000));
    expect(sent.heldBytes).toBe(LIMIT - CHUNK);
    expect(sent.destination).toBe(A);
    expect(sent.forwarded.equals(sent.body)).toBe(true);
    expect(sent.fetched).toBe(LIMIT);
    let next = 0;
    for (const [from, bytes] of sent.fetches) {
      expect(from).toBe(next);
      next += bytes;
    }
  });

  test("below the limit the whole body is read before the decision", () => {
    const sent = send(one(), chat(400_000));
    expect(sent.heldBytes).toBeGreaterThan(400_000 - CHUNK - 1);
    expect(sent.fetched).toBe(400_000);
    expect(sent.forwarded.equals(sent.body)).toBe(true);
  });

  test("one big piece is fetched in parts", () => {
    const { worker } = one();
    const stream = worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    const body = chat(5_000_000);
    expect(stream.requestBody(body, true)).toBe(ACTION_CONTINUE);
    expect(Buffer.concat(stream.request.sentBody).equals(body)).toBe(true);
  });

  test("a model that comes after the limit does not matter, nor does damage there", () => {
    const late = `{"messages":["${"x".repeat(LIMIT)}"],"model":7} trailing`;
    const outcome = one().worker.drive({ body: [late.slice(0, LIMIT), late.slice(LIMIT)] });
    expect(outcome.destination).toBe(A);
    expect(Buffer.from(outcome.forwardedBody).toString()).toBe(late);
  });

  test("the configuration can lower the limit", () => {
    const stream = one({ inspectionBytes: 100 }).worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    expect(stream.requestBody(chat(1_000).subarray(0, 99), false)).toBe(ACTION_STOP);
    expect(stream.requestBody(chat(1_000).subarray(99, 120), false)).toBe(ACTION_CONTINUE);
  });
});
