// EndpointPickerConfig documents that load: what becomes of them.

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileConfig } from "../../../src/control/scheduling/compile.ts";
import { describeProgram } from "../../../src/control/scheduling/describe.ts";
import { PROGRAM_DEFAULT } from "../../../src/control/scheduling/program.ts";
import { SCHEDULING_DEFAULT, type Scheduling } from "../../../src/control/scheduling/scheduling.ts";
import { ENGINES } from "../../../src/control/scrape/engines.ts";
import * as p from "../../../src/wire/program.ts";
import { configYaml, LOADING, loading } from "./documents.ts";

function scheduling(text: string): Scheduling {
  const compiled = compileConfig(text);
  if (!compiled.ok) throw new Error(compiled.errors.map(({ line, message }) => `${line}: ${message}`).join("\n"));
  return compiled.scheduling;
}

/** Of one profile with these plugins, each referred to by its type. */
function stepsOf(...plugins: readonly (readonly [type: string, parameters?: string])[]) {
  const listed = plugins.map(([type, parameters = "{}"]) => `{type: ${type}, parameters: ${parameters}}`);
  return scheduling(
    configYaml(
      listed,
      plugins.map(([type]) => `pluginRef: ${type}`),
    ),
  );
}

function stepOf(type: string, parameters?: string) {
  const { program } = stepsOf(parameters === undefined ? [type] : [type, parameters]);
  return program.profiles[0]!.steps[0]!;
}

function warningsOf(text: string): readonly string[] {
  return compileConfig(text).warnings.map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

test.each(LOADING)("%s", (name) => {
  const { program } = scheduling(loading(name));
  expect(program.profiles.length).toBeGreaterThan(0);
  expect(program.profiles.every(({ endpoints }) => endpoints === 1)).toBe(true);
});

test("the default profile as a document is the default program", () => {
  const text = configYaml(
    [
      "{type: prefix-cache-scorer}",
      "{type: queue-scorer}",
      "{type: kv-cache-utilization-scorer}",
      "{type: in-flight-scorer}",
      "{type: max-score-picker, parameters: {maxNumOfEndpoints: 3}}",
    ],
    [
      "pluginRef: prefix-cache-scorer, weight: 3",
      "pluginRef: queue-scorer, weight: 2",
      "pluginRef: kv-cache-utilization-scorer, weight: 2",
      "pluginRef: in-flight-scorer, weight: 3",
      "pluginRef: max-score-picker",
    ],
  );
  expect(scheduling(text)).toEqual(SCHEDULING_DEFAULT);
});

test("the default of the reference: its steps and weights in its order", () => {
  const [profile] = scheduling(loading("the-default-of-the-reference")).program.profiles;
  expect(profile?.steps.map(({ name, weight }) => [name, weight])).toEqual([
    ["queue-scorer", 2],
    ["kv-cache-utilization-scorer", 2],
    ["prefix-cache-scorer", 3],
  ]);
  expect(profile).toMatchObject({ pickerName: "max-score-picker", picker: p.PICKER_MAX_SCORE, endpoints: 1 });
});

describe("profiles", () => {
  test("filters come before scorers, each in the order of the document", () => {
    const { program } = stepsOf(
      ["queue-scorer"],
      ["decode-filter"],
      ["running-requests-size-scorer"],
      ["encode-filter"],
    );
    expect(program.profiles[0]?.steps.map(({ name }) => name)).toEqual([
      "decode-filter",
      "encode-filter",
      "queue-scorer",
      "running-requests-size-scorer",
    ]);
  });

  test("a weight that is not written is 1, one that is may be any number", () => {
    const text = configYaml(
      ["{type: queue-scorer}"],
      ["pluginRef: queue-scorer", "pluginRef: queue-scorer, weight: -0.5"],
    );
    expect(scheduling(text).program.profiles[0]?.steps.map(({ weight }) => weight)).toEqual([1, -0.5]);
  });

  test("a profile without a picker has the one that is listed", () => {
    const text = configYaml(["{type: random-picker, name: any, parameters: {maxNumOfEndpoints: 8}}"], []);
    expect(scheduling(text).program.profiles[0]).toMatchObject({
      picker: p.PICKER_RANDOM,
      pickerName: "any",
      endpoints: 8,
    });
  });

  test("without profiles there is one with everything that is listed", () => {
    const [profile, ...more] = scheduling(loading("without-profiles")).program.profiles;
    expect(more).toEqual([]);
    expect(profile?.name).toBe("default");
    expect(profile?.steps.map(({ name }) => name)).toEqual(["decode-filter", "queue-scorer"]);
  });

  test("by header: the default is decode, the header epp-profile in lower case", () => {
    const { program } = scheduling(loading("profiles-by-header"));
    expect(program).toMatchObject({ handler: p.HANDLER_HEADER, handlerHeader: "epp-profile", defaultProfile: 1 });
    const own = loading("profiles-by-header").replace(
      "header-profile-handler",
      "header-profile-handler\n    parameters: {headerName: X-Phase, defaultProfile: prefill}",
    );
    expect(scheduling(own).program).toMatchObject({ handlerHeader: "x-phase", defaultProfile: 0 });
  });

  test("by header with one profile: the default need not exist", () => {
    const text = configYaml(["{type: header-profile-handler}", "{type: queue-scorer}"], ["pluginRef: queue-scorer"]);
    expect(scheduling(text).program).toMatchObject({ handler: p.HANDLER_HEADER, defaultProfile: undefined });
  });

  test("by header without a default: requests have to name one", () => {
    const text = loading("profiles-by-header").replace("name: decode", "name: other");
    expect(scheduling(text).program).toMatchObject({ handler: p.HANDLER_HEADER, defaultProfile: undefined });
    expect(warningsOf(text).join()).toMatch(/no defaultProfile is given, and decode is no scheduling profile/);
  });

  test("data-parallel", () => {
    const { program } = scheduling(loading("data-parallel-ranks-behind-one-port"));
    expect(program).toMatchObject({ handler: p.HANDLER_DATA_PARALLEL, primaryPort: 8200 });
    const plain = configYaml(["{type: data-parallel-profile-handler}"], []);
    expect(scheduling(plain).program.primaryPort).toBe(8000);
  });
});

describe("steps", () => {
  const infinity = Number.POSITIVE_INFINITY;

  test.each<[string, string | undefined, object]>([
    ["queue-scorer", undefined, { id: p.SCORER_QUEUE }],
    ["running-requests-size-scorer", undefined, { id: p.SCORER_RUNNING }],
    ["kv-cache-utilization-scorer", undefined, { id: p.SCORER_KV_USAGE }],
    ["lora-affinity-scorer", undefined, { id: p.SCORER_LORA }],
    ["prefix-cache-scorer", undefined, { id: p.SCORER_PREFIX, numbers: [0, 8192, 0, 0] }],
    ["prefix-cache-scorer", "{matchLengthWeight: 1, matchLengthScaleTokens: 7}", { numbers: [1, 7, 0, 0] }],
    ["load-aware-scorer", undefined, { id: p.SCORER_LOAD, numbers: [128, 0, 0, 0] }],
    ["load-aware-scorer", "{threshold: 10}", { numbers: [10, 0, 0, 0] }],
    ["load-aware-scorer", "{threshold: 0}", { numbers: [128, 0, 0, 0] }],
    ["active-request-scorer", undefined, { id: p.SCORER_ACTIVE_REQUEST, numbers: [0, 1, 0, 0] }],
    ["active-request-scorer", "{idleThreshold: 2, maxBusyScore: 0}", { numbers: [2, 0, 0, 0] }],
    ["token-load-scorer", undefined, { id: p.SCORER_TOKEN_LOAD, numbers: [4_194_304, 0, 0, 0] }],
    ["token-load-scorer", "{queueThresholdTokens: 1000}", { numbers: [1000, 0, 0, 0] }],
    ["session-affinity-scorer", undefined, { id: p.SCORER_SESSION, flags: 0, headers: ["x-session-token"] }],
    [
      "session-affinity-scorer",
      "{strategy: session_id}",
      { id: p.SCORER_SESSION, flags: p.SESSION_ID, headers: ["x-session-id"] },
    ],
    ["no-hit-lru-scorer", undefined, { id: p.SCORER_NO_HIT_LRU }],
    ["context-length-aware", undefined, { id: p.SCORER_CONTEXT_LENGTH, number: 0, weight: 1 }],
    [
      "header-label-affinity-scorer",
      "{headerName: X-Team, labelKey: team}",
      { id: p.SCORER_HEADER_LABEL, headers: ["x-team"] },
    ],
    ["topology-affinity-scorer", undefined, { id: p.SCORER_TOPOLOGY, number: 0 }],
    ["in-flight-scorer", undefined, { id: p.SCORER_IN_FLIGHT, numbers: [4, 0, 0, 0] }],
    ["in-flight-scorer", "{floor: 20}", { numbers: [20, 0, 0, 0] }],
    [
      "endpoint-attribute-scorer",
      "{attributeKey: a, algorithm: {type: linear_higher_is_better, normalization: {fixedRange: {min: -1, max: 2}}}}",
      { id: p.SCORER_ATTRIBUTE, flags: p.FIXED_RANGE, number: 0, numbers: [-1, 2, 0, 0] },
    ],
    [
      "endpoint-attribute-scorer",
      "{attributeKey: a, algorithm: {type: linear_lower_is_better, normalization: {adaptiveRange: {}}}}",
      { flags: p.LOWER_IS_BETTER, numbers: [0, 0, 0, 0] },
    ],
    ["decode-filter", undefined, { id: p.FILTER_LABELS, number: 0, weight: 0 }],
    [
      "utilization-filter",
      "{conditions: [{metric: waiting-queue, maxValue: 3}, {metric: kv-cache-utilization, maxValue: 0.5}]}",
      { id: p.FILTER_UTILIZATION, flags: 0, numbers: [infinity, infinity, 3, 0.5] },
    ],
    [
      "utilization-filter",
      "{conditions: [{metric: active-requests, maxValue: 2}, {metric: active-requests, maxValue: 3}], " +
        "fallbackOnEmpty: true}",
      { flags: p.FALLBACK_ON_EMPTY, numbers: [2, infinity, infinity, infinity] },
    ],
    [
      "endpoint-attribute-filter",
      "{attribute: a, onMissing: Fail, algorithm: {type: threshold, threshold: {operator: NotEqual, value: 4}}}",
      { id: p.FILTER_ATTRIBUTE, flags: 0, numbers: [4, p.OPERATOR_NOT_EQUAL, 0, 0] },
    ],
    [
      "endpoint-attribute-filter",
      "{attribute: a, fallbackOnEmpty: true, algorithm: {type: threshold, threshold: {operator: GreaterThanOrEqual}}}",
      { flags: p.PASS_MISSING | p.FALLBACK_ON_EMPTY, numbers: [0, p.OPERATOR_GREATER_OR_EQUAL, 0, 0] },
    ],
    ["prefix-cache-affinity-filter", undefined, { id: p.FILTER_PREFIX_AFFINITY, numbers: [0.8, 0, 18_000, 15_928] }],
    [
      "prefix-cache-affinity-filter",
      "{affinityThreshold: 0.99, explorationProbability: 0.1, maxTTFTPenaltyMs: 0, peakPrefillThroughput: 0}",
      { numbers: [0.99, 0.1, 0, 0] },
    ],
    [
      "session-affinity-filter",
      "{encodedEndpointHeaderConfig: {header: X-Pod}}",
      { id: p.FILTER_SESSION, headers: ["x-pod"] },
    ],
    ["topology-affinity-filter", undefined, { id: p.FILTER_TOPOLOGY, numbers: [p.LEVEL_HOST, 0, 0, 0] }],
    ["topology-affinity-filter", "{minAffinity: region}", { numbers: [p.LEVEL_REGION, 0, 0, 0] }],
    ["utilization-detector", undefined, { id: p.FILTER_UTILIZATION_DETECTOR, numbers: [5, Math.fround(0.8), 0, 0] }],
    [
      "utilization-detector",
      "{kvCacheUtilThreshold: 0.7, headroom: 0.1}",
      { numbers: [5.5, Math.fround(0.7 * 1.1), 0, 0] },
    ],
    [
      "utilization-filter",
      "{conditions: [{metric: kv-cache-utilization, maxValue: 0.8}, {metric: waiting-queue, maxValue: 0.8}]}",
      { numbers: [infinity, infinity, 0.8, Math.fround(0.8)] },
    ],
    [
      "endpoint-attribute-filter",
      "{attribute: a, producer: '', algorithm: {type: threshold, threshold: {operator: Equal, value: 0.1}}}",
      { numbers: [Math.fround(0.1), p.OPERATOR_EQUAL, 0, 0] },
    ],
    [
      "endpoint-attribute-scorer",
      "{attributeKey: a, algorithm: {type: linear_lower_is_better, normalization: {fixedRange: {min: 0.1, max: 0.3}}}}",
      { numbers: [Math.fround(0.1), Math.fround(0.3), 0, 0] },
    ],
    [
      "utilization-detector",
      "{queueDepthThreshold: 4, kvCacheUtilThreshold: 0.5, headroom: 0.5}",
      { numbers: [6, 0.75, 0, 0] },
    ],
    ["concurrency-detector", undefined, { id: p.FILTER_CONCURRENCY_DETECTOR, numbers: [100, infinity, 0, 0] }],
    ["concurrency-detector", "{maxConcurrency: 3, headroom: 0.5}", { numbers: [4, infinity, 0, 0] }],
    ["concurrency-detector", "{concurrencyMode: tokens}", { numbers: [infinity, 1_000_000, 0, 0] }],
    ["concurrency-detector", "{concurrencyMode: hybrid, maxTokenConcurrency: 9}", { numbers: [100, 9, 0, 0] }],
  ])("%s %s", (type, parameters, expected) => {
    expect(stepOf(type, parameters)).toMatchObject(expected);
  });

  test("context-length-aware filters too where it is told to", () => {
    const { program, columns } = stepsOf(["context-length-aware", "{enableFiltering: true, label: range}"]);
    expect(program.profiles[0]?.steps.map(({ id, number }) => [id, number])).toEqual([
      [p.FILTER_CONTEXT_LENGTH, 0],
      [p.SCORER_CONTEXT_LENGTH, 0],
    ]);
    expect(columns).toEqual([{ kind: "context range", label: "range" }]);
  });

  test("what several steps ask for has one number", () => {
    const { labelFilters, columns, program } = stepsOf(
      ["decode-filter"],
      ["prefill-filter"],
      ["topology-affinity-filter"],
      ["topology-affinity-scorer"],
      ["header-label-affinity-scorer", "{headerName: a, labelKey: b}"],
    );
    expect(labelFilters).toHaveLength(2);
    expect(columns.map(({ kind }) => kind)).toEqual(["topology level", "label value"]);
    expect(program.profiles[0]?.steps.map(({ number }) => number)).toEqual([0, 1, 0, 0, 1]);
  });
});

describe("settings", () => {
  test("sessions: the header, or headers by name and by producer, and how long they last", () => {
    const { program } = scheduling(loading("sessions"));
    expect(program.sessionHeader).toBe("x-session-token");
    expect(program.sessionTtlMs).toBe(60_000);
    expect(program.profiles[0]?.steps[0]?.headers).toEqual(["x-conversation", "x-user"]);
  });

  test("the prefix cache, and where it is matched for token counts alone", () => {
    expect(scheduling(loading("a-prefix-cache-with-its-own-sizes")).program.prefix).toEqual({
      always: false,
      autoTune: true,
      blockSize: 64,
      capacity: 31_250,
      maxTokens: 16_384,
      maxBlocks: 0,
    });
    const producer =
      "{type: approx-prefix-cache-producer, " +
      "parameters: {autoTune: false, blockSizeTokens: 100, maxPrefixTokensToMatch: 0}}";
    const tokens = scheduling(configYaml([producer, "{type: token-load-scorer}"], ["pluginRef: token-load-scorer"]));
    expect(tokens.program.prefix).toEqual({
      always: true,
      autoTune: false,
      blockSize: 100,
      capacity: 31_250,
      maxTokens: 0,
      maxBlocks: 2048,
    });
    const queue = scheduling(configYaml([producer, "{type: queue-scorer}"], ["pluginRef: queue-scorer"]));
    expect(queue.program.prefix.always).toBe(false);
  });

  test("tokens in flight", () => {
    const parameters = "{addEstimatedOutputTokens: true, outputRatio: 2, maxEstimatedOutputTokens: 500}";
    const text = configYaml([`{type: inflight-load-producer, parameters: ${parameters}}`], []);
    expect(scheduling(text).program.output).toEqual({ counts: true, ratio: 2, maxTokens: 500 });
    expect(PROGRAM_DEFAULT.output).toEqual({ counts: false, ratio: 1.5, maxTokens: Number.POSITIVE_INFINITY });
  });

  test("staleness counts where the detector is only listed", () => {
    const listed = configYaml(["{type: utilization-detector, parameters: {metricsStalenessThreshold: 1m0.5s}}"], []);
    expect(scheduling(listed).program.staleMs).toBe(60_500);
    expect(scheduling(loading("limits")).program.staleMs).toBe(1_500);
  });

  test("parsers: those that are named and no others; the default set without names", () => {
    const all = (1 << 7) - 2;
    expect(scheduling(loading("parsers-by-name")).program.parsers).toBe(all | (1 << p.API_SGLANG_GENERATE));
    expect(scheduling(loading("limits")).program.parsers).toBe(p.PARSERS_DEFAULT);
    const none = configYaml([], [], "requestHandler: {parsers: [{pluginRef: passthrough-parser}]}");
    expect(scheduling(none).program.parsers).toBe(0);
    const later =
      "{parsers: [{pluginRef: openai-parser}, {pluginRef: passthrough-parser}, {pluginRef: vllmhttp-parser}]}";
    const cut = configYaml([], [], `requestHandler: ${later}`);
    expect(scheduling(cut).program.parsers).toBe((1 << 7) - 2);
    expect(warningsOf(cut)).toEqual([
      "7:89: requestHandler.parsers[2]: has no effect after a parser that takes everything",
    ]);
    const legacy = configYaml([], [], "parser: {pluginRef: anthropic-parser}");
    expect(scheduling(legacy).program.parsers).toBe(1 << p.API_MESSAGES);
  });

  test("lruSize", () => {
    expect(stepsOf(["no-hit-lru-scorer", "{lruSize: 2048}"]).program.coldSize).toBe(2048);
    expect(stepsOf(["no-hit-lru-scorer"]).program.coldSize).toBe(1024);
  });
});

describe("metrics", () => {
  const source = (parameters: string) =>
    scheduling(configYaml([`{type: metrics-data-source, parameters: ${parameters}}`], [])).access;

  test("how pages are asked for", () => {
    expect(source("{}")).toEqual({ scheme: "http", path: "/metrics" });
    expect(source("{scheme: https, path: /m}")).toEqual({ scheme: "https", path: "/m" });
    expect(source("{scheme: https, insecureSkipVerify: false}")).toMatchObject({ insecureSkipVerify: false });
    expect(source("{scheme: https, insecureSkipVerify: true}")).toMatchObject({ insecureSkipVerify: true });
    expect(source("{caCertPath: /nowhere}")).toEqual({ scheme: "http", path: "/metrics" });
    const caFile = join(import.meta.dirname, "../tls/both.pem");
    expect(source(`{scheme: https, caCertPath: ${caFile}}`)).toEqual({
      scheme: "https",
      path: "/metrics",
      caFile,
      authorities: [expect.stringContaining("BEGIN CERTIFICATE"), expect.stringContaining("BEGIN CERTIFICATE")],
    });
  });

  test("engines of a document beside the known ones", () => {
    const { engines, attributes } = scheduling(loading("custom-metrics-of-an-engine"));
    expect(engines.fallback).toBe("mine");
    expect(engines.families).toEqual({
      ...ENGINES,
      mine: [
        { role: "waiting", name: "q", only: [["state", "waiting"]], model: "model_name" },
        { role: "attribute", key: "load", name: "gpu_load" },
      ],
    });
    expect(attributes).toEqual(["load"]);
  });

  test("all specs of an engine, and its label", () => {
    const config = [
      "name: vllm",
      "runningRequestsSpec: 'run{a=\"1\", b=2}'",
      "kvUsageSpec: kv",
      "loraSpec: lora",
      "cacheInfoSpec: cache",
      "cacheNumBlocksLabelName: pages",
      "cacheBlockSizeSpec: size",
      "cacheNumBlocksSpec: count",
    ].join(", ");
    const text = `{type: core-metrics-extractor, parameters: {engineLabelKey: engine, engineConfigs: [{${config}}]}}`;
    const { engines } = scheduling(configYaml([text], []));
    expect(engines.labels).toEqual(["engine"]);
    expect(engines.families.vllm).toEqual([
      {
        role: "running",
        name: "run",
        only: [
          ["a", "1"],
          ["b", "2"],
        ],
      },
      { role: "kvUsage", name: "kv" },
      { role: "blockSize", name: "size" },
      { role: "blocks", name: "count" },
      {
        role: "adapters",
        name: "lora",
        active: "running_lora_adapters",
        waiting: "waiting_lora_adapters",
        max: "max_lora",
      },
      { role: "cache", name: "cache", blockSize: "block_size", blocks: "pages" },
    ]);
  });
});

describe("warnings", () => {
  test("what is not in force is told with its place", () => {
    expect(warningsOf(loading("fairness-by-program"))).toEqual([
      "8:11: plugins[1].type: program-aware-fairness: fairness by program is not there yet; it has no effect",
      "15:24: flowControl.defaultPriorityBand.fairnessPolicyRef: program-aware-fairness: " +
        "fairness by program is not there yet; round-robin-fairness-policy counts",
    ]);
  });

  test.each<[string, readonly string[], string, RegExp]>([
    [
      "the old name of the API",
      [],
      "saturationDetector: {pluginRef: utilization-detector}",
      /^saturationDetector: is deprecated, use flowControl.saturationDetector instead$/,
    ],
    ["parser", [], "parser: {pluginRef: openai-parser}", /^parser: is deprecated, use requestHandler.parsers/],
    [
      "blockSize",
      ["{type: approx-prefix-cache-producer, parameters: {blockSize: 128}}"],
      "",
      /blockSize: is deprecated, use blockSizeTokens/,
    ],
    [
      "small blocks",
      ["{type: approx-prefix-cache-producer, parameters: {blockSizeTokens: 16}}"],
      "",
      /at least 64 tokens, 16 counts as that/,
    ],
    [
      "requestTimeout",
      ["{type: active-request-scorer, parameters: {requestTimeout: 2m}}"],
      "",
      /requestTimeout: is deprecated and has no effect/,
    ],
    [
      "by-label",
      ["{type: by-label, parameters: {label: a, allowsNoLabel: true}}"],
      "",
      /type: is deprecated, use label-selector-filter/,
    ],
    [
      "a tokenizer",
      ["{type: token-producer, parameters: {modelName: m, vllm: {url: 'http://x'}}}"],
      "",
      /vllm: a tokenizer behind \/render is not there yet/,
    ],
    [
      "a producer that is not there",
      ["{type: predicted-latency-producer, parameters: {any: 1}}"],
      "",
      /predicted latency is not there yet; it has no effect/,
    ],
    [
      "an interval",
      ["{type: metrics-data-source, parameters: {interval: 1s}}"],
      "",
      /--scrape-interval says how often/,
    ],
    [
      "https without a word on certificates",
      ["{type: metrics-data-source, parameters: {scheme: https}}"],
      "",
      /scheme: certificates are verified, which the reference does not do/,
    ],
    ["parameters where there are none", ["{type: decode-filter, parameters: {a: 1}}"], "", /this type .* has no param/],
    [
      "a capacity of nothing",
      ["{type: approx-prefix-cache-producer, parameters: {lruCapacityPerServer: 0}}"],
      "",
      /lruCapacityPerServer: expected .* found 0: 31250 counts, as in the reference/,
    ],
    [
      "less than idle",
      ["{type: active-request-scorer, parameters: {idleThreshold: -1}}"],
      "",
      /idleThreshold: expected a whole number of at least 0, found -1: 0 counts/,
    ],
    [
      "more than busy",
      ["{type: active-request-scorer, parameters: {maxBusyScore: 2}}"],
      "",
      /maxBusyScore: expected a number from 0 to 1, found 2: 1 counts/,
    ],
    [
      "port 0",
      ["{type: data-parallel-profile-handler, parameters: {primaryPort: 0}}"],
      "",
      /primaryPort: 0 is no port, 8000 counts/,
    ],
    ["a source of its own name", ["{type: metrics-data-source, name: m}"], "", /type: nothing refers to m, it has no/],
    ["a prefix cache of its own name", ["{type: approx-prefix-cache-producer, name: m}"], "", /nothing refers to m/],
    ["labels of its own name", ["{type: topology-extractor, name: m}"], "", /nothing refers to m/],
    ["YAML that is strange", ["{type: !odd decode-filter}"], "", /^YAML: Unresolved tag: !odd/],
    ["no metrics", [], "dataLayer: {injectDefaults: false}", /has no effect: metrics are always read/],
  ])("%s", (_, plugins, more, expected) => {
    const text = configYaml(["{type: queue-scorer}", ...plugins], ["pluginRef: queue-scorer"], more);
    expect(compileConfig(text)).toMatchObject({ ok: true, warnings: [{ message: expect.stringMatching(expected) }] });
  });

  test.each([
    "endpoint-notification-source",
    "session-id-producer, parameters: {headerName: a}",
    "token-producer",
    "token-producer, parameters: {estimate: {}}",
    "inflight-load-producer",
  ])("%s is known without being told", (plugin) => {
    expect(warningsOf(configYaml([`{type: ${plugin}}`], []))).toEqual([]);
  });
});

describe("attributes that nobody has", () => {
  const algorithm = "algorithm: {type: linear_lower_is_better}";
  const scorer = (key: string) => `{type: endpoint-attribute-scorer, parameters: {attributeKey: ${key}, ${algorithm}}}`;
  const engine = (name: string) =>
    `{type: core-metrics-extractor, name: ${name}, parameters: {engineConfigs: ` +
    "[{name: e, customMetrics: [{attributeKey: load, metricSpec: m}]}]}}";
  const used = ["pluginRef: endpoint-attribute-scorer", "pluginRef: endpoint-attribute-scorer"];

  test("are told, with what may be meant", () => {
    expect(warningsOf(configYaml([engine("core-metrics-extractor"), scorer("load")], used))).toEqual([]);
    expect(warningsOf(configYaml([engine("core-metrics-extractor"), scorer("lod")], used))).toEqual([
      "5:64: plugins[1].parameters.attributeKey: lod is no attributeKey of an engine's customMetrics, " +
        "did you mean load?",
    ]);
    expect(warningsOf(configYaml([scorer("load")], used))).toEqual([
      "4:64: plugins[0].parameters.attributeKey: load is no attributeKey of an engine's customMetrics, " +
        "no endpoint will have a value",
    ]);
  });

  test("an extractor to which a section refers counts under any name", () => {
    const layer = "dataLayer: {sources: [{pluginRef: metrics-data-source, extractors: [{pluginRef: mine}]}]}";
    expect(warningsOf(configYaml([engine("mine"), scorer("load")], used, layer))).toEqual([]);
    expect(warningsOf(configYaml([engine("mine"), scorer("load")], used))).toHaveLength(2);
  });
});

test("thresholds are shown as they were written", () => {
  const conditions = "{conditions: [{metric: kv-cache-utilization, maxValue: 0.8}]}";
  const { program } = stepsOf(["utilization-filter", conditions], ["token-load-scorer"]);
  expect(describeProgram(program).profiles[0]?.steps.map(({ parameters }) => parameters)).toEqual([
    { "kv-cache-utilization": 0.8 },
    { queueThresholdTokens: 4_194_304 },
  ]);
});

test("without plugins endpoints are picked at random, which is told", () => {
  const text = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nfeatureGates: []\n";
  expect(scheduling(text).program.profiles).toEqual([
    { name: "default", steps: [], picker: p.PICKER_MAX_SCORE, pickerName: "max-score-picker", endpoints: 1 },
  ]);
  expect(warningsOf(text)).toEqual(["1:1: document: no plugins are listed: endpoints are picked at random"]);
});

test("merge keys: what the mapping has counts first, then the mappings in order", () => {
  const text = configYaml(
    [
      "{type: load-aware-scorer, name: a, parameters: &nine {threshold: 9}}",
      "&b {type: load-aware-scorer, name: b, parameters: {<<: *nine}}",
      "{<<: *b, name: c, parameters: {<<: *nine, threshold: 8}}",
      "{<<: [{name: d}, *b]}",
    ],
    ["pluginRef: a", "pluginRef: b", "pluginRef: c", "pluginRef: d"],
  );
  expect(scheduling(text).program.profiles[0]?.steps.map(({ name, numbers }) => [name, numbers[0]])).toEqual([
    ["a", 9],
    ["b", 9],
    ["c", 8],
    ["d", 9],
  ]);
});

test("anchors, comments and JSON are as good", () => {
  const yaml = `# ours
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: load-aware-scorer # one
  parameters: &p {threshold: 9}
- {type: load-aware-scorer, name: two, parameters: *p}
`;
  expect(scheduling(yaml).program.profiles[0]?.steps.map(({ numbers }) => numbers[0])).toEqual([9, 9]);
  const json = JSON.stringify({
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins: [{ type: "queue-scorer", parameters: null }],
  });
  expect(scheduling(json).program.profiles[0]?.steps[0]?.id).toBe(p.SCORER_QUEUE);
});
