// Filters leave candidates out, pickers order what is left, profile handlers choose the profile: each
// by itself decides which of two servers gets a request.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  HEADER_DATA_PARALLEL,
  HEADER_DESTINATION,
  HEADER_DROPPED_REASON,
  HEADER_SERVED,
  REASON_SATURATED,
} from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Call } from "./support/client.ts";
import { ConfigMap } from "./support/config-map.ts";
import { startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { document, type Plugin, Schedule, type State } from "./support/schedule.ts";

let schedule: Schedule;

beforeAll(async () => {
  schedule = await Schedule.start({ topology: { zone: "north-1", region: "north" } });
});

afterAll(() => schedule?.stop());

interface Case {
  readonly filter: string;
  readonly plugin: Plugin;
  /** A server that it lets through … */
  readonly passes: State;
  /** … and one that it does not. Without a scorer both are equal but for that. */
  readonly fails: State;
}

const labeled = (label: string, value: string): State => ({ labels: { [label]: value } });
const role = (value: string): State => labeled("llm-d.ai/role", value);
const zone = (value: string): State => labeled("topology.kubernetes.io/zone", value);
const range = (value: string): State => labeled("llm-d.ai/context-length-range", value);
const temperature = (celsius: number): State => ({
  more: `# TYPE gpu_temperature_celsius gauge\ngpu_temperature_celsius ${celsius}\n`,
});
const utilization = (metric: string, maxValue: number): Plugin => ({
  type: "utilization-filter",
  parameters: { conditions: [{ metric, maxValue }] },
});
const below = (value: number, attribute: string, onMissing = "Pass"): Plugin => ({
  type: "endpoint-attribute-filter",
  parameters: {
    attribute,
    onMissing,
    algorithm: { type: "threshold", threshold: { operator: "LessThan", value } },
  },
});

const CASES: readonly Case[] = [
  { filter: "decode role", plugin: { type: "decode-filter" }, passes: role("decode"), fails: role("prefill") },
  { filter: "no role counts as decode", plugin: { type: "decode-filter" }, passes: {}, fails: role("encode") },
  {
    filter: "prefill role",
    plugin: { type: "prefill-filter" },
    passes: role("prefill-decode"),
    fails: role("decode"),
  },
  { filter: "encode role", plugin: { type: "encode-filter" }, passes: role("encode-prefill"), fails: {} },
  {
    filter: "label selector",
    plugin: { type: "label-selector-filter", parameters: { matchLabels: { gpu: "h100" } } },
    passes: labeled("gpu", "h100"),
    fails: labeled("gpu", "l4"),
  },
  {
    filter: "label selector with an expression",
    plugin: {
      type: "label-selector-filter",
      parameters: { matchExpressions: [{ key: "gpu", operator: "NotIn", values: ["l4", "t4"] }] },
    },
    passes: {},
    fails: labeled("gpu", "t4"),
  },
  {
    filter: "label by its values",
    plugin: { type: "by-label", parameters: { label: "gpu", validValues: ["a100", "h100"] } },
    passes: labeled("gpu", "a100"),
    fails: {},
  },
  {
    filter: "waiting queue",
    plugin: utilization("waiting-queue", 3),
    passes: { waiting: 2 },
    fails: { waiting: 6 },
  },
  {
    filter: "running requests",
    plugin: utilization("running-requests", 8),
    passes: { running: 8 },
    fails: { running: 9 },
  },
  {
    filter: "KV cache",
    plugin: utilization("kv-cache-utilization", 0.8),
    passes: { kvUsage: 0.75 },
    fails: { kvUsage: 0.85 },
  },
  {
    filter: "active requests",
    plugin: utilization("active-requests", 1),
    passes: { holds: [{}] },
    fails: { holds: [{}, {}] },
  },
  { filter: "attribute", plugin: below(70, "temperature"), passes: temperature(60), fails: temperature(80) },
  {
    filter: "topology",
    plugin: { type: "topology-affinity-filter", parameters: { minAffinity: "zone" } },
    passes: zone("north-1"),
    fails: zone("north-2"),
  },
  {
    filter: "context length",
    plugin: { type: "context-length-aware", parameters: { enableFiltering: true }, weight: 0 },
    passes: range("0-1000"),
    fails: range("5000-9000"),
  },
  {
    filter: "utilization detector, queue",
    plugin: { type: "utilization-detector", parameters: { queueDepthThreshold: 4 } },
    passes: { waiting: 2 },
    fails: { waiting: 8 },
  },
  {
    filter: "utilization detector, KV cache",
    plugin: { type: "utilization-detector", parameters: { kvCacheUtilThreshold: 0.5, headroom: 0.2 } },
    passes: { kvUsage: 0.55 },
    fails: { kvUsage: 0.65 },
  },
  {
    filter: "concurrency detector, requests",
    plugin: { type: "concurrency-detector", parameters: { maxConcurrency: 2 } },
    passes: { holds: [{}] },
    fails: { holds: [{}, {}] },
  },
  {
    filter: "concurrency detector, tokens",
    plugin: { type: "concurrency-detector", parameters: { concurrencyMode: "tokens", maxTokenConcurrency: 500 } },
    passes: { holds: [{ contentBytes: 400 }] },
    fails: { holds: [{ contentBytes: 4_000 }] },
  },
];

describe("filters", () => {
  test.each(CASES)("$filter", async ({ plugin, passes, fails }) => {
    await schedule.use(plugin);
    await schedule.put([passes, fails]);
    await schedule.expectPicks(0);
    await schedule.put([fails, passes]);
    await schedule.expectPicks(1);
  });

  test("an attribute that one server has never told", async () => {
    const noise = (decibel: number): State => ({ more: `# TYPE fan_noise_db gauge\nfan_noise_db ${decibel}\n` });
    await schedule.use(below(40, "noise", "Pass"));
    await schedule.put([{}, noise(50)]);
    await schedule.expectPicks(0);
    await schedule.use(below(40, "noise", "Fail"));
    expect((await schedule.ask()).status).toBe(429);
    await schedule.put([{}, noise(30)]);
    await schedule.expectPicks(1);
  });

  test("whoever has most of the prompt, though the other is less busy", async () => {
    await schedule.use({ type: "prefix-cache-affinity-filter" }, { type: "running-requests-size-scorer" });
    await schedule.put([{ running: 9 }, { running: 1 }]);
    const body = chat({
      tools: [{ type: "function", function: { name: "find", description: "prompt ".repeat(600) } }],
    });
    expect(await schedule.pick(), "another prompt").toBe(1);
    await schedule.steer(0, { body });
    await schedule.expectPicks(0, () => ({ body }));
    await schedule.expectPicks(1);
  });

  test("whoever has the session, though the other is less busy", async () => {
    await schedule.use({ type: "session-affinity-filter" }, { type: "running-requests-size-scorer" });
    await schedule.put([{ running: 9 }, { running: 1 }]);
    const token = String((await schedule.steer(0)).headers["x-session-token"]);
    await schedule.expectPicks(0, () => ({ headers: { "x-session-token": token } }));
    await schedule.expectPicks(1);
  });

  test("nobody is left: 429, unless the filter lets all through then", async () => {
    const { type, parameters } = utilization("waiting-queue", 3);
    await schedule.use({ type, parameters: parameters! });
    await schedule.put([{ waiting: 6 }, { waiting: 6 }]);
    const answer = await schedule.ask();
    expect([answer.status, answer.headers[HEADER_DROPPED_REASON]]).toEqual([429, REASON_SATURATED]);
    await schedule.use({ type, parameters: { ...parameters, fallbackOnEmpty: true } });
    expect(await schedule.pick()).not.toBe(-1);
  });
});

describe("pickers", () => {
  const byMemory: Plugin = { type: "kv-cache-utilization-scorer" };
  const MEMORY: readonly State[] = [{ kvUsage: 0.2 }, { kvUsage: 0.8 }];
  /** Of 200 picks; 0.14 from what is expected is four standard deviations and more. */
  const share = async () => (await schedule.picks(200)).filter((index) => index === 0).length / 200;

  test("the highest score, always", async () => {
    await schedule.use(byMemory, { type: "max-score-picker" });
    await schedule.put(MEMORY);
    await schedule.expectPicks(0);
  });

  test("by chance, whatever the scores", async () => {
    await schedule.use(byMemory, { type: "random-picker" });
    await schedule.put(MEMORY);
    expect(Math.abs((await share()) - 0.5)).toBeLessThan(0.14);
  });

  test("by chance, in proportion to the scores", async () => {
    await schedule.use(byMemory, { type: "weighted-random-picker" });
    await schedule.put(MEMORY);
    expect(Math.abs((await share()) - 0.8)).toBeLessThan(0.14);
  });

  test.each([1, 2])("%i in the list of destinations, the best first", async (maxNumOfEndpoints) => {
    await schedule.use(byMemory, { type: "max-score-picker", parameters: { maxNumOfEndpoints } });
    await schedule.put(MEMORY);
    const best = schedule.servers.slice(0, maxNumOfEndpoints).map(({ name }) => name);
    for (let n = 0; n < 8; ++n) {
      const { headers } = (await schedule.ask()).json() as Received;
      expect(headers[HEADER_DESTINATION]).toEqual([best.join(",")]);
    }
  });
});

describe("profile handlers", () => {
  test("by a header: named, not named, unknown", async () => {
    const plugins: readonly Plugin[] = [
      { type: "header-profile-handler", parameters: { headerName: "X-Stage", defaultProfile: "decode" } },
      { type: "decode-filter" },
      { type: "prefill-filter" },
    ];
    const [, decode, prefill] = plugins as readonly [Plugin, Plugin, Plugin];
    await schedule.put([role("prefill"), role("decode")]);
    await schedule.write(document(plugins, { prefill: [prefill], decode: [decode] }));
    const stage = (name: string) => (): Call => ({ headers: { "x-stage": name } });
    await schedule.expectPicks(0, stage("prefill"));
    await schedule.expectPicks(1, stage("decode"));
    await schedule.expectPicks(1);
    expect((await schedule.ask(stage("encode")())).status).toBe(400);
  });

  test("data parallel: the request goes to the primary port and says which rank was picked", async () => {
    const primary = await onOnePort(1, (listen) => Backend.start(listen));
    const [{ address }] = primary as [Backend];
    const rank = await Backend.start({ host: address.host, port: 0 }, { load: { waiting: 0, running: 1, kvUsage: 0 } });
    primary[0]!.load = { waiting: 9, running: 1, kvUsage: 0 };
    const plugins: readonly Plugin[] = [{ type: "queue-scorer" }];
    const handler = { type: "data-parallel-profile-handler", parameters: { primaryPort: address.port } };
    const config = new ConfigMap(document([handler, ...plugins], { ranks: plugins }));
    const pool = { morePorts: [rank.address.port] };
    const gateway = await startGateway({ servers: primary, pool, configPath: config.path });
    try {
      await gateway.measured();
      const answer = await gateway.client().call({ path: "/v1/chat/completions", body: chat() });
      expect(answer.headers[HEADER_SERVED]).toBe(primary[0]!.name);
      expect((answer.json() as Received).headers[HEADER_DATA_PARALLEL]).toEqual([rank.name]);
    } finally {
      await gateway.stop();
      config.delete();
      await Promise.all([rank.stop(), primary[0]!.stop()]);
    }
  });
});
