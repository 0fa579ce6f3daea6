// Requests that wait on one worker: what ends them, what makes room for them, and who comes first.

import { expect, test } from "vitest";
import { HEADER_FAIRNESS } from "../../src/wire/names.ts";
import { chatOfBytes } from "../e2e/support/bodies.ts";
import { headerOf, isHeld, requestHeaders } from "../host/drive.ts";
import type { FlowSpec } from "../host/flow.ts";
import type { PoolSpec } from "../host/snapshot.ts";
import type { Stream } from "../host/stream.ts";
import { CHAT, chatHeaders, errorOf, Gateway, IDLE, POOL } from "./gateway.ts";

const ADDRESS = "10.0.0.1:8000";
const OTHER_ADDRESS = "10.0.0.2:8000";
const detector = { type: "concurrency-detector", maxConcurrency: 1 } as const;

/** A gateway whose endpoints take one request each. */
class Narrow extends Gateway {
  constructor() {
    super({ prefixIndexMiB: 1 });
    this.put([pool(POOL, [ADDRESS])]);
  }

  put(pools: readonly PoolSpec[]): void {
    this.control.topology(pools);
    this.control.metrics(pools.flatMap(({ endpoints }) => endpoints.map(() => IDLE)));
    this.settle();
  }

  ask(flow?: string): Stream {
    const stream = this.worker.stream();
    stream.requestHeaders(chatHeaders(flow === undefined ? [] : [[HEADER_FAIRNESS, flow]]), false);
    stream.requestBody(CHAT, true);
    return stream;
  }

  finish(stream: Stream, address = ADDRESS): void {
    stream.setProperty("upstream.address", address);
    stream.responseHeaders([[":status", "200"]], false);
    stream.responseBody("{}", true);
    stream.end();
  }
}

function pool(name: string, addresses: readonly string[], flow: FlowSpec = {}, routes = true): PoolSpec {
  return {
    name,
    program: { profiles: [{}], flow: { queues: true, detector, ...flow } },
    models: { models: [{ name: "llama", routes }] },
    endpoints: addresses.map((address) => ({ address })),
  };
}

const isSent = (stream: Stream) => stream.request.sentHeaders !== undefined;

test("one that Envoy answers by itself is out of the line: the place goes to the next", () => {
  const gateway = new Narrow();
  const running = gateway.ask();
  const [answered, next] = [gateway.ask(), gateway.ask()];
  answered.responseHeaders([[":status", "413"]], false);
  gateway.finish(running);
  expect([answered, next].map(isSent)).toEqual([false, true]);
  answered.end();
  gateway.finish(next);
  gateway.settle();
  expect(gateway.inFlightTotal()).toBe(0);
});

test("the end of a request that need not be admitted makes room at once, too", () => {
  const gateway = new Narrow();
  const bodyless = gateway.worker.stream();
  bodyless.requestHeaders(requestHeaders({ path: "/v1/models" }), true);
  const waiting = gateway.ask();
  expect(isHeld(waiting)).toBe(true);
  gateway.finish(bodyless);
  expect(isSent(waiting)).toBe(true);
});

test("one that waited for a pool that is gone makes room in the pool it went to", () => {
  const gateway = new Narrow();
  gateway.put([pool(POOL, [ADDRESS]), pool("default/other", [OTHER_ADDRESS], {}, false)]);
  gateway.ask();
  const moved = gateway.ask();
  gateway.put([pool("default/other", [OTHER_ADDRESS])]);
  expect(isSent(moved)).toBe(true);
  const waiting = gateway.ask();
  expect(isHeld(waiting)).toBe(true);
  gateway.finish(moved, OTHER_ADDRESS);
  expect(isSent(waiting)).toBe(true);
});

test("one that goes on because the gate was turned off leaves the route of those that wait", () => {
  const gateway = new Narrow();
  gateway.ask();
  const waiting = gateway.ask();
  const log = gateway.worker.vm.log;
  const before = log.countOf("proxy_call_foreign_function");
  gateway.put([pool(POOL, [ADDRESS], { queues: false })]);
  expect(isSent(waiting)).toBe(true);
  expect(log.countOf("proxy_call_foreign_function")).toBe(before + 1);
});

test("flows that are always new leave the others their turns", () => {
  const gateway = new Narrow();
  let running = gateway.ask("steady");
  gateway.advance(1);
  const steady = Array.from({ length: 10 }, () => gateway.ask("steady"));
  const fresh: Stream[] = [];
  for (let n = 0; n < 20; ++n) {
    gateway.advance(1);
    fresh.push(gateway.ask(`fresh ${n}`));
    gateway.advance(1);
    gateway.finish(running);
    running = [...steady, ...fresh].find((stream) => isSent(stream) && stream.live)!;
  }
  expect(steady.filter(isSent).length).toBeGreaterThanOrEqual(5);
  expect(fresh.filter(isSent).length).toBeGreaterThanOrEqual(5);
});

test("one whose body is still coming goes on with its next piece", () => {
  const gateway = new Narrow();
  const running = gateway.ask();
  const [first, second] = [chatOfBytes(600_000), " ".repeat(1_000)];
  const begun = (): Stream => {
    const stream = gateway.worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    stream.requestBody(first, false);
    return stream;
  };
  const [byData, byTrailers] = [begun(), begun()];
  gateway.finish(running);
  expect([byData, byTrailers].map(isSent)).toEqual([false, false]);
  byData.requestBody(second, false);
  byData.requestBody(second, true);
  expect(Buffer.concat(byData.request.sentBody).equals(Buffer.from(`${first}${second}${second}`))).toBe(true);
  gateway.finish(byData);
  byTrailers.requestTrailers([["x-checksum", "1"]]);
  expect(Buffer.concat(byTrailers.request.sentBody).equals(first)).toBe(true);
});

test("the first endpoint serves what waited for it for longer than others may wait", () => {
  const gateway = new Narrow();
  const rules = { ttlMs: 1_000, emptyTtlMs: 60_000 };
  gateway.put([pool(POOL, [], rules)]);
  const [first, second] = [gateway.ask(), gateway.ask()];
  gateway.advance(10_000);
  gateway.put([pool(POOL, [ADDRESS], rules)]);
  expect([first, second].map(isSent)).toEqual([true, false]);
  const late = gateway.ask();
  gateway.advance(2_000);
  expect(errorOf(late)).toMatchObject({ status: 429, reason: "rejected-ttl-expired" });
  expect(isHeld(second)).toBe(true);
  gateway.advance(50_000);
  expect(errorOf(second)).toMatchObject({ status: 429, reason: "rejected-ttl-expired" });
});

test("Retry-After is what is ahead over the rate at which requests have ended lately", () => {
  const gateway = new Narrow();
  const ROOM = 9;
  gateway.put([pool(POOL, [ADDRESS], { defaultBand: { maxRequests: ROOM } })]);
  // Two a second, for long enough that nothing of before counts.
  for (let n = 0; n < 60; n++) {
    const running = gateway.ask();
    gateway.advance(500);
    gateway.finish(running);
  }
  gateway.ask();
  const waiting = Array.from({ length: ROOM }, () => gateway.ask());
  expect(waiting.every(isHeld)).toBe(true);
  const refused = gateway.ask();
  expect(errorOf(refused)).toMatchObject({ status: 429, code: "saturated" });
  // Nine wait and one runs too many for another to go on: ten at two a second.
  expect(headerOf(refused.localResponse?.headers, "retry-after")).toBe("5");
});
