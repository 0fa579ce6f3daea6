// The oracle against numbers worked out by hand from docs/scheduling.md.

import { describe, expect, test } from "vitest";
import type { FilterSpec, Picker, ProgramSpec, ScorerSpec } from "../host/program.ts";
import type { RowSpec } from "../host/snapshot.ts";
import type { Candidate, Pick, Request } from "./candidates.ts";
import { applyFilter } from "./filters.ts";
import { order } from "./pickers.ts";
import { Prefixes } from "./prefixes.ts";
import { Draws, tieRank } from "./random.ts";
import { type Flight, Scheduler } from "./schedule.ts";
import { applyScorer } from "./scorers.ts";
import { encodeId } from "./sessions.ts";

const ASKED: Request = { model: "m", headers: {}, prompts: [], salt: "", tokenLimit: undefined };
const ADAPTERS = { running: [], waiting: [], inFlight: [], max: 0, baseModel: undefined };

function candidates(...specs: readonly Partial<Candidate>[]): Candidate[] {
  return specs.map((spec, row) => ({
    address: `${"ABCDEFGH"[row]}`,
    id: `ns/pod-${row}-rank-0`,
    row,
    passes: [],
    columns: [],
    isStale: false,
    waiting: undefined,
    running: undefined,
    kvUsage: undefined,
    attributes: [],
    inFlight: 0,
    tokens: 0,
    adapters: ADAPTERS,
    matched: 0,
    blocks: 0,
    blockTokens: 64,
    uncached: 0,
    ...spec,
  }));
}

function picking(more: Partial<Pick> = {}): Pick {
  return { request: ASKED, tokens: 0, drawn: 0, boundTo: () => undefined, homeless: new Set(), coldOrder: [], ...more };
}

const of = (name: keyof Candidate, ...values: readonly unknown[]) =>
  candidates(...values.map((value) => ({ [name]: value }) as Partial<Candidate>));

describe("scorers", () => {
  const at = (ranges: readonly unknown[]) => candidates(...ranges.map((range) => ({ columns: [{ range }] }) as never));
  const lora = (...lists: readonly object[]) => of("adapters", ...lists.map((list) => ({ ...ADAPTERS, ...list })));
  const held = (m: number, n: number) => ({ matched: m, blocks: n });

  const cases: readonly (readonly [string, ScorerSpec, Candidate[], Partial<Pick>, readonly number[]])[] = [
    ["the shortest queue", { type: "queue-scorer" }, of("waiting", 2, 6, 10), {}, [1, 0.5, 0]],
    ["equal queues", { type: "queue-scorer" }, of("waiting", 3, 3), {}, [1, 1]],
    ["queues nobody knows", { type: "queue-scorer" }, of("waiting", undefined, undefined), {}, [0, 0]],
    ["an unknown queue is the mean", { type: "queue-scorer" }, of("waiting", 0, undefined, 8), {}, [1, 0.5, 0]],
    [
      "a stale queue below the mean, and one above it",
      { type: "queue-scorer" },
      candidates({ waiting: 0 }, { waiting: 4 }, { waiting: 0, isStale: true }, { waiting: 8, isStale: true }),
      {},
      [1, 0.5, 0.75, 0],
    ],
    ["only stale queues", { type: "queue-scorer" }, candidates({ waiting: 3, isStale: true }), {}, [0]],
    ["running", { type: "running-requests-size-scorer" }, of("running", 5, 0), {}, [0, 1]],
    [
      "cache in use",
      { type: "kv-cache-utilization-scorer" },
      of("kvUsage", 0.25, undefined, 0.75),
      {},
      [0.75, 0.5, 0.25],
    ],
    ["prefix", { type: "prefix-cache-scorer" }, candidates(held(3, 4), held(0, 4), held(0, 0)), {}, [0.75, 0, 0]],
    [
      "prefix by length: 0.5·(2·64 / 256)² + 0.5·2 / 4",
      { type: "prefix-cache-scorer", matchLengthWeight: 0.5, matchLengthScaleTokens: 256 },
      candidates(held(2, 4), held(4, 4)),
      {},
      [0.375, 1],
    ],
    [
      "adapters: active, sent there, room, waiting, full",
      { type: "lora-affinity-scorer" },
      lora(
        { running: ["m"] },
        { inFlight: ["m"] },
        { running: ["x"], waiting: ["x"], max: 2 },
        { running: ["x"], waiting: ["m"], max: 2 },
        { running: ["x", "y"], max: 2 },
        { inFlight: ["m"], baseModel: "m", max: 1 },
      ),
      {},
      [1, 1, 0.8, 0.6, 0, 0.8],
    ],
    ["load", { type: "load-aware-scorer", threshold: 10 }, of("waiting", 0, 5, 40), {}, [0.5, 0.25, 0]],
    [
      "active requests",
      { type: "active-request-scorer", idleThreshold: 1, maxBusyScore: 0.5 },
      of("inFlight", 1, 2, 8),
      {},
      [1, 0.375, 0],
    ],
    [
      "tokens",
      { type: "token-load-scorer", queueThresholdTokens: 100 },
      candidates({ tokens: 20, uncached: 5 }, { tokens: 200 }),
      {},
      [0.75, 0],
    ],
    [
      "the session's endpoint",
      { type: "session-affinity-scorer", sources: ["x-s"] },
      candidates({}, {}),
      { request: { ...ASKED, headers: { "x-s": " 7 " } }, boundTo: (session) => (session === "7" ? "B" : "A") },
      [0, 1],
    ],
    [
      "the endpoint the client names",
      { type: "session-affinity-scorer" },
      candidates({}, {}),
      { request: { ...ASKED, headers: { "x-session-token": encodeId("ns/pod-1-rank-0") } } },
      [0, 1],
    ],
    [
      "context length: none, broken, exact, 0.3 + 0.7·(0.7 / 2 + 0.3·0.5), 1000 short, 3000 over",
      { type: "context-length-scorer", column: 0 },
      at(["none", "broken", [5000, 5000], [0, 10_000], [6000, 9000], [0, 2000]]),
      { tokens: 5000 },
      [0.5, 0, 1, 0.65, 0.15, 0.075],
    ],
    ["warm", { type: "no-hit-lru-scorer" }, candidates({ matched: 1 }, {}), {}, [0.5, 0.5]],
    ["cold, alone", { type: "no-hit-lru-scorer" }, candidates({}), {}, [1]],
    [
      "cold: never given one, then longest ago first among all",
      { type: "no-hit-lru-scorer" },
      candidates({}, {}, {}, {}, {}),
      { coldOrder: ["D", "elsewhere", "A"] },
      [0, 1, 0.75, 0.25, 0.5],
    ],
    [
      "an attribute, among those that have it",
      { type: "endpoint-attribute-scorer", attribute: 0 },
      of("attributes", [2], [undefined], [4], [6]),
      {},
      [0, 0, 0.5, 1],
    ],
    [
      "an attribute over a range, the lower the better",
      { type: "endpoint-attribute-scorer", attribute: 0, fixedRange: [0, 4], lowerIsBetter: true },
      of("attributes", [1], [], [9], [-9]),
      {},
      [0.75, 0, 0, 1],
    ],
    [
      "equal attributes, the lower the better",
      { type: "endpoint-attribute-scorer", attribute: 0, lowerIsBetter: true },
      of("attributes", [3], [3]),
      {},
      [1, 1],
    ],
    [
      "a label that the header names",
      { type: "header-label-affinity-scorer", header: "x-color", column: 0 },
      of("columns", [{ label: "red" }], [{ label: "blue" }], [{ label: undefined }]),
      { request: { ...ASKED, headers: { "x-color": "blue" } } },
      [0, 1, 0],
    ],
    [
      "topology",
      { type: "topology-affinity-scorer", column: 0 },
      of("columns", ...[0, 1, 2, 3, 4, 5].map((level) => [{ level }])),
      {},
      [1, 0.2, 0.05, 0.02, 0, 0],
    ],
    ["in flight, below the floor", { type: "in-flight-scorer" }, of("inFlight", 0, 1), {}, [1, 0.75]],
    ["in flight, above it", { type: "in-flight-scorer" }, of("inFlight", 4, 16), {}, [0.75, 0]],
  ];

  test.each(cases)("%s", (_, step, some, more, expected) => {
    const scores = applyScorer(step, some, picking(more));
    expect(scores.map((score) => Number(score.toFixed(12)))).toEqual(expected);
  });
});

describe("filters", () => {
  const cases: readonly (readonly [string, FilterSpec, Candidate[], Partial<Pick>, string])[] = [
    ["by labels", { type: "label-filter", bit: 3 }, of("passes", [3], [1], [1, 3]), {}, "AC"],
    [
      "every condition",
      { type: "utilization-filter", waitingQueue: 2, kvCacheUtilization: 0.5 },
      candidates({ waiting: 2, kvUsage: 0.5 }, { waiting: 3 }, { kvUsage: 0.6 }, {}),
      {},
      "AD",
    ],
    ["nobody", { type: "utilization-filter", activeRequests: 1 }, of("inFlight", 2, 2), {}, ""],
    [
      "… falls back",
      { type: "utilization-filter", activeRequests: 1, fallbackOnEmpty: true },
      of("inFlight", 2, 2),
      {},
      "AB",
    ],
    [
      "by attribute",
      { type: "endpoint-attribute-filter", attribute: 0, operator: ">=", value: 2 },
      of("attributes", [1], [2], []),
      {},
      "B",
    ],
    [
      "… without the value",
      { type: "endpoint-attribute-filter", attribute: 0, operator: "!=", value: 2, passMissing: true },
      of("attributes", [1], [2], []),
      {},
      "AC",
    ],
    [
      "holders of the prefix",
      { type: "prefix-cache-affinity-filter" },
      candidates({ matched: 8, blocks: 10 }, { matched: 7, blocks: 10 }),
      {},
      "A",
    ],
    [
      "no holder",
      { type: "prefix-cache-affinity-filter" },
      candidates({ matched: 7, blocks: 10 }, { blocks: 10 }),
      {},
      "AB",
    ],
    [
      "holders too busy: 100 / 1000 · 1000 − 0 > 99",
      { type: "prefix-cache-affinity-filter", maxTTFTPenaltyMs: 99, peakPrefillThroughput: 1000 },
      candidates({ matched: 1, blocks: 1, tokens: 100 }, { blocks: 1 }, { blocks: 1, tokens: 500 }),
      {},
      "ABC",
    ],
    [
      "holders busy, but not too busy",
      { type: "prefix-cache-affinity-filter", maxTTFTPenaltyMs: 100, peakPrefillThroughput: 1000 },
      candidates({ matched: 1, blocks: 1, tokens: 100 }, { blocks: 1 }),
      {},
      "A",
    ],
    [
      "exploring",
      { type: "prefix-cache-affinity-filter", explorationProbability: 1 },
      candidates({ matched: 1, blocks: 1 }, { blocks: 1 }),
      {},
      "AB",
    ],
    [
      "the session's endpoint",
      { type: "session-affinity-filter", sources: ["x-a", "x-b"] },
      candidates({}, {}),
      { request: { ...ASKED, headers: { "x-a": "  ", "x-b": "s" } }, boundTo: () => "B" },
      "B",
    ],
    [
      "… that is no candidate",
      { type: "session-affinity-filter", sources: ["x-b"] },
      candidates({}, {}),
      { request: { ...ASKED, headers: { "x-b": "s" } }, boundTo: () => "Z" },
      "AB",
    ],
    [
      "near enough",
      { type: "topology-affinity-filter", column: 0, minAffinity: 1 },
      of("columns", [{ level: 0 }], [{ level: 1 }], [{ level: 2 }]),
      {},
      "AB",
    ],
    [
      "nobody near",
      { type: "topology-affinity-filter", column: 0 },
      of("columns", [{ level: 2 }], [{ level: 1 }]),
      {},
      "AB",
    ],
    [
      "by context length",
      { type: "context-length-filter", column: 0 },
      of("columns", [{ range: "none" }], [{ range: "broken" }], [{ range: [1, 5] }], [{ range: [6, 9] }]),
      { tokens: 5 },
      "AC",
    ],
    [
      "pressure",
      { type: "utilization-detector" },
      candidates({ waiting: 4, kvUsage: 0.7 }, { waiting: 5 }, { kvUsage: 0.8 }, { isStale: true }, {}),
      {},
      "AE",
    ],
    ["all under pressure", { type: "utilization-detector" }, of("waiting", 5, 9), {}, "AB"],
    [
      "concurrency",
      { type: "concurrency-detector", requestLimit: 2, tokenLimit: 10 },
      candidates({ inFlight: 1, tokens: 9 }, { inFlight: 2 }, { tokens: 10 }),
      {},
      "A",
    ],
  ];

  test.each(cases)("%s", (_, step, some, more, expected) => {
    const left = applyFilter(step, some, picking(more));
    expect(left.map((candidate) => candidate.address).join("")).toBe(expected);
  });
});

describe("pickers", () => {
  const scored = (...totals: readonly number[]) =>
    candidates(...totals.map(() => ({}))).map((candidate, index) => ({ candidate, total: totals[index]! }));
  const orderOf = (picker: Picker, totals: readonly number[], drawn: number) =>
    order(picker, scored(...totals), drawn)
      .map((entry) => entry.candidate.address)
      .join("");

  test("the highest first, equals by rank", () => {
    for (let drawn = 0; drawn < 20; drawn++) {
      const expected = tieRank(drawn, 0) < tieRank(drawn, 2) ? "BACD" : "BCAD";
      expect(orderOf("max-score-picker", [2, 3, 2, 1], drawn)).toBe(expected);
    }
  });

  test("at random, whatever the score", () => {
    const firsts = Array.from({ length: 3_000 }, (_, drawn) => orderOf("random-picker", [9, 0, 1], drawn * 7919)[0]);
    for (const name of "ABC") expect(firsts.filter((first) => first === name).length / 3_000).toBeCloseTo(1 / 3, 1);
  });

  test("at random by weight: first in proportion to the total, never the last without one", () => {
    const orders = Array.from({ length: 4_000 }, (_, n) => orderOf("weighted-random-picker", [1, 3, 0], n * 7919));
    expect(orders.filter((one) => one[0] === "B").length / 4_000).toBeCloseTo(0.75, 1);
    expect(orders.every((one) => one[2] === "C")).toBe(true);
  });
});

describe("prefixes", () => {
  const prompt = (text: string) => Buffer.from(text);
  const cut = (prefixes: Prefixes, text: string, more: Partial<Request> = {}, blocksMax = 99) =>
    prefixes.cut({ ...ASKED, prompts: [prompt(text)], ...more }, { blockTokens: 2, blocksMax });

  test("leading blocks, the shorter last one too", () => {
    const prefixes = new Prefixes();
    prefixes.learn("A", cut(prefixes, "aaaabbbbccccdddd0000"));
    expect(prefixes.matched("A", cut(prefixes, "aaaabbbbccccdddd0000"))).toBe(3);
    expect(prefixes.matched("A", cut(prefixes, "aaaabbbbccccdddd1111"))).toBe(2);
    expect(prefixes.matched("A", cut(prefixes, "aaaabbbbcccceeee0000"))).toBe(1);
    expect(prefixes.matched("A", cut(prefixes, "zzzzbbbbccccdddd0000"))).toBe(0);
    expect(prefixes.matched("B", cut(prefixes, "aaaabbbb"))).toBe(0);
    expect(cut(prefixes, "aaaabbbbccccdddd0000", {}, 2)[0]).toHaveLength(2);
  });

  test("model and salt tell prompts apart, in one text", () => {
    const prefixes = new Prefixes();
    prefixes.learn("A", cut(prefixes, "aaaabbbb", { model: "m", salt: "s" }));
    expect(prefixes.matched("A", cut(prefixes, "aaaabbbb", { model: "m" }))).toBe(0);
    expect(prefixes.matched("A", cut(prefixes, "aaaabbbb", { model: "ms", salt: "" }))).toBe(1);
  });

  test("a gap ends the match, in each prompt for itself", () => {
    const prefixes = new Prefixes();
    prefixes.learn("A", cut(prefixes, "aaaabbbb"));
    const both = { prompts: [prompt("aaaabbbbcccc"), prompt("xxxxyyyyaaaabbbb"), prompt("aaaabbbb")] };
    expect(prefixes.matched("A", cut(prefixes, "", both))).toBe(2);
  });
});

describe("a pool's life", () => {
  const MS = 1_000_000n;
  const draws = () => new Draws(1);
  const pool = (program: ProgramSpec, ...rows: readonly RowSpec[]) => {
    const endpoints = rows.map((_, index) => ({ address: `${"ABCDEFGH"[index]}:8000` }));
    const scheduler = new Scheduler({ program, failOpen: false, endpoints, firstRow: 0 });
    scheduler.measure(rows, 1, 0n);
    return scheduler;
  };
  const by = (...scorers: readonly ScorerSpec[]): ProgramSpec => ({ profiles: [{ scorers, endpoints: 2 }] });
  const send = (scheduler: Scheduler, request = ASKED, nowNs = MS) => scheduler.pick(request, draws(), nowNs) as Flight;

  test("a queue is corrected by what was sent and finished since it was measured", () => {
    const scheduler = pool(by({ type: "queue-scorer" }), { waiting: 2 }, { waiting: 3 });
    const first = send(scheduler);
    expect(first.list).toEqual(["A:8000", "B:8000"]);
    const second = send(scheduler); // 3 and 3: by rank
    const third = send(scheduler); // the one that has not got the second
    expect(third.list[0]).not.toBe(second.list[0]);
    for (const flight of [first, second, third]) scheduler.ended(flight);
    expect(send(scheduler).list[0]).toBe("A:8000");
  });

  test("tokens that are not cached count until the response begins", () => {
    const scheduler = pool({ ...by({ type: "token-load-scorer", queueThresholdTokens: 1000 }), matchPrefix: true }, {});
    const first = send(scheduler, { ...ASKED, prompts: [Buffer.alloc(400)] });
    expect(first.at.tokens).toBe(128);
    scheduler.answered(first, 0, 200, MS);
    expect([first.at.tokens, first.at.inFlight]).toEqual([0, 1]);
    scheduler.ended(first);
    expect([first.at.tokens, first.at.inFlight]).toEqual([0, 0]);
  });

  test("with an estimate of the output they count until the end", () => {
    const program = { ...by({ type: "token-load-scorer", queueThresholdTokens: 1000 }), addOutputTokens: true };
    const scheduler = pool({ ...program, matchPrefix: true }, {});
    const request = { ...ASKED, prompts: [Buffer.alloc(400)] };
    // Two blocks of 64 for 100 tokens, and 150 of output; then both blocks are cached.
    const first = send(scheduler, request);
    expect(first.tokens).toBe(128 + 150);
    expect(send(scheduler, { ...request, tokenLimit: 20 }).tokens).toBe(20);
    expect(first.at.tokens).toBe(128 + 150 + 20);
    scheduler.answered(first, 0, 200, MS);
    expect(first.at.tokens).toBe(128 + 150 + 20);
    scheduler.ended(first);
    expect([first.at.tokens, first.at.inFlight]).toEqual([20, 1]);
  });

  test("a session stays, moves when its endpoint is away, and ends", () => {
    const steps = [{ type: "session-affinity-scorer", sources: ["x-s"] }] as const;
    const scheduler = pool({ ...by(...steps), sessionTtlMs: 100 }, {}, {});
    const request = { ...ASKED, headers: { "x-s": "1" } };
    const home = send(scheduler, request).destinations[0]!;
    for (let n = 0; n < 8; n++) expect(send(scheduler, request).destinations[0]).toBe(home);
    home.noteFailure(MS);
    const away = send(scheduler, request).destinations[0]!;
    expect(away).not.toBe(home);
    home.noteSuccess();
    expect(send(scheduler, request, 90n * MS).destinations[0]).toBe(away);
    expect(send(scheduler, request, 180n * MS).destinations[0]).toBe(away);
    // Draws that choose the other one, where nothing else does.
    const seeds = Array.from({ length: 64 }, (_, seed) => seed);
    const chance = (seed: number) => scheduler.pick(ASKED, new Draws(seed), 180n * MS) as Flight;
    const seed = seeds.find((one) => chance(one).destinations[0] === home)!;
    const ask = (ms: bigint) => (scheduler.pick(request, new Draws(seed), ms * MS) as Flight).destinations[0];
    expect([ask(270n), ask(365n), ask(466n)]).toEqual([away, away, home]);
  });

  test("an endpoint that failed is out for its time, longer when it fails again", () => {
    const scheduler = pool(by(), {}, {});
    const isOut = (ms: number) => send(scheduler, ASKED, BigInt(ms) * MS).list.length === 1;
    const flight = send(scheduler, ASKED, 0n);
    scheduler.answered(flight, 0, 503, 0n);
    expect([999, 1_000].map(isOut)).toEqual([true, false]);
    flight.at.noteFailure(1_500n * MS);
    expect([3_499, 3_501].map(isOut)).toEqual([true, false]);
  });

  test("answers when there is nobody to pick", () => {
    const none = { type: "label-filter", bit: 1 } as const;
    expect(pool({ profiles: [{ filters: [none] }] }, {}).pick(ASKED, draws(), 0n)).toMatchObject({ status: 429 });
    expect(pool(by()).pick(ASKED, draws(), 0n)).toMatchObject({ status: 503 });
    const open = new Scheduler({ program: undefined, failOpen: true, endpoints: [], firstRow: 0 });
    expect(open.pick(ASKED, draws(), 0n)).toBe("unsteered");
  });

  test("profiles by header", () => {
    const profiles = [{ name: "decode" }, { name: "wide", endpoints: 2 }];
    const scheduler = pool({ handler: { type: "header-profile-handler" }, profiles }, {}, {});
    const ask = (value: string) => scheduler.pick({ ...ASKED, headers: { "epp-profile": value } }, draws(), 0n);
    expect((ask(" wide ") as Flight).list).toHaveLength(2);
    expect((ask("  ") as Flight).list).toHaveLength(1);
    expect(ask("narrow")).toMatchObject({ status: 400 });
  });

  test("data parallel: another port, the rank in a header", () => {
    const program = { ...by(), handler: { type: "data-parallel-profile-handler", primaryPort: 9 } } as const;
    expect(send(pool(program, {}))).toMatchObject({ list: ["A:9"], dataParallel: "A:8000" });
  });

  test("at most four block sizes, the others take the nearest", () => {
    const sizes = [16, 128, 256, 512, 300].map((blockSize) => ({ blockSize }));
    const scheduler = pool({ ...by({ type: "prefix-cache-scorer" }), matchPrefix: true }, ...sizes);
    // 600 tokens are 2 blocks of 512 (1024) but 3 of 256 (768), as the endpoint with 300 has it.
    const request = { ...ASKED, prompts: [Buffer.alloc(2400)] };
    const tokens = new Map(
      Array.from({ length: 200 }, (_, n) => n).map((n) => {
        const fresh = { ...request, salt: String(n) };
        const flight = scheduler.pick(fresh, new Draws(n), MS) as Flight;
        return [flight.list[0], flight.tokens];
      }),
    );
    expect(tokens).toEqual(
      new Map([
        ["A:8000", 640],
        ["B:8000", 640],
        ["C:8000", 768],
        ["D:8000", 1024],
        ["E:8000", 768],
      ]),
    );
  });
});
