// Every signal of a scorer by itself decides the pick: two servers are alike but for it, and it flips.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HEADER_SERVED } from "../../src/wire/names.ts";
import { chat } from "./support/bodies.ts";
import type { Call } from "./support/client.ts";
import { type Plugin, Schedule, type State } from "./support/schedule.ts";

let schedule: Schedule;

beforeAll(async () => {
  schedule = await Schedule.start({ topology: { zone: "north-1", region: "north" } });
});

afterAll(() => schedule?.stop());

interface Case {
  readonly signal: string;
  readonly scorer: Plugin;
  /** The server that is to be picked, first the one, then the other … */
  readonly better: State;
  /** … and the one that is not. */
  readonly worse: State;
  readonly request?: () => Call;
}

/** vLLM's page about adapters. */
function adapters(max: number, running: string, waiting = running): State {
  const labels = `max_lora="${max}",running_lora_adapters="${running}",waiting_lora_adapters="${waiting}"`;
  return { more: `# TYPE vllm:lora_requests_info gauge\nvllm:lora_requests_info{${labels}} ${Date.now() / 1000}\n` };
}

const temperature = (celsius: number): State => ({
  more: `# TYPE gpu_temperature_celsius gauge\ngpu_temperature_celsius ${celsius}\n`,
});
const range = (text: string): State => ({ labels: { "llm-d.ai/context-length-range": text } });
const place = (zone: string, region: string): State => ({
  labels: { "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": region },
});
const forAdapter = () => ({ body: chat({ model: "tuned" }) });
const LORA: Plugin = { type: "lora-affinity-scorer" };
const byTemperature = (algorithm: object): Plugin => ({
  type: "endpoint-attribute-scorer",
  parameters: { attributeKey: "temperature", algorithm },
});

const CASES: readonly Case[] = [
  { signal: "queue", scorer: { type: "queue-scorer" }, better: { waiting: 1 }, worse: { waiting: 6 } },
  {
    signal: "running",
    scorer: { type: "running-requests-size-scorer" },
    better: { running: 2 },
    worse: { running: 3 },
  },
  {
    signal: "KV cache",
    scorer: { type: "kv-cache-utilization-scorer" },
    better: { kvUsage: 0.4 },
    worse: { kvUsage: 0.5 },
  },
  {
    signal: "load, within the threshold",
    scorer: { type: "load-aware-scorer", parameters: { threshold: 20 } },
    better: { waiting: 5 },
    worse: { waiting: 15 },
  },
  {
    signal: "adapter that runs",
    scorer: LORA,
    better: adapters(4, "tuned"),
    worse: adapters(4, "other"),
    request: forAdapter,
  },
  {
    signal: "room for an adapter",
    scorer: LORA,
    better: adapters(2, "other"),
    worse: adapters(1, "other"),
    request: forAdapter,
  },
  {
    signal: "adapter listed as waiting",
    scorer: LORA,
    better: adapters(1, "other", "tuned"),
    worse: adapters(1, "other", "third"),
    request: forAdapter,
  },
  {
    signal: "adapter that this proxy has in flight",
    scorer: LORA,
    better: { ...adapters(4, ""), holds: [{ model: "tuned" }] },
    worse: { ...adapters(4, ""), holds: [{ model: "other" }] },
    request: forAdapter,
  },
  {
    signal: "requests in flight",
    scorer: { type: "in-flight-scorer" },
    better: { holds: [{}] },
    worse: { holds: [{}, {}] },
  },
  {
    signal: "active requests",
    scorer: { type: "active-request-scorer" },
    better: { holds: [{}] },
    worse: { holds: [{}, {}] },
  },
  {
    signal: "tokens in flight",
    scorer: { type: "token-load-scorer", parameters: { queueThresholdTokens: 2_000 } },
    better: { holds: [{ contentBytes: 400 }] },
    worse: { holds: [{ contentBytes: 4_000 }] },
  },
  {
    signal: "attribute, the lower the better",
    scorer: byTemperature({ type: "linear_lower_is_better" }),
    better: temperature(60),
    worse: temperature(80),
  },
  {
    signal: "attribute in a fixed range, the higher the better",
    scorer: byTemperature({ type: "linear_higher_is_better", normalization: { fixedRange: { min: 0, max: 100 } } }),
    better: temperature(80),
    worse: temperature(60),
  },
  {
    signal: "context length",
    scorer: { type: "context-length-aware" },
    better: range("0-1000"),
    worse: range("5000-9000"),
  },
  {
    signal: "zone",
    scorer: { type: "topology-affinity-scorer" },
    better: place("north-1", "north"),
    worse: place("north-2", "north"),
  },
  {
    signal: "region",
    scorer: { type: "topology-affinity-scorer" },
    better: place("north-2", "north"),
    worse: place("south-1", "south"),
  },
  {
    signal: "label that a header names",
    scorer: {
      type: "header-label-affinity-scorer",
      name: "tier",
      parameters: { headerName: "x-tier", labelKey: "tier" },
    },
    better: { labels: { tier: "gold" } },
    worse: { labels: { tier: "tin" } },
    request: () => ({ headers: { "x-tier": "gold" } }),
  },
];

describe("what servers are", () => {
  test.each(CASES)("$signal", async ({ scorer, better, worse, request }) => {
    await schedule.use(scorer);
    await schedule.put([better, worse]);
    await schedule.expectPicks(0, request);
    await schedule.put([worse, better]);
    await schedule.expectPicks(1, request);
  });
});

describe("what requests are", () => {
  /** A prompt of about so many bytes that each call to `asked` sends again. */
  function prompt(bytes: number): () => Call {
    const body = chat({ user: "same" });
    const { messages } = JSON.parse(body);
    const content = `${messages[0].content}${"prompt ".repeat(bytes / 7)}`;
    return () => ({ body: JSON.stringify({ model: "m", messages: [{ role: "user", content }] }) });
  }

  test("a header's value", async () => {
    const byTier = { headerName: "x-tier", labelKey: "tier" };
    await schedule.use({ type: "header-label-affinity-scorer", name: "tier", parameters: byTier });
    await schedule.put([{ labels: { tier: "gold" } }, { labels: { tier: "tin" } }]);
    await schedule.expectPicks(0, () => ({ headers: { "x-tier": "gold" } }));
    await schedule.expectPicks(1, () => ({ headers: { "x-tier": "tin" } }));
  });

  test("a prompt's length", async () => {
    await schedule.use({ type: "context-length-aware" });
    await schedule.put([range("0-500"), range("501-5000")]);
    await schedule.expectPicks(0, prompt(400));
    await schedule.expectPicks(1, prompt(8_000));
  });

  test("a prompt's beginning", async () => {
    await schedule.use({ type: "prefix-cache-scorer" });
    await schedule.put([{}, {}]);
    for (const index of [0, 1, 0, 1]) {
      const call = prompt(4_000);
      await schedule.steer(index, call());
      await schedule.expectPicks(index, call);
    }
  });

  test("how long the match is, beside which part of the prompt it is", async () => {
    const byLength = { matchLengthWeight: 1, matchLengthScaleTokens: 2_000 };
    await schedule.use(
      { type: "prefix-cache-scorer", parameters: byLength },
      { type: "running-requests-size-scorer", weight: 0.5 },
    );
    await schedule.put([{ running: 9 }, { running: 1 }]);
    // Both are cached as a whole on the busier server; 100 tokens of 2000 are not worth going there.
    const [short, long] = [prompt(400), prompt(8_000)];
    for (const call of [short, long]) await schedule.steer(0, call());
    await schedule.expectPicks(0, long);
    await schedule.expectPicks(1, short);
  });

  test("that nobody has its beginning: who was given such a one longest ago", async () => {
    await schedule.use({ type: "prefix-cache-scorer", weight: 0 }, { type: "no-hit-lru-scorer" });
    await schedule.put([{}, {}]);
    const first = await schedule.pick(prompt(2_000)());
    for (let n = 1; n <= 6; ++n) expect(await schedule.pick(prompt(2_000)())).toBe((first + n) % 2);
  });

  test("the token of a session", async () => {
    await schedule.use({ type: "session-affinity-scorer" });
    await schedule.put([{}, {}]);
    for (const index of [0, 1]) {
      const { headers } = await schedule.steer(index);
      const token = headers["x-session-token"];
      expect(token).toBe(Buffer.from(`default/pod-${index + 1}-rank-0`).toString("base64"));
      await schedule.expectPicks(index, () => ({ headers: { "x-session-token": String(token) } }));
    }
  });

  test("the name of a session: it stays where its first request went", async () => {
    const sessionIdConfig = { sources: [{ header: "x-chat" }] };
    await schedule.use(
      { type: "session-affinity-scorer", parameters: { strategy: "session_id", sessionIdConfig }, weight: 2 },
      { type: "queue-scorer" },
    );
    const named = (name: string) => (): Call => ({ headers: { "x-chat": name } });
    const [one, other] = [named("one"), named("other")];
    await schedule.put([{ waiting: 1 }, { waiting: 5 }]);
    await schedule.expectPicks(0, one);
    await schedule.put([{ waiting: 5 }, { waiting: 1 }]);
    await schedule.expectPicks(0, one);
    await schedule.expectPicks(1, other);
    expect((await schedule.ask(one())).headers[HEADER_SERVED]).toBe(schedule.servers[0]!.name);
  });
});
