import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Engine, type EngineOptions, type Job } from "../../src/sim/engine.ts";

const OPTIONS: EngineOptions = {
  maxRunning: 4,
  blocks: 1001,
  blockSize: 16,
  startMs: 0,
  prefillTokensPerS: 1000,
  decodeTokensPerS: 100,
  decodeSlowdown: 0,
  maxLoras: 1,
  loraLoadMs: 200,
};

function engineOf(options: Partial<EngineOptions> = {}): Engine<string> {
  return new Engine({ ...OPTIONS, ...options });
}

function job(owner: string, fields: Partial<Job<string>> = {}): Job<string> {
  return {
    owner,
    promptTokens: 100,
    promptBlocks: [],
    answerBlocks: [],
    answerTokens: 10,
    adapter: undefined,
    ...fields,
  };
}

/** When each job's first token and its end came, at a resolution of 1 ms. */
function timesOf(engine: Engine<string>, untilMs: number): Record<string, readonly [number, number]> {
  const times: Record<string, [number, number]> = {};
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 1) {
    for (const { owner, done } of engine.advance(nowMs)) {
      times[owner] ??= [nowMs, Number.NaN];
      if (done) times[owner][1] = nowMs;
    }
  }
  return times;
}

describe("the engine's time", () => {
  test("prefill takes its tokens' time and yields the first token; the others follow at decode speed", () => {
    const engine = engineOf();
    engine.submit(job("a"));
    expect(timesOf(engine, 500)).toEqual({ a: [100, 190] });
  });

  test("prompts are computed one after the other, answers side by side", () => {
    const engine = engineOf();
    engine.submit(job("a"));
    engine.submit(job("b"));
    expect(timesOf(engine, 500)).toEqual({ a: [100, 190], b: [200, 290] });
  });

  test("the time before prefill passes side by side, in a slot", () => {
    const engine = engineOf({ maxRunning: 2, startMs: 50, prefillTokensPerS: Number.POSITIVE_INFINITY });
    for (const owner of ["a", "b", "c"]) engine.submit(job(owner));
    expect(timesOf(engine, 500)).toEqual({ a: [50, 140], b: [50, 140], c: [190, 280] });
  });

  test("company slows an answer down by no more than the given share", () => {
    const engine = engineOf({ decodeSlowdown: 0.5, prefillTokensPerS: Number.POSITIVE_INFINITY });
    for (const owner of ["a", "b", "c", "d"]) engine.submit(job(owner));
    const times = timesOf(engine, 500);
    expect(times.a).toEqual([0, 180]);
    expect(times.d).toEqual([0, 180]);
  });

  test("no more than maxRunning run; the next starts when one is done", () => {
    const engine = engineOf({ maxRunning: 1 });
    engine.submit(job("a"));
    engine.submit(job("b"));
    engine.advance(50);
    expect(engine.state()).toMatchObject({ running: 1, waiting: 1 });
    expect(timesOf(engine, 500).b).toEqual([340, 430]);
  });

  test("with infinite speeds everything is there at once", () => {
    const engine = engineOf({
      prefillTokensPerS: Number.POSITIVE_INFINITY,
      decodeTokensPerS: Number.POSITIVE_INFINITY,
    });
    engine.submit(job("a"));
    expect(engine.advance(7)).toEqual([{ owner: "a", tokens: 10, done: true, cachedTokens: 0 }]);
    expect(engine.busy).toBe(false);
  });

  test("a job begins when it is submitted, not at the last look before", () => {
    const engine = engineOf();
    engine.submit(job("a", { answerTokens: 1000 }));
    engine.advance(0);
    engine.advance(1000);
    engine.submit(job("b"));
    engine.advance(1400);
    expect(engine.advance(1499).some(({ owner }) => owner === "b")).toBe(false);
    expect(engine.advance(1500).some(({ owner }) => owner === "b")).toBe(true);
  });
});

describe("the engine's memory", () => {
  test("a cached beginning needs no prefill, except for the last token", () => {
    const engine = engineOf();
    const prompt = { promptTokens: 64, promptBlocks: [1, 2, 3, 4], answerTokens: 1 };
    engine.submit(job("a", prompt));
    expect(timesOf(engine, 100)).toEqual({ a: [64, 64] });
    engine.submit(job("b", prompt));
    engine.advance(100);
    expect(engine.advance(115)).toEqual([]);
    expect(engine.advance(116)).toEqual([{ owner: "b", tokens: 1, done: true, cachedTokens: 48 }]);
    expect(engine.state()).toMatchObject({ prefixQueryTokens: 128, prefixHitTokens: 48 });
  });

  test.each([
    ["finished", 240 + 40, 3],
    ["left before its end", 200, 2],
  ])("an answer that was %s leaves what the next prompt can use", (_how, untilMs, blocks) => {
    const engine = engineOf();
    // 64 tokens, of which the last one's state is never computed: three full blocks.
    const turn = { promptTokens: 40, promptBlocks: [1, 2], answerBlocks: [3, 4], answerTokens: 24 };
    const first = engine.submit(job("first", turn));
    engine.advance(0);
    engine.advance(untilMs);
    engine.cancel(first);
    engine.submit(job("next", { promptBlocks: [1, 2, 3, 4, 5, 6], answerTokens: 1 }));
    engine.advance(untilMs);
    expect(engine.advance(untilMs + 100)).toMatchObject([{ owner: "next", cachedTokens: blocks * 16 }]);
    expect(engine.state().kvUsage).toBe(0);
  });

  test("who finds no free blocks waits, and so do all behind it", () => {
    const engine = engineOf({ blocks: 11 });
    engine.submit(job("large", { promptTokens: 100, answerTokens: 28 }));
    engine.submit(job("second", { promptTokens: 33 }));
    engine.submit(job("small", { promptTokens: 1, answerTokens: 1 }));
    engine.advance(0);
    expect(engine.state()).toMatchObject({ running: 1, waiting: 2, kvUsage: 0.8 });
    const times = timesOf(engine, 600);
    expect(times.second?.[0]).toBe(370 + 33);
    expect(times.small?.[0]).toBe(370 + 34);
  });

  test("a cancelled job gives its slot and blocks back wherever it is", () => {
    const engine = engineOf({ maxRunning: 1 });
    const a = engine.submit(job("a", { promptTokens: 500 }));
    const b = engine.submit(job("b"));
    engine.submit(job("c"));
    engine.advance(50);
    engine.cancel(b);
    engine.cancel(a);
    engine.cancel(a);
    expect(engine.state()).toMatchObject({ running: 0, waiting: 1, kvUsage: 0 });
    engine.advance(60);
    expect(engine.advance(160).map(({ owner }) => owner)).toEqual(["c"]);
  });
});

describe("the engine's adapters", () => {
  test("an adapter is loaded first, and is there for the next request", () => {
    const engine = engineOf();
    engine.submit(job("a", { adapter: "x" }));
    engine.submit(job("b"));
    const times = timesOf(engine, 400);
    expect(times.b?.[0]).toBe(100);
    expect(times.a?.[0]).toBe(300);
    engine.submit(job("c", { adapter: "x" }));
    engine.advance(400);
    expect(engine.advance(500).map(({ owner }) => owner)).toEqual(["c"]);
  });

  test("who finds every place in use lets others pass; only started adapters show", () => {
    const engine = engineOf();
    engine.submit(job("a", { adapter: "x" }));
    engine.submit(job("b", { adapter: "y" }));
    engine.submit(job("c"));
    engine.advance(0);
    expect(engine.state()).toMatchObject({ running: 2, waiting: 1, deferred: 1, activeAdapters: ["x"] });
    const times = timesOf(engine, 1000);
    expect(times.a?.[1]).toBe(390);
    expect(times.b?.[0]).toBe(390 + 200 + 100);
    expect(engine.state().activeAdapters).toEqual([]);
  });
});

test("the result does not depend on how often the engine is looked at", () => {
  const submission = fc.record({
    atMs: fc.nat(800),
    promptTokens: fc.integer({ min: 1, max: 200 }),
    answerTokens: fc.integer({ min: 1, max: 40 }),
    adapter: fc.option(fc.constantFrom("x", "y"), { nil: undefined }),
  });
  const endsOf = (jobs: readonly (Partial<Job<string>> & { atMs: number })[], stepMs: number) => {
    const engine = engineOf({ blocks: 30, decodeSlowdown: 0.4 });
    const ends: string[] = [];
    const tokens = new Map<string, number>();
    const look = (nowMs: number) => {
      for (const output of engine.advance(nowMs)) {
        tokens.set(output.owner, (tokens.get(output.owner) ?? 0) + output.tokens);
        if (output.done) ends.push(output.owner);
      }
    };
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 1) {
      const due = jobs.flatMap((fields, index) => (fields.atMs === nowMs ? [job(`${index}`, fields)] : []));
      if (due.length === 0 && nowMs % stepMs !== 0) continue;
      look(nowMs);
      for (const one of due) engine.submit(one);
      if (due.length > 0) look(nowMs);
      if (nowMs > 800 && !engine.busy) break;
    }
    expect(engine.state()).toMatchObject({ waiting: 0, running: 0, kvUsage: 0 });
    return { ends, tokens };
  };
  const same = (jobs: { atMs: number; answerTokens: number }[]) => {
    const fine = endsOf(jobs, 1);
    const coarse = endsOf(jobs, 50);
    expect(coarse).toEqual(fine);
    for (const [owner, count] of fine.tokens) expect(count).toBe(jobs[Number(owner)]!.answerTokens);
    expect(fine.ends.length).toBe(jobs.length);
  };
  fc.assert(fc.property(fc.array(submission, { maxLength: 12 }), same), { numRuns: 60 });
});
