// The caller's name of the model in answers, by the whole filter: heads, held bytes, and what is left alone. That
// it is found however a body is cut is shown in test/property/usage.test.ts.

import { beforeAll, describe, expect, test } from "vitest";
import { HEADER_REWRITE } from "../../src/wire/names.ts";
import { headerOf } from "../host/drive.ts";
import type { HeaderList } from "../host/header-map.ts";
import { usageFilterPath } from "../host/process.ts";
import type { Stream } from "../host/stream.ts";
import { CHAT, chatHeaders, Gateway } from "./gateway.ts";

const SERVER = "10.0.0.1:8000";
const BODY = '{"id":"1","model":"llama-v2","choices":[]}';
const RESTORED = BODY.replace("llama-v2", "llama");

let gateway: Gateway;

beforeAll(() => {
  gateway = new Gateway({}, usageFilterPath());
  gateway.serve([SERVER]);
});

function renamed(head: HeaderList, server = "llama-v2"): Stream {
  const stream = gateway.worker.stream();
  stream.requestHeaders(chatHeaders([[HEADER_REWRITE, server]]), false);
  stream.requestBody(CHAT, true);
  stream.setProperty("upstream.address", SERVER);
  stream.responseHeaders(head, false);
  return stream;
}

function headOf(type: string, ...more: readonly (readonly [string, string])[]): HeaderList {
  return [[":status", "200"], ["content-type", type], ["content-length", String(BODY.length)], ...more];
}

function sent(stream: Stream): readonly string[] {
  return stream.response.sentBody.map(String);
}

describe("a renamed model", () => {
  test("shows the caller's name; the length goes, as the body's changes", () => {
    const stream = renamed(headOf("application/json"));
    stream.responseBody(BODY, true);
    stream.end();
    expect(sent(stream)).toEqual([RESTORED]);
    expect(headerOf(stream.response.sentHeaders, "content-length")).toBeUndefined();
  });

  test("holds back what may be the name's beginning, and nothing else, until the next piece", () => {
    const stream = renamed(headOf("text/event-stream"));
    const cut = BODY.indexOf("ma-v2");
    stream.responseBody(`data: ${BODY.slice(0, cut)}`, false);
    expect(sent(stream)).toEqual(['data: {"id":"1",']);
    stream.responseBody(`${BODY.slice(cut)}\n\n`, false);
    expect(sent(stream).join("")).toBe(`data: ${RESTORED}\n\n`);
    stream.responseBody("data: [DONE]\n\n", false);
    expect(sent(stream).at(-1)).toBe("data: [DONE]\n\n");
    stream.responseBody("", true);
    stream.end();
  });

  test("what was held goes on at the end, also when that comes by itself", () => {
    for (const isOwn of [true, false]) {
      const stream = renamed(headOf("application/json"));
      stream.responseBody('{"model":"lla', isOwn);
      if (!isOwn) stream.responseBody("", true);
      expect(sent(stream).join("")).toBe('{"model":"lla');
      stream.end();
    }
  });

  test.each([
    ["encoded bodies", headOf("application/json", ["content-encoding", "br"])],
    ["bodies of other types", headOf("application/octet-stream")],
  ])("%s are left alone, their length too", (_what, head) => {
    const stream = renamed(head);
    stream.responseBody(BODY, true);
    expect(sent(stream)).toEqual([BODY]);
    expect(headerOf(stream.response.sentHeaders, "content-length")).toBe(String(BODY.length));
    stream.end();
  });

  test("a stream gives its pair of names back", () => {
    // More than there is room for at once.
    for (let n = 0; n < 1_500; ++n) {
      const stream = renamed(headOf("application/json"), `v${n}`);
      stream.responseBody(`{"model":"v${n}"}`, true);
      expect(sent(stream)).toEqual(['{"model":"llama"}']);
      stream.end();
    }
  });
});
