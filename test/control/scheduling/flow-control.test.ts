// Flow control in EndpointPickerConfig documents: what becomes of it, and what is said about it.

import { describe, expect, test } from "vitest";
import { compileConfig } from "../../../src/control/scheduling/compile.ts";
import { describeProgram } from "../../../src/control/scheduling/describe.ts";
import { BAND_DEFAULT, FLOW_DEFAULT, type Flow, withPriorities } from "../../../src/control/scheduling/flow.ts";
import { needsOf, type Program } from "../../../src/control/scheduling/program.ts";
import { SCHEDULING_DEFAULT } from "../../../src/control/scheduling/scheduling.ts";
import { topologyOf } from "../../../src/control/snapshot.ts";
import * as l from "../../../src/wire/flow.ts";
import { NEEDS_TOKENS } from "../../../src/wire/program.ts";
import { configYaml, loading } from "./documents.ts";

const GATE = "featureGates: [flowControl]";

function programOf(text: string): Program {
  const compiled = compileConfig(text);
  if (!compiled.ok) throw new Error(compiled.errors.map(({ line, message }) => `${line}: ${message}`).join("\n"));
  return compiled.scheduling.program;
}

/** Of a document with these plugins and lines. */
function flowOf(plugins: readonly string[], ...more: readonly string[]): Flow {
  return programOf(configYaml(plugins, [], more.join("\n"))).flow;
}

function warningsOf(plugins: readonly string[], ...more: readonly string[]): readonly string[] {
  const compiled = compileConfig(configYaml(["{type: queue-scorer}", ...plugins], [], more.join("\n")));
  expect(compiled.ok).toBe(true);
  return compiled.warnings.map(({ message }) => message);
}

test("every setting, in the order of priorities", () => {
  const band = { ...BAND_DEFAULT, ttlMs: 30_000 };
  const defaultBand = { ...band, maxRequests: 500, ordering: l.ORDERING_EDF };
  const slo = { fairness: l.FAIRNESS_GLOBAL_STRICT, ordering: l.ORDERING_SLO };
  expect(programOf(loading("queues-by-priority")).flow).toEqual({
    queues: true,
    evicts: true,
    detector: { kind: "concurrency", maxConcurrency: 16, maxTokenConcurrency: 200_000 },
    usage: { kind: "holdback", domain: l.DOMAIN_VALUE, minCeiling: 0.5, maxCeiling: 0.9 },
    maxRequests: 20_000,
    maxBytes: 2 * 2 ** 30,
    ttlMs: 30_000,
    emptyTtlMs: 600_000,
    defaultBand,
    defaultNegativeBand: { ...band, maxRequests: 50, maxBytes: 1_000_000, ttlMs: 0 },
    bands: [
      { ...band, ...slo, priority: 100 },
      { ...band, priority: 5 },
      // Ceilings are spread over the bands, and priority 0 has always one.
      { ...defaultBand, priority: 0 },
      { ...band, priority: -10, ttlMs: 1_500 },
    ],
  });
});

describe("what is left out", () => {
  test("without the gate nothing waits, and all is as by default", () => {
    expect(flowOf(["{type: queue-scorer}"])).toEqual(FLOW_DEFAULT);
    expect(flowOf(["{type: queue-scorer}"], "featureGates: [flowControl, flowControl=false]")).toEqual(FLOW_DEFAULT);
  });

  test("without the gate limits and policies do not count", () => {
    const text = "flowControl: {maxRequests: 1, enableEviction: true, priorityBands: [{priority: 1}]}";
    expect(flowOf(["{type: static-usage-limit-policy, parameters: {threshold: 0.5}}"], text)).toEqual(FLOW_DEFAULT);
  });

  test("with the gate alone, too, but for the gate", () => {
    expect(flowOf(["{type: queue-scorer}"], GATE)).toEqual({ ...FLOW_DEFAULT, queues: true });
  });

  test("negative priorities have the band of the others, but for what is written for them", () => {
    const both = flowOf([], GATE, "flowControl: {defaultPriorityBand: {maxRequests: 7}}");
    expect(both.defaultNegativeBand).toEqual({ ...BAND_DEFAULT, maxRequests: 7 });
    const written = "flowControl: {defaultPriorityBand: {maxRequests: 7}, defaultNegativePriorityBand: {maxBytes: 9}}";
    expect(flowOf([], GATE, written).defaultNegativeBand).toEqual({ ...BAND_DEFAULT, maxBytes: 9 });
  });

  test("a limit of 0 is the default, and no limit over all bands", () => {
    const zeros = "{maxRequests: 0, maxBytes: 0";
    const flow = flowOf([], GATE, `flowControl: ${zeros}, priorityBands: [${zeros}, priority: 1}]}`);
    expect(flow).toMatchObject({ maxRequests: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY });
    expect(flow.bands).toEqual([{ ...BAND_DEFAULT, priority: 1 }]);
  });

  test("while there is no endpoint the same time counts, and all bands have it", () => {
    const flow = flowOf([], GATE, "flowControl: {defaultRequestTTL: 0s, priorityBands: [{priority: 1}]}");
    const ttls = [flow.ttlMs, flow.emptyTtlMs, flow.defaultBand.ttlMs, flow.defaultNegativeBand.ttlMs];
    expect([...ttls, flow.bands[0]!.ttlMs]).toEqual([0, 0, 0, 0, 0]);
    expect(flowOf([], GATE, "flowControl: {noEndpointRequestTTL: 5s}")).toMatchObject({
      ttlMs: 60_000,
      emptyTtlMs: 5_000,
    });
  });
});

describe("quantities", () => {
  test.each([
    ["12", 12],
    ['"12"', 12],
    ["+3", 3],
    ["1.5k", 1_500],
    ["2M", 2e6],
    ["1E", 1e18],
    ["3e2", 300],
    ["3E2", 300],
    ["1Ki", 1024],
    ["0.5Gi", 2 ** 29],
    ["2500m", 3],
    ["1n", 1],
    [".5", 1],
    ["1.1k", 1_100],
  ])("%s", (text, value) => {
    expect(flowOf([], GATE, `flowControl: {maxRequests: ${text}}`).maxRequests).toBe(value);
  });
});

describe("the saturation detector", () => {
  const detector = (parameters: string, name = "d") =>
    `{type: concurrency-detector, name: ${name}, parameters: ${parameters}}`;
  const refer = (name: string) => `flowControl: {saturationDetector: {pluginRef: ${name}}}`;

  test("counts without the gate too, its headroom does not", () => {
    const one =
      "{type: utilization-detector, name: u, parameters: {queueDepthThreshold: 9, kvCacheUtilThreshold: 0.7, " +
      "metricsStalenessThreshold: 1s, headroom: 0.5}}";
    const expected = { kind: "utilization", queueThreshold: 9, kvThreshold: Math.fround(0.7), staleMs: 1000 };
    expect(flowOf([one], refer("u"))).toEqual({ ...FLOW_DEFAULT, detector: expected });
  });

  test.each([
    ["{}", 100, Number.POSITIVE_INFINITY],
    ["{concurrencyMode: tokens}", Number.POSITIVE_INFINITY, 1_000_000],
    ["{concurrencyMode: hybrid, maxConcurrency: 3}", 3, 1_000_000],
  ])("of concurrency by mode: %s", (parameters, maxConcurrency, maxTokenConcurrency) => {
    const { flow, ...program } = programOf(configYaml([detector(parameters)], [], refer("d")));
    expect(flow.detector).toEqual({ kind: "concurrency", maxConcurrency, maxTokenConcurrency });
    const counted = maxTokenConcurrency < Number.POSITIVE_INFINITY ? NEEDS_TOKENS : 0;
    expect(needsOf({ ...program, flow }) & NEEDS_TOKENS).toBe(counted);
  });

  test("that is listed under the name of its type is the default", () => {
    const listed = "{type: utilization-detector, parameters: {queueDepthThreshold: 9}}";
    expect(flowOf([listed]).detector).toMatchObject({ queueThreshold: 9 });
    expect(flowOf([listed], "flowControl: {saturationDetector: {}}").detector).toMatchObject({ queueThreshold: 9 });
  });

  test("by its old place counts, unless the new one says another", () => {
    const both = [detector("{maxConcurrency: 1}", "a"), detector("{maxConcurrency: 2}", "b")];
    const old = "saturationDetector: {pluginRef: a}";
    expect(flowOf(both, old).detector).toMatchObject({ maxConcurrency: 1 });
    expect(flowOf(both, old, refer("b")).detector).toMatchObject({ maxConcurrency: 2 });
    expect(warningsOf(both, old, refer("b"))).toEqual([
      "saturationDetector: is deprecated and has no effect beside flowControl.saturationDetector",
    ]);
  });
});

describe("policies", () => {
  test("need not be listed", () => {
    const band =
      "{priority: 1, fairnessPolicyRef: global-strict-fairness-policy, orderingPolicyRef: edf-ordering-policy}";
    const text = `flowControl: {usageLimitPolicyPluginRef: static-usage-limit-policy, priorityBands: [${band}]}`;
    expect(flowOf([], GATE, text)).toMatchObject({
      usage: { kind: "static", ceiling: 1 },
      bands: [{ fairness: l.FAIRNESS_GLOBAL_STRICT, ordering: l.ORDERING_EDF }],
    });
    expect(warningsOf([], GATE, text)).toEqual([]);
  });

  test("the static one counts under the name of its type with its threshold, referred to or not", () => {
    const listed = "{type: static-usage-limit-policy, parameters: {threshold: 0.7}}";
    const expected = { usage: { kind: "static", ceiling: 0.7 } };
    expect(flowOf([listed], GATE)).toMatchObject(expected);
    expect(flowOf([listed], GATE, "flowControl: {maxRequests: 1}")).toMatchObject(expected);
    expect(warningsOf([listed], GATE)).toEqual([]);
  });

  test("that nothing refers to are told", () => {
    const listed = "{type: priority-holdback-policy, parameters: {minCeiling: 0}}";
    expect(warningsOf([listed], GATE)).toEqual([
      "plugins[1].type: nothing refers to priority-holdback-policy, it has no effect",
    ]);
  });

  test("that are not there leave the default in force, which is told", () => {
    const text =
      "flowControl: {usageLimitPolicyPluginRef: c, defaultPriorityBand: {fairnessPolicyRef: program-aware-fairness}}";
    const listed = "{type: soft-reflective-ceiling-policy, name: c}";
    expect(flowOf([listed], GATE, text)).toEqual({ ...FLOW_DEFAULT, queues: true });
    expect(warningsOf([listed], GATE, text)).toEqual([
      expect.stringMatching(/^plugins\[1\]\.type: soft-reflective-ceiling-policy: .* it has no effect$/),
      expect.stringMatching(
        /^flowControl.usageLimit.*: soft-reflective-.* not there yet; static-usage-limit-policy counts$/,
      ),
      expect.stringMatching(/fairnessPolicyRef: program-aware-fairness: .* round-robin-fairness-policy counts$/),
    ]);
  });
});

describe("warnings", () => {
  test("a section without the gate", () => {
    const warning = "flowControl: has no effect but for saturationDetector: featureGates does not list flowControl";
    expect(warningsOf([], "flowControl: {maxRequests: 1}")).toEqual([warning]);
    expect(warningsOf([], "flowControl: {enableEviction: true}")).toEqual([warning]);
    expect(warningsOf([], "flowControl: {saturationDetector: {pluginRef: utilization-detector}}")).toEqual([]);
    expect(warningsOf([], "flowControl: {maxRequests: 1}", GATE)).toEqual([]);
  });

  test("a band without a priority, and a priority where it says nothing", () => {
    const text = "flowControl: {defaultPriorityBand: {priority: 4}, priorityBands: [{maxRequests: 3}]}";
    expect(warningsOf([], GATE, text)).toEqual([
      "flowControl.defaultPriorityBand.priority: has no effect in a band for all priorities without one of their own",
      "flowControl.priorityBands[0]: priority is missing: 0 counts, as in the reference",
    ]);
    expect(flowOf([], GATE, text).bands).toEqual([{ ...BAND_DEFAULT, maxRequests: 3, priority: 0 }]);
  });
});

describe("bands for the priorities of objectives", () => {
  const holdback: Flow = {
    ...FLOW_DEFAULT,
    usage: { kind: "holdback", domain: l.DOMAIN_RANK, minCeiling: 0.5, maxCeiling: 1 },
    defaultNegativeBand: { ...BAND_DEFAULT, maxRequests: 1 },
    bands: [{ ...BAND_DEFAULT, maxRequests: 2, priority: 5 }],
  };

  test("are made of the defaults, in order, where ceilings are spread over bands", () => {
    expect(withPriorities(holdback, [-1, 5, 9]).bands).toEqual([
      { ...BAND_DEFAULT, priority: 9 },
      { ...BAND_DEFAULT, maxRequests: 2, priority: 5 },
      { ...BAND_DEFAULT, maxRequests: 1, priority: -1 },
    ]);
    expect(withPriorities(FLOW_DEFAULT, [-1, 5, 9])).toBe(FLOW_DEFAULT);
  });

  test("are those of objectives and of models alike", () => {
    const model = (name: string, priority: number | undefined) => ({ name, priority, rule: undefined, routes: true });
    const models = {
      objectives: [{ name: "urgent", priority: 9 }],
      models: [model("critical", 1), model("sheddable", -1), model("plain", undefined)],
      generic: undefined,
    };
    const pool = { namespace: "default", name: "chat", failureMode: "FailClose" };
    const scheduling = { ...SCHEDULING_DEFAULT, program: { ...SCHEDULING_DEFAULT.program, flow: holdback } };
    const pools = [{ pool, endpoints: [], models }] as unknown as Parameters<typeof topologyOf>[0];
    const { program } = topologyOf(pools, scheduling, {}, 1);
    expect(program!.flow.bands.map(({ priority }) => priority)).toEqual([9, 5, 1, -1]);
  });

  test("are never more than fit", () => {
    const { bands } = withPriorities(
      holdback,
      Array.from({ length: 100 }, (_, i) => -i),
    );
    expect(bands).toHaveLength(64);
    expect(bands[0]!.priority).toBe(5);
  });
});

test("it is shown in the words of the document", () => {
  const { flowControl } = describeProgram(programOf(loading("queues-by-priority")));
  expect(flowControl.saturationDetector).toEqual({
    type: "concurrency-detector",
    parameters: { maxConcurrency: 16, maxTokenConcurrency: 200_000 },
  });
  expect(flowControl.settings).toEqual({
    maxRequests: 20_000,
    maxBytes: 2_147_483_648,
    defaultRequestTtlSeconds: 30,
    noEndpointRequestTtlSeconds: 600,
    usageLimitPolicy: "priority-holdback-policy",
    domain: "value",
    minCeiling: 0.5,
    maxCeiling: 0.9,
    enableEviction: true,
  });
  expect(flowControl.bands.map(({ priority }) => priority)).toEqual([
    "others ≥ 0",
    "others < 0",
    "100",
    "5",
    "0",
    "-10",
  ]);
  expect(flowControl.bands[2]).toEqual({
    priority: "100",
    maxRequests: 5000,
    maxBytes: 1_000_000_000,
    requestTtlSeconds: 30,
    fairnessPolicy: "global-strict-fairness-policy",
    orderingPolicy: "slo-deadline-ordering-policy",
  });
  expect(describeProgram({ ...programOf(loading("sessions")) }).flowControl).toEqual({
    isOn: false,
    saturationDetector: {
      type: "utilization-detector",
      parameters: { queueDepthThreshold: 5, kvCacheUtilThreshold: 0.8, metricsStalenessThresholdMs: 200 },
    },
    settings: {},
    bands: [],
  });
});
