// What the filter reads in request headers, takes from them and adds to them.

import { describe, expect, test } from "vitest";
import { ACTION_CONTINUE, ACTION_STOP } from "../host/abi.ts";
import { headerOf } from "../host/drive.ts";
import { CHAT, chatHeaders, destinationOf, Gateway } from "./gateway.ts";

const A = "10.0.0.1:8000";

function one(configuration: object = {}): Gateway {
  const gateway = new Gateway(configuration);
  gateway.serve([A]);
  return gateway;
}

test.each([
  "x-gateway-destination-endpoint",
  "x-gateway-destination-endpoint-subset",
  "x-prefiller-host-port",
  "x-encoder-hosts-ports",
  "x-data-parallel-host-port",
  "x-kv-cache-source-host-port",
  "x-envoy-max-retries",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-hedge-on-per-try-timeout",
])("a client's %s is removed, however often it was sent", (name) => {
  const gateway = one({ servedHeader: true });
  const headers = [
    [name, "6.6.6.6:80"],
    ["x-kept", "yes"],
    [name, "9"],
  ] as const;
  for (const request of [
    { body: CHAT, headers },
    { path: "/health", headers },
    { path: "/v1/models", headers },
  ]) {
    const outcome = gateway.worker.drive(request);
    const seen = outcome.forwardedHeaders!.filter(([key]) => key === name).map(([, value]) => value);
    const own = name === "x-gateway-destination-endpoint" ? [A] : name === "x-envoy-max-retries" ? ["0"] : [];
    expect(seen).toEqual(own);
    expect(headerOf(outcome.forwardedHeaders, "x-kept")).toBe("yes");
  }
});

test("a list shorter than three bounds the retries to itself, a full one leaves them to the route", () => {
  const gateway = new Gateway();
  const retries: (string | undefined)[] = [];
  for (const count of [1, 2, 3, 4]) {
    gateway.serve(Array.from({ length: count }, (_, index) => `10.0.${count}.${index}:8000`));
    gateway.advance(2);
    const { destination, forwardedHeaders } = gateway.worker.drive({ body: CHAT });
    expect(destination!.split(",")).toHaveLength(Math.min(3, count));
    retries.push(headerOf(forwardedHeaders, "x-envoy-max-retries"));
  }
  expect(retries).toEqual(["0", "1", undefined, undefined]);
});

const INFERENCE_PATHS = [
  "/v1/chat/completions",
  "/v1/chat/completions/",
  "/v1/chat/completions/render",
  "/openai/deployments/x/chat/completions?api-version=2",
  "/v1/completions",
  "/v1/completions/render",
  "/v1/embeddings",
  "/v1/responses",
  "/v1/conversations",
  "/v1/images/generations",
  "/v1/messages",
  "/anthropic/v1/messages?beta=true",
  "/inference/v1/generate",
];
const OTHER_PATHS = [
  "/v1/models",
  "/v1/messages/count_tokens",
  "/v1/chat/completions/extra",
  "/v1/responses/resp_1",
  "/v1/models?x=/v1/completions",
  "/v1/xcompletions",
  "/v1/embeddings//",
  // SGLang's, only when a document names its parser
  "/generate",
  "/v1/generate",
];

describe("which requests are held for their body", () => {
  const held = (more: readonly (readonly [string, string])[], path = "/v1/chat/completions", method = "POST") => {
    const stream = one().worker.stream();
    const headers = chatHeaders(more).map(([name, value]): [string, string] => {
      if (name === ":path") return [name, path];
      return name === ":method" ? [name, method] : [name, value];
    });
    const action = stream.requestHeaders(headers, false);
    // What is not held goes on at once, and steered.
    expect(action === ACTION_STOP || destinationOf(stream) === A).toBe(true);
    return action === ACTION_STOP;
  };
  const withType = (type: string) => {
    const stream = one().worker.stream();
    const headers = chatHeaders().map(([name, value]) => [name, name === "content-type" ? type : value] as const);
    return stream.requestHeaders(headers, false) === ACTION_STOP;
  };

  test("JSON on the inference paths", () => {
    for (const path of INFERENCE_PATHS) expect(held([], path), path).toBe(true);
    expect(held([["content-encoding", "identity"]])).toBe(true);
    for (const type of ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"]) {
      expect(withType(type), type).toBe(true);
    }
  });

  test("nothing else", () => {
    for (const path of OTHER_PATHS) expect(held([], path), path).toBe(false);
    expect(held([], "/v1/chat/completions", "PUT")).toBe(false);
    for (const encoding of ["gzip", "br", "zstd"]) expect(held([["content-encoding", encoding]])).toBe(false);
    for (const type of ["text/plain", "multipart/form-data; boundary=x", "application/jsonx"]) {
      expect(withType(type), type).toBe(false);
    }
  });

  test("a request without Content-Type counts as JSON", () => {
    const stream = one().worker.stream();
    const headers = chatHeaders().filter(([name]) => name !== "content-type");
    expect(stream.requestHeaders(headers, false)).toBe(ACTION_STOP);
  });
});

test("a compressed body passes unread", () => {
  const gateway = one();
  const bytes = Buffer.from([0x1f, 0x8b, 0, 255]);
  const fetched = gateway.worker.vm.log.countOf("proxy_get_buffer_bytes");
  const outcome = gateway.worker.drive({ body: bytes, headers: [["content-encoding", "gzip"]] });
  expect(outcome.destination).toBe(A);
  expect(Buffer.from(outcome.forwardedBody)).toEqual(bytes);
  expect(gateway.worker.vm.log.countOf("proxy_get_buffer_bytes")).toBe(fetched);
});

test("a request without a body is steered at its headers", () => {
  const stream = one().worker.stream();
  const headers = chatHeaders().map(([name, value]) => [name, name === ":method" ? "GET" : value] as const);
  expect(stream.requestHeaders(headers, true)).toBe(ACTION_CONTINUE);
  expect(destinationOf(stream)).toBe(A);
});

test("a WebSocket upgrade is steered at its headers and its bytes pass", () => {
  const stream = one().worker.stream();
  const upgrade = [
    ["connection", "Upgrade"],
    ["upgrade", "websocket"],
  ] as const;
  expect(stream.requestHeaders(chatHeaders(upgrade), false)).toBe(ACTION_CONTINUE);
  expect(destinationOf(stream)).toBe(A);
  stream.setProperty("upstream.address", A);
  stream.responseHeaders([[":status", "101"]], false);
  stream.requestBody("\x00\xff frame", false);
  stream.responseBody("frame", false);
  expect(Buffer.concat(stream.request.sentBody).toString()).toBe("\x00\xff frame");
  expect(Buffer.concat(stream.response.sentBody).toString()).toBe("frame");
});

test("header values that are not UTF-8 pass unchanged", () => {
  const value = "caf\xe9\x80\xff";
  const outcome = one().worker.drive({ body: CHAT, headers: [["x-odd", value]] });
  expect(headerOf(outcome.forwardedHeaders, "x-odd")).toBe(value);
});

describe("x-gateway-destination-endpoint-served", () => {
  test("names who answered", () => {
    expect(headerOf(one().worker.drive({ body: CHAT }).responseHeaders, "x-gateway-destination-endpoint-served")).toBe(
      A,
    );
  });

  test("is not set when the configuration says so", () => {
    const { responseHeaders } = one({ servedHeader: false }).worker.drive({ body: CHAT });
    expect(headerOf(responseHeaders, "x-gateway-destination-endpoint-served")).toBeUndefined();
  });
});
