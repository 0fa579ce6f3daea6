// Waiting on two workers: what one holds counts for the other, a place that is freed on one is filled by the
// other, and what a lost worker held is forgotten.

import { describe, expect, test } from "vitest";
import { HEADER_FAIRNESS, HEADER_OBJECTIVE } from "../../src/wire/names.ts";
import { isHeld } from "../host/drive.ts";
import type { FlowSpec } from "../host/flow.ts";
import type { Stream } from "../host/stream.ts";
import { CHAT, chatHeaders, errorOf, Gateway, IDLE, POOL, type Worker } from "./gateway.ts";

const ADDRESS = "10.0.0.1:8000";
const OBJECTIVES = { high: 5, low: 1, spare: -1 };
/** Longer than a worker may hold something before others leave it a place. */
const LONG_MS = 60;
const LOST_MS = 750 + 250;

class Pair extends Gateway {
  readonly a = this.worker;
  readonly b = this.newWorker();

  /** One endpoint that takes `places` requests. */
  constructor(places: number, flow: FlowSpec = {}) {
    super({ prefixIndexMiB: 1 });
    const detector = { type: "concurrency-detector", maxConcurrency: places } as const;
    const profiles = [{ scorers: [{ type: "in-flight-scorer" as const }] }];
    const program = { profiles, flow: { queues: true, detector, ...flow } };
    this.control.topology([
      { name: POOL, program, models: { objectives: OBJECTIVES }, endpoints: [{ address: ADDRESS }] },
    ]);
    this.control.metrics([IDLE]);
    // Each takes its slot at its first request.
    for (const worker of [this.a, this.b]) this.finish(this.ask(worker));
    this.settle();
  }

  ask(worker: Worker, objective?: keyof typeof OBJECTIVES, flow?: string): Stream {
    const stream = worker.stream();
    const named = [
      [HEADER_OBJECTIVE, objective],
      [HEADER_FAIRNESS, flow],
    ] as const;
    stream.requestHeaders(
      chatHeaders(named.flatMap(([name, text]) => (text === undefined ? [] : [[name, text]]))),
      false,
    );
    stream.requestBody(CHAT, true);
    return stream;
  }

  finish(stream: Stream): void {
    stream.setProperty("upstream.address", ADDRESS);
    stream.responseHeaders([[":status", "200"]], false);
    stream.responseBody("{}", true);
    stream.end();
  }

  /** Messages arrive; no time passes, no timer fires. */
  deliver(): void {
    this.process.queues.deliver();
  }
}

const isSent = (stream: Stream) => stream.request.sentHeaders !== undefined;

describe("a place that is freed", () => {
  test("is filled by the worker on which something waits, before any tick", () => {
    const pair = new Pair(1);
    const running = pair.ask(pair.a);
    pair.advance(5);
    const waiting = pair.ask(pair.b);
    expect(isHeld(waiting)).toBe(true);
    pair.advance(5);
    pair.finish(running);
    expect(isHeld(waiting)).toBe(true);
    pair.deliver();
    expect(isSent(waiting)).toBe(true);
  });

  test("is filled by the worker that freed it when nothing better waits elsewhere", () => {
    const pair = new Pair(1);
    const running = pair.ask(pair.a);
    pair.advance(5);
    const [here, there] = [pair.ask(pair.a), pair.ask(pair.b)];
    pair.finish(running);
    expect(isSent(here)).toBe(true);
    pair.deliver();
    expect(isHeld(there)).toBe(true);
    pair.advance(5);
    pair.finish(here);
    pair.deliver();
    expect(isSent(there)).toBe(true);
  });

  test("is left to another worker that has held a higher band for more than 50 ms", () => {
    const pair = new Pair(1);
    const running = pair.ask(pair.a);
    pair.advance(5);
    const high = pair.ask(pair.b, "high");
    const low = pair.ask(pair.a, "low");
    pair.advance(LONG_MS);
    pair.finish(running);
    expect([low, high].map(isSent)).toEqual([false, false]);
    pair.deliver();
    expect([low, high].map(isSent)).toEqual([false, true]);
  });

  test("is left to that one by what comes meanwhile, too", () => {
    const pair = new Pair(1);
    const running = pair.ask(pair.a);
    pair.advance(5);
    const high = pair.ask(pair.b, "high");
    pair.advance(LONG_MS);
    pair.finish(running);
    const low = pair.ask(pair.a, "low");
    expect(isHeld(low)).toBe(true);
    pair.deliver();
    expect([low, high].map(isSent)).toEqual([false, true]);
  });

  test("is not left to one that has held it for less", () => {
    const pair = new Pair(1);
    const running = pair.ask(pair.a);
    const low = pair.ask(pair.a, "low");
    pair.advance(5);
    pair.ask(pair.b, "high");
    pair.advance(10);
    pair.finish(running);
    expect(isSent(low)).toBe(true);
  });

  test("is one place: two workers that hear of it do not both fill it", () => {
    const pair = new Pair(2);
    const running = [pair.ask(pair.a), pair.ask(pair.b)];
    pair.advance(5);
    const waiting = Array.from({ length: 20 }, (_, n) => pair.ask(n % 2 === 0 ? pair.a : pair.b));
    expect(waiting.every(isHeld)).toBe(true);
    pair.advance(LONG_MS);
    for (let served = 1; served <= waiting.length; served++) {
      const over = running.shift()!;
      pair.finish(over);
      pair.deliver();
      pair.advance(2);
      const sent = waiting.filter(isSent);
      expect(sent.length).toBe(served);
      running.push(...sent.filter((stream) => stream.live && !running.includes(stream)));
    }
  });
});

test("a band's limits and the global ones count what all workers hold", () => {
  const pair = new Pair(1, { maxRequests: 3 });
  pair.ask(pair.a);
  pair.advance(5);
  for (const worker of [pair.a, pair.a, pair.b]) expect(isHeld(pair.ask(worker))).toBe(true);
  pair.advance(LONG_MS);
  for (const worker of [pair.a, pair.b]) {
    expect(errorOf(pair.ask(worker))).toMatchObject({ status: 429, reason: "rejected-saturated" });
  }
});

test("round robin over two workers: a small flow on one of them gets its half of the places", () => {
  const PLACES = 100;
  const pair = new Pair(4);
  const running = Array.from({ length: 4 }, (_, n) => pair.ask(n % 2 === 0 ? pair.a : pair.b));
  pair.advance(5);
  const big = Array.from({ length: 120 }, (_, n) => pair.ask(n % 2 === 0 ? pair.a : pair.b, undefined, "big"));
  const small = Array.from({ length: 60 }, () => pair.ask(pair.b, undefined, "small"));
  const all = [...big, ...small];
  expect(all.every(isHeld)).toBe(true);
  pair.advance(LONG_MS);
  const seen = new Set<Stream>();
  for (let place = 0; place < PLACES; place++) {
    pair.finish(running.shift()!);
    pair.deliver();
    pair.advance(2);
    const news = all.filter((stream) => isSent(stream) && !seen.has(stream));
    for (const stream of news) seen.add(stream);
    running.push(...news);
  }
  const served = (flow: readonly Stream[]) => flow.filter(isSent).length;
  expect(served(all)).toBe(PLACES);
  expect(served(small)).toBeGreaterThanOrEqual(45);
  expect(served(small)).toBeLessThanOrEqual(55);
});

describe("a worker that traps while it holds requests", () => {
  test("is no longer waited for once it is lost", () => {
    const pair = new Pair(1);
    const running = pair.ask(pair.a);
    pair.advance(5);
    pair.ask(pair.b, "high");
    const low = pair.ask(pair.a, "low");
    pair.advance(LONG_MS);
    pair.b.vm.trap = new Error("forced");
    pair.finish(running);
    pair.deliver();
    expect(isHeld(low)).toBe(true);
    pair.advance(LOST_MS);
    expect(isSent(low)).toBe(true);
  });

  test("what it held counts towards no limit", () => {
    const pair = new Pair(1, { maxRequests: 2 });
    pair.ask(pair.a);
    pair.advance(5);
    for (let n = 0; n < 2; n++) pair.ask(pair.b);
    pair.advance(LONG_MS);
    expect(errorOf(pair.ask(pair.a)).status).toBe(429);
    pair.b.vm.trap = new Error("forced");
    pair.advance(LOST_MS);
    expect(isHeld(pair.ask(pair.a))).toBe(true);
  });
});

test("a topology that comes while a request is admitted does not mix with the one it was resolved by", () => {
  const pair = new Pair(2);
  const detector = { type: "concurrency-detector", maxConcurrency: 2 } as const;
  const pool = (name: string, target: string, addresses: readonly string[]) => ({
    name,
    program: { profiles: [{}], flow: { queues: true, detector } },
    models: { models: [{ name: "llama", targets: [{ name: target }], routes: name === POOL }] },
    endpoints: addresses.map((address) => ({ address })),
  });
  const others = ["a", "b", "c"].map((name) => pool(`default/${name}`, "none", []));
  pair.control.topology([...others, pool(POOL, "first-target", [ADDRESS])]);
  pair.settle();
  // Hears at its arrival, so that the next at the same moment only hears because places are few.
  pair.finish(pair.ask(pair.a));
  pair.control.topology([pool(POOL, "second-target", [ADDRESS])]);
  const late = pair.ask(pair.a);
  expect(pair.a.vm.trap).toBe(undefined);
  expect(isSent(late)).toBe(true);
  expect(JSON.parse(Buffer.concat(late.request.sentBody).toString()).model).toMatch(/^(first|second)-target$/);
});

describe("eviction", () => {
  test("ends a request of the worker on which the urgent one waits, and none of others'", () => {
    const pair = new Pair(2, { evicts: true });
    const [here, there] = [pair.ask(pair.a, "spare"), pair.ask(pair.b, "spare")];
    pair.advance(5);
    // So that the other worker looks often, too.
    pair.ask(pair.b, "spare");
    const high = pair.ask(pair.a, "high");
    pair.advance(40);
    expect(here.localResponse?.status).toBe(429);
    here.end();
    pair.advance(5);
    expect(isSent(high)).toBe(true);
    pair.advance(LONG_MS);
    expect(there.live).toBe(true);
  });

  test("ends one of another worker when that one has had nothing to end for 50 ms", () => {
    const pair = new Pair(1, { evicts: true });
    const there = pair.ask(pair.b, "spare");
    pair.advance(5);
    pair.ask(pair.a, "high");
    pair.advance(40);
    expect(there.live).toBe(true);
    pair.advance(250);
    expect(there.localResponse?.status).toBe(429);
  });
});
