import { describe, expect, test } from "vitest";
import { RATE_PER_S } from "../../../src/demo/main.ts";
import { MODEL, optionsOf, SPEEDS } from "../../../src/demo/servers.ts";
import { Workload } from "../../../src/demo/workload.ts";
import { Engine } from "../../../src/sim/engine.ts";
import { engineOptionsOf } from "../../../src/sim/options.ts";
import { type InferenceRequest, parseInference } from "../../../src/sim/request.ts";

const SERVED = { model: MODEL, loras: [], blockSize: 16, maxModelTokens: 16_000, answerTokens: 64 };

function requests(count: number): (InferenceRequest & { readonly sort: string })[] {
  const workload = new Workload(MODEL, 1);
  return Array.from({ length: count }, () => {
    const { kind, body } = workload.next();
    const parsed = parseInference("chat", "application/json", Buffer.from(body), SERVED);
    if ("error" in parsed) throw new Error(parsed.error.message);
    return { ...parsed.request, sort: kind };
  });
}

/** Requests that one server finishes in a second when it always has some waiting. */
function capacityOf(speed: number, all: readonly InferenceRequest[]): number {
  const engine = new Engine<number>(engineOptionsOf(optionsOf(speed)));
  let next = 0;
  let finished = 0;
  for (let nowMs = 0; nowMs < 60_000; nowMs += 10) {
    for (; engine.state().waiting < 4; next += 1) {
      const { prompt, answerTokens, answerBlocks } = all[next % all.length]!;
      engine.submit({
        owner: next,
        promptTokens: prompt.tokens,
        promptBlocks: prompt.blocks,
        answerBlocks,
        answerTokens,
        adapter: undefined,
      });
    }
    const done = engine.advance(nowMs).filter((output) => output.done).length;
    if (nowMs >= 10_000) finished += done;
  }
  return finished / 50;
}

describe("the demo's workload", () => {
  test("is a mix of short chats, long prompts and conversations, all streamed", () => {
    const all = requests(2_000);
    const shareOf = (sort: string) => all.filter((request) => request.sort === sort).length / all.length;
    expect(shareOf("chat")).toBeGreaterThan(0.65);
    expect(shareOf("long")).toBeGreaterThan(0.03);
    expect(shareOf("turn")).toBeGreaterThan(0.15);
    expect(all.every(({ stream }) => stream)).toBe(true);
    const longest = Math.max(...all.map(({ prompt }) => prompt.tokens));
    expect(longest).toBeGreaterThan(2_500);
  });

  test("conversations grow from one system prompt, then begin again", () => {
    const turns = requests(4_000).filter(({ sort }) => sort === "turn");
    const [first] = turns;
    for (const { prompt } of turns) expect(prompt.blocks.slice(0, 30)).toEqual(first?.prompt.blocks.slice(0, 30));
    const lengths = turns.map(({ prompt }) => prompt.tokens);
    expect(Math.max(...lengths)).toBeGreaterThan(1.5 * Math.min(...lengths));
    expect(Math.max(...lengths)).toBeLessThan(2_000);
  });

  test("is the same every time", () => {
    const bodies = () => {
      const workload = new Workload(MODEL, 7);
      return Array.from({ length: 50 }, () => [workload.next().body, workload.gapMs(10)]);
    };
    expect(bodies()).toEqual(bodies());
  });

  test("comes at the asked rate", () => {
    const workload = new Workload(MODEL, 3);
    let ms = 0;
    for (let i = 0; i < 20_000; i += 1) ms += workload.gapMs(50);
    expect(20_000 / (ms / 1_000)).toBeCloseTo(50, -0.5);
  });

  test("asks about two thirds of what the four servers can do", () => {
    const all = requests(2_000);
    const capacity = SPEEDS.reduce((sum, speed) => sum + capacityOf(speed, all), 0);
    expect(RATE_PER_S / capacity).toBeGreaterThan(0.6);
    expect(RATE_PER_S / capacity).toBeLessThan(0.7);
  });
});
