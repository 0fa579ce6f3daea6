// The host against the real thing: what the probe module said when Envoy 1.40.0 ran it, event by event.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { STREAM_REQUEST } from "./abi.ts";
import { decodePairs, encodePairs } from "./header-map.ts";
import { buildProbe } from "./probe.ts";
import { Process } from "./process.ts";
import { SharedData, SharedQueues } from "./shared.ts";
import type { Stream } from "./stream.ts";

let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pointsman-probe-"));
  await buildProbe(join(directory, "probe.wasm"));
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Run {
  readonly stream: Stream;
  readonly said: string[];
}

/** POST with chunks "abc" and "defg" and a late end; then an upstream's 200 with "xyz". */
function post(mode: string): Run {
  const process = new Process(join(directory, "probe.wasm"));
  const vm = process.newVm();
  const root = vm.root("cfg", "vmcfg");
  process.logLines.length = 0;
  const stream = vm.stream(root);
  stream.requestHeaders(
    [
      [":path", `/${mode}`],
      [":method", "POST"],
    ],
    false,
  );
  stream.requestBody("abc", false);
  if (mode.startsWith("park-early")) process.advanceMs(100);
  stream.requestBody("defg", false);
  stream.requestBody("", true);
  process.advanceMs(100);
  if (stream.request.sentHeaders !== undefined) stream.setProperty("upstream.address", "127.0.0.1:1");
  stream.responseHeaders([[":status", "200"]], false);
  stream.responseBody("xyz", false);
  stream.responseBody("", true);
  stream.end();
  return { stream, said: process.logLines.map((line) => line.text.replace("probe: ", "")) };
}

const START = ["create stream", "request_headers end=0 x-none: status 1"];
const END = ["done", "delete"];
const BODY_OUT = ["response_body size=3 end=0 status: status 2", "response_body size=0 end=1 status: status 2"];
const data = (size: number, end: number, path: string) =>
  [
    `request_body size=${size} end=${end} path: ${path}`,
    `all: ${size} bytes middle: ${Math.min(2, size)} bytes at end: 0 bytes`,
  ].join(" ");

describe("a stream as Envoy 1.40.0 runs it", () => {
  test("a body held to its end is seen growing, and headers can still be written", () => {
    const { stream, said } = post("hold");
    expect(said).toEqual([
      ...START,
      data(3, 0, "/hold"),
      data(7, 0, "/hold"),
      data(7, 1, "/hold"),
      "response_headers 200 end=0 x-a: status 1 upstream: known path: /hold set late: 0",
      ...BODY_OUT,
      "log path: /hold status: 200",
      ...END,
    ]);
    expect(stream.request.sentHeaders).toContainEqual(["x-probe", "held"]);
    expect(Buffer.concat(stream.request.sentBody).toString()).toBe("abcdefg");
    expect(stream.lateWrites).toBe(1);
  });

  test("headers that went on by Continue are out of reach", () => {
    expect(post("pass").said).toEqual([
      ...START,
      data(3, 0, "status 2"),
      data(4, 0, "status 2"),
      data(0, 1, "status 2"),
      "response_headers 200 end=0 x-a: status 1 upstream: known path: status 2 set late: 2",
      ...BODY_OUT,
      "log path: /pass status: 200",
      ...END,
    ]);
  });

  test("after Continue each chunk is seen alone", () => {
    const { stream, said } = post("stream");
    expect(said.slice(2, 5)).toEqual([data(3, 0, "/stream"), data(4, 0, "/stream"), data(0, 1, "/stream")]);
    expect(Buffer.concat(stream.request.sentBody).toString()).toBe("abcdefg");
  });

  test("a local reply comes back through the response callbacks; a second one is ignored", () => {
    const { stream, said } = post("reply");
    expect(said).toEqual([
      ...START,
      "reply 0, again 0",
      "response_headers 403 end=0 x-a: b upstream: status 1 path: /reply set late: 0",
      "response_body size=2 end=1 status: status 2",
      "log path: /reply status: 403",
      ...END,
    ]);
    expect(stream.localResponse?.status).toBe(403);
    expect(stream.request.sentHeaders).toBeUndefined();
  });

  test("a local reply from the body callback drops the body", () => {
    const { stream, said } = post("reply-body");
    expect(said).toEqual([
      ...START,
      data(3, 0, "/reply-body"),
      "response_headers 403 end=0 x-a: b upstream: status 1 path: /reply-body set late: 0",
      "response_body size=2 end=1 status: status 2",
      "log path: /reply-body status: 403",
      ...END,
    ]);
    expect(stream.request.sentBody).toEqual([]);
  });

  test("a local reply from the response side is not seen by its sender again", () => {
    const { stream, said } = post("reply-response");
    expect(said.slice(5)).toEqual([
      "response_headers 200 end=0 x-a: status 1 upstream: known path: /reply-response set late: 0",
      "log path: /reply-response status: 502",
      ...END,
    ]);
    expect(stream.response.sentHeaders).toContainEqual([":status", "502"]);
  });

  test("a trap ends the VM: no further callback, not even log and delete", () => {
    const { stream, said } = post("trap");
    expect(said).toEqual(START);
    expect(stream.live).toBe(false);
  });

  test("a stream that never got headers is created for its log", () => {
    const process = new Process(join(directory, "probe.wasm"));
    const vm = process.newVm();
    const root = vm.root("cfg", "vmcfg");
    expect(process.logLines.map((line) => line.text)).toEqual([
      "probe: create root",
      "probe: vm_start 5",
      "probe: configure 3, 3 bytes, 5 bytes",
    ]);
    process.logLines.length = 0;
    vm.stream(root).end();
    expect(process.logLines.map((line) => line.text.replace("probe: ", ""))).toEqual([
      "create stream",
      "log path: status 1 status: status 1",
      ...END,
    ]);
  });
});

describe("a stream that is resumed from a tick, as Envoy 1.40.0 runs it", () => {
  const HELD = (path: string) => [...START, data(3, 0, path), data(7, 0, path), data(7, 1, path)];
  const ANSWERED = ["response_headers 200 end=0 x-a: status 1 upstream: known path: status 2 set late: 2", ...BODY_OUT];
  const ticked = (path: string, size: number) => [
    "tick path: status 2 nobody: 2",
    `effective 0 path: ${path} all: ${size} bytes set: 0`,
  ];

  test("its headers and body are at hand until it goes on, then only the body", () => {
    const { stream, said } = post("park");
    expect(said).toEqual([
      ...HELD("/park"),
      ...ticked("/park", 7),
      "continue 0 all: 7 bytes set: 2",
      ...ANSWERED,
      "log path: /park status: 200",
      ...END,
    ]);
    expect(stream.request.sentHeaders).toContainEqual(["x-probe", "ticked"]);
    expect(Buffer.concat(stream.request.sentBody).toString()).toBe("abcdefg");
  });

  test("a local reply from there comes back through its response callbacks", () => {
    const { stream, said } = post("park-reply");
    expect(said).toEqual([
      ...HELD("/park-reply"),
      ...ticked("/park-reply", 7),
      "reply 0",
      "response_headers 403 end=0 x-a: b upstream: status 1 path: /park-reply set late: 0",
      "response_body size=2 end=1 status: status 2",
      "log path: /park-reply status: 403",
      ...END,
    ]);
    expect(stream.localResponse?.status).toBe(403);
    expect(stream.request.sentHeaders).toBeUndefined();
  });

  test("a close from there ends it without an answer", () => {
    const { stream, said } = post("park-close");
    expect(said).toEqual([
      ...HELD("/park-close"),
      ...ticked("/park-close", 7),
      "close 0",
      "log path: /park-close status: status 1",
      ...END,
    ]);
    expect(stream.resetByFilter).toBe(true);
  });

  test.each([
    ["park-early", 3, "abcdefg"],
    ["park-early-watermark", 0, "abcdefg"],
    ["park-early-dropped", 0, "defg"],
  ])("%s: what comes after it was resumed is seen alone and passes", (mode, size, sent) => {
    const { stream, said } = post(mode);
    expect(said).toEqual([
      ...START,
      data(3, 0, `/${mode}`),
      ...ticked(`/${mode}`, size),
      `continue 0 all: ${size} bytes set: 2`,
      data(4, 0, "status 2"),
      data(0, 1, "status 2"),
      ...ANSWERED,
      `log path: /${mode} status: 200`,
      ...END,
    ]);
    expect(Buffer.concat(stream.request.sentBody).toString()).toBe(sent);
  });

  test("a stream that is not held cannot be resumed: Envoy would go wrong", () => {
    const process = new Process(join(directory, "probe.wasm"));
    const vm = process.newVm();
    const stream = vm.stream(vm.root("cfg", "vmcfg"));
    stream.requestHeaders([[":path", "/pass"]], false);
    stream.continueStream(STREAM_REQUEST);
    expect(() => process.advanceMs(100)).toThrow("nothing of it is held");
  });
});

test("header pairs survive the way through the module's memory, and bad lengths are refused", () => {
  const list = [
    [":path", "/é"],
    ["x-empty", ""],
  ] as const;
  expect(decodePairs(encodePairs(list))).toEqual(list);
  expect(decodePairs(encodePairs(list).subarray(0, 20))).toBeUndefined();
});

test("shared data: a cas of another write loses, a cas for a key that does not exist is not looked at", () => {
  const shared = new SharedData();
  expect(shared.set("k", Buffer.from("a"), 99)).toBe(0);
  const first = shared.get("k")!;
  expect(shared.set("k", Buffer.from("b"), first.cas)).toBe(0);
  expect(shared.set("k", Buffer.from("c"), first.cas)).toBe(8);
  expect(Buffer.from(shared.get("k")!.bytes).toString()).toBe("b");
});

test("shared queues: who is called is settled on sending; a name taken over keeps its messages", () => {
  const queues = new SharedQueues();
  const told: string[] = [];
  const reader = (name: string, hangs = false) => ({
    queueReady: (_: number, token: number) => {
      told.push(`${name} ${token}`);
      return !hangs;
    },
  });
  const token = queues.register("q", reader("first"), 1);
  expect(queues.enqueue(token, Buffer.from("a"))).toBe(true);
  expect(queues.enqueue(99, Buffer.from("a"))).toBe(false);
  expect(told).toEqual([]);
  expect(queues.register("q", reader("second"), 2)).toBe(token);
  queues.enqueue(token, Buffer.from("b"));
  queues.deliver();
  expect(told.splice(0)).toEqual([`first ${token}`, `second ${token}`]);
  expect(queues.waiting("q")).toBe(2);
  expect(queues.dequeue(token)).toEqual(Buffer.from("a"));
  expect(queues.dequeue(token)).toEqual(Buffer.from("b"));
  expect(queues.dequeue(token)).toBe("none");
  expect(queues.dequeue(99)).toBeUndefined();
  // A thread that hangs gets its calls when it goes on.
  queues.register("q", reader("third", true), 3);
  queues.enqueue(token, Buffer.from("c"));
  queues.deliver();
  queues.deliver();
  expect(told).toEqual([`third ${token}`, `third ${token}`]);
});
