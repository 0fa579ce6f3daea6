// Documents compiled and encoded by the agent against programs written for tests: two descriptions, two encoders.

import { expect, test } from "vitest";
import { decodeSnapshot } from "../../../src/control/decode.ts";
import { encodeTopology } from "../../../src/control/encode.ts";
import { compileConfig } from "../../../src/control/scheduling/compile.ts";
import { encodeFlow } from "../../../src/control/scheduling/encode-flow.ts";
import type { Program } from "../../../src/control/scheduling/program.ts";
import { encodeFlow as writeFlow } from "../../host/flow.ts";
import type { ProgramSpec } from "../../host/program.ts";
import * as host from "../../host/snapshot.ts";
import { configYaml, loading } from "./documents.ts";

const POOL = "default/p";

/** The steps are called by their types here, and otherwise in tests of the filter. */
function unnamed(program: Program | undefined): Program | undefined {
  if (program === undefined) return undefined;
  const profiles = program.profiles.map((profile) => ({
    ...profile,
    steps: profile.steps.map((step) => ({ ...step, name: "" })),
  }));
  return { ...program, profiles };
}

function decoded(bytes: Buffer): Program | undefined {
  const result = decodeSnapshot(bytes);
  if (!result.ok || result.value.kind !== "topology") throw new Error(JSON.stringify(result));
  return unnamed(result.value.topology.program);
}

const manyScorers = configYaml(
  [
    "{type: prefix-cache-scorer, parameters: {matchLengthWeight: 0.25, matchLengthScaleTokens: 512}}",
    "{type: lora-affinity-scorer}",
    "{type: token-load-scorer, parameters: {queueThresholdTokens: 100}}",
    "{type: active-request-scorer, parameters: {idleThreshold: 1, maxBusyScore: 0.5}}",
    "{type: header-label-affinity-scorer, parameters: {headerName: X-Team, labelKey: team}}",
    "{type: weighted-random-picker, parameters: {maxNumOfEndpoints: 2}}",
    "{type: prefix-cache-affinity-filter}",
    "{type: inflight-load-producer, parameters: {outputRatio: 2, addEstimatedOutputTokens: true}}",
  ],
  [
    "pluginRef: prefix-cache-affinity-filter",
    "pluginRef: prefix-cache-scorer, weight: 3",
    "pluginRef: lora-affinity-scorer",
    "pluginRef: token-load-scorer, weight: 0.5",
    "pluginRef: active-request-scorer",
    "pluginRef: header-label-affinity-scorer",
    "pluginRef: weighted-random-picker",
  ],
);

test.each<[name: string, text: string, spec: ProgramSpec]>([
  [
    "the default of the reference",
    loading("the-default-of-the-reference"),
    {
      profiles: [
        {
          scorers: [
            { type: "queue-scorer", weight: 2 },
            { type: "kv-cache-utilization-scorer", weight: 2 },
            { type: "prefix-cache-scorer", weight: 3 },
          ],
        },
      ],
    },
  ],
  [
    "profiles by header",
    loading("profiles-by-header"),
    {
      handler: { type: "header-profile-handler" },
      profiles: [
        { name: "prefill", filters: [{ type: "label-filter", bit: 0 }], scorers: [{ type: "queue-scorer" }] },
        { name: "decode", filters: [{ type: "label-filter", bit: 1 }], scorers: [{ type: "queue-scorer" }] },
      ],
    },
  ],
  [
    "sessions",
    loading("sessions"),
    {
      sessionTtlMs: 60_000,
      profiles: [
        {
          filters: [{ type: "session-affinity-filter", sources: ["x-conversation", "x-user"] }],
          scorers: [{ type: "session-affinity-scorer" }],
        },
      ],
    },
  ],
  [
    "data-parallel ranks",
    loading("data-parallel-ranks-behind-one-port"),
    {
      handler: { type: "data-parallel-profile-handler", primaryPort: 8200 },
      profiles: [
        { filters: [{ type: "label-filter", bit: 0 }], scorers: [{ type: "prefix-cache-scorer", weight: 2 }] },
      ],
    },
  ],
  [
    "many scorers",
    manyScorers,
    {
      addOutputTokens: true,
      outputRatio: 2,
      profiles: [
        {
          picker: "weighted-random-picker",
          endpoints: 2,
          filters: [{ type: "prefix-cache-affinity-filter" }],
          scorers: [
            { type: "prefix-cache-scorer", weight: 3, matchLengthWeight: 0.25, matchLengthScaleTokens: 512 },
            { type: "lora-affinity-scorer" },
            { type: "token-load-scorer", weight: 0.5, queueThresholdTokens: 100 },
            { type: "active-request-scorer", idleThreshold: 1, maxBusyScore: 0.5 },
            { type: "header-label-affinity-scorer", header: "x-team", column: 0 },
          ],
        },
      ],
    },
  ],
  [
    "saturation without queues",
    configYaml(
      ["{type: queue-scorer}", "{type: utilization-detector, parameters: {metricsStalenessThreshold: 1s}}"],
      ["pluginRef: queue-scorer"],
      "saturationDetector: {pluginRef: utilization-detector}",
    ),
    {
      staleMs: 1000,
      profiles: [{ scorers: [{ type: "queue-scorer" }] }],
      flow: { detector: { type: "utilization-detector", staleMs: 1000 } },
    },
  ],
  [
    "queues by priority",
    loading("queues-by-priority"),
    {
      profiles: [{ scorers: [{ type: "queue-scorer" }] }],
      flow: {
        queues: true,
        evicts: true,
        detector: { type: "concurrency-detector", maxConcurrency: 16, maxTokenConcurrency: 200_000 },
        usage: { type: "priority-holdback-policy", minCeiling: 0.5, maxCeiling: 0.9, domain: "value" },
        maxRequests: 20_000,
        maxBytes: 2_147_483_648,
        ttlMs: 30_000,
        emptyTtlMs: 600_000,
        defaultBand: { maxRequests: 500, ordering: "edf" },
        defaultNegativeBand: { maxRequests: 50, maxBytes: 1_000_000, ttlMs: 0 },
        bands: [
          { priority: 0, maxRequests: 500, ordering: "edf" },
          { priority: 5 },
          { priority: -10, ttlMs: 1_500 },
          { priority: 100, fairness: "global-strict", ordering: "slo-deadline" },
        ],
      },
    },
  ],
])("%s", (_, text, spec) => {
  const compiled = compileConfig(text);
  if (!compiled.ok) throw new Error(compiled.errors[0]?.message);
  const pools = [{ name: POOL, failureMode: "FailClose" as const, endpoints: [] }];
  const ours = decoded(encodeTopology({ epoch: 1, program: compiled.scheduling.program, pools }));
  const theirs = decoded(host.encodeTopology(1, [{ name: POOL, program: spec, endpoints: [] }]));
  expect(ours).toEqual(unnamed(compiled.scheduling.program));
  expect(ours).toEqual(theirs);
  const flow = spec.flow === undefined ? Buffer.alloc(0) : writeFlow(spec.flow);
  expect(encodeFlow(compiled.scheduling.program.flow)).toEqual(flow);
});
