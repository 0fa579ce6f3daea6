// Programs in the words of the document they come from, for people.

import * as p from "../../wire/program.ts";
import { describeFlow, type FlowView } from "./describe-flow.ts";
import { needsOf, type Profile, type Program, type Step } from "./program.ts";

export type Parameters = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export type StepView = {
  readonly name: string;
  readonly type: string;
  /** Of scorers. */
  readonly weight: number | null;
  readonly parameters: Parameters;
};

export type ProfileView = { readonly name: string; readonly steps: readonly StepView[]; readonly picker: StepView };

export type ProgramView = {
  readonly profileHandler: { readonly type: string; readonly parameters: Parameters };
  readonly profiles: readonly ProfileView[];
  readonly settings: Parameters;
  readonly flowControl: FlowView;
};

const LEVEL_NAMES = ["host", "rack", "zone", "region"];
const OPERATOR_NAMES = ["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Equal", "NotEqual"];
const API_NAMES: readonly (readonly [api: number, name: string])[] = [
  [p.API_CHAT, "chat"],
  [p.API_COMPLETIONS, "completions"],
  [p.API_EMBEDDINGS, "embeddings"],
  [p.API_RESPONSES, "responses"],
  [p.API_CONVERSATIONS, "conversations"],
  [p.API_IMAGES, "images"],
  [p.API_MESSAGES, "messages"],
  [p.API_VLLM_GENERATE, "vllm generate"],
  [p.API_SGLANG_GENERATE, "sglang generate"],
];

/** How a kind of step is called, and what its numbers mean. */
type Words = { readonly type: string; readonly say?: (step: Step, attribute: string) => Parameters };

const fallback = ({ flags }: Step): Parameters => (flags & p.FALLBACK_ON_EMPTY ? { fallbackOnEmpty: true } : {});
const column = ({ number }: Step): Parameters => ({ column: number });
const session = ({ flags, headers }: Step): Parameters =>
  flags & p.SESSION_ID
    ? { strategy: "session_id", sources: headers }
    : { strategy: "encoded_endpoint_header", header: headers[0] ?? "" };

/** A number in single precision as it was written: 0.8, not 0.800000012. */
function shortest(value: number): number {
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === value ? short : value;
}

/** The numbers p0, p1, … under these names. Infinity is no limit, and not said. */
function numbered(...names: readonly string[]): (step: Step) => Parameters {
  return ({ numbers }) =>
    Object.fromEntries(
      names.map((name, i) => [name, shortest(numbers[i] ?? 0)] as const).filter(([, value]) => value < Infinity),
    );
}

const WORDS: ReadonlyMap<number, Words> = new Map([
  [p.FILTER_LABELS, { type: "label filter", say: ({ number }) => ({ bit: number }) }],
  [
    p.FILTER_UTILIZATION,
    {
      type: "utilization-filter",
      say: (step) => ({
        ...numbered("active-requests", "running-requests", "waiting-queue", "kv-cache-utilization")(step),
        ...fallback(step),
      }),
    },
  ],
  [
    p.FILTER_ATTRIBUTE,
    {
      type: "endpoint-attribute-filter",
      say: (step, attribute) => ({
        attribute,
        operator: OPERATOR_NAMES[step.numbers[1]] ?? step.numbers[1],
        value: shortest(step.numbers[0]),
        onMissing: step.flags & p.PASS_MISSING ? "Pass" : "Fail",
        ...fallback(step),
      }),
    },
  ],
  [
    p.FILTER_PREFIX_AFFINITY,
    {
      type: "prefix-cache-affinity-filter",
      say: numbered("affinityThreshold", "explorationProbability", "maxTTFTPenaltyMs", "peakPrefillThroughput"),
    },
  ],
  [p.FILTER_SESSION, { type: "session-affinity-filter", say: session }],
  [
    p.FILTER_TOPOLOGY,
    {
      type: "topology-affinity-filter",
      say: (step) => ({ minAffinity: LEVEL_NAMES[step.numbers[0]] ?? step.numbers[0], ...column(step) }),
    },
  ],
  [p.FILTER_CONTEXT_LENGTH, { type: "context-length-aware", say: column }],
  [p.FILTER_UTILIZATION_DETECTOR, { type: "utilization-detector", say: numbered("queueLimit", "kvLimit") }],
  [p.FILTER_CONCURRENCY_DETECTOR, { type: "concurrency-detector", say: numbered("requestLimit", "tokenLimit") }],
  [p.SCORER_QUEUE, { type: "queue-scorer" }],
  [p.SCORER_RUNNING, { type: "running-requests-size-scorer" }],
  [p.SCORER_KV_USAGE, { type: "kv-cache-utilization-scorer" }],
  [p.SCORER_PREFIX, { type: "prefix-cache-scorer", say: numbered("matchLengthWeight", "matchLengthScaleTokens") }],
  [p.SCORER_LORA, { type: "lora-affinity-scorer" }],
  [p.SCORER_LOAD, { type: "load-aware-scorer", say: numbered("threshold") }],
  [p.SCORER_ACTIVE_REQUEST, { type: "active-request-scorer", say: numbered("idleThreshold", "maxBusyScore") }],
  [p.SCORER_TOKEN_LOAD, { type: "token-load-scorer", say: numbered("queueThresholdTokens") }],
  [p.SCORER_SESSION, { type: "session-affinity-scorer", say: session }],
  [p.SCORER_CONTEXT_LENGTH, { type: "context-length-aware", say: column }],
  [p.SCORER_NO_HIT_LRU, { type: "no-hit-lru-scorer" }],
  [
    p.SCORER_ATTRIBUTE,
    {
      type: "endpoint-attribute-scorer",
      say: (step, attribute) => ({
        attribute,
        algorithm: step.flags & p.LOWER_IS_BETTER ? "linear_lower_is_better" : "linear_higher_is_better",
        ...(step.flags & p.FIXED_RANGE ? { min: shortest(step.numbers[0]), max: shortest(step.numbers[1]) } : {}),
      }),
    },
  ],
  [
    p.SCORER_HEADER_LABEL,
    {
      type: "header-label-affinity-scorer",
      say: (step) => ({ header: step.headers[0] ?? "", ...column(step) }),
    },
  ],
  [p.SCORER_TOPOLOGY, { type: "topology-affinity-scorer", say: column }],
  [p.SCORER_IN_FLIGHT, { type: "in-flight-scorer", say: numbered("floor") }],
] satisfies readonly (readonly [number, Words])[]);

const PICKER_TYPES = ["max-score-picker", "random-picker", "weighted-random-picker"];
const HANDLER_TYPES = ["single-profile-handler", "header-profile-handler", "data-parallel-profile-handler"];

/** `attributes` are the names of custom metrics by their number, as far as they are known. */
export function describeProgram(program: Program, attributes: readonly string[] = []): ProgramView {
  return {
    profileHandler: handlerView(program),
    profiles: program.profiles.map((profile) => profileView(profile, attributes)),
    settings: settingsView(program),
    flowControl: describeFlow(program.flow),
  };
}

function handlerView(program: Program): ProgramView["profileHandler"] {
  const { handler, handlerHeader, defaultProfile, primaryPort, profiles } = program;
  const parameters = {
    ...(handlerHeader === undefined ? {} : { headerName: handlerHeader }),
    ...(defaultProfile === undefined ? {} : { defaultProfile: profiles[defaultProfile]?.name ?? "" }),
    ...(primaryPort === 0 ? {} : { primaryPort }),
  };
  return { type: HANDLER_TYPES[handler] ?? `handler ${handler}`, parameters };
}

function profileView(profile: Profile, attributes: readonly string[]): ProfileView {
  const { name, steps, picker, pickerName, endpoints } = profile;
  const type = PICKER_TYPES[picker] ?? `picker ${picker}`;
  return {
    name,
    steps: steps.map((step) => stepView(step, attributes)),
    picker: { name: pickerName, type, weight: null, parameters: { maxNumOfEndpoints: endpoints } },
  };
}

function stepView(step: Step, attributes: readonly string[]): StepView {
  const words = WORDS.get(step.id) ?? { type: `step ${step.id}` };
  const attribute = attributes[step.number] ?? String(step.number);
  return {
    name: step.name,
    type: words.type,
    weight: step.id >= p.SCORER_FIRST ? step.weight : null,
    parameters: words.say?.(step, attribute) ?? {},
  };
}

/** What is in force beside the steps; what no step needs is not said. */
function settingsView(program: Program): Parameters {
  const { parsers, staleMs, sessionHeader, prefix, output } = program;
  const needs = needsOf(program);
  return {
    parsers: API_NAMES.filter(([api]) => parsers & (1 << api)).map(([, name]) => name),
    metricsStalenessThresholdMs: staleMs,
    ...(needs & p.NEEDS_PREFIX ? prefixView(prefix) : {}),
    ...(needs & p.NEEDS_TOKENS ? outputView(output) : {}),
    ...(sessionHeader === undefined ? {} : { sessionHeader }),
    ...(needs & p.NEEDS_SESSIONS ? { evictionTtlSeconds: program.sessionTtlMs / 1000 } : {}),
    ...(needs & p.NEEDS_COLD ? { lruSize: program.coldSize } : {}),
  };
}

function prefixView({ autoTune, blockSize, capacity, maxTokens, maxBlocks }: Program["prefix"]): Parameters {
  return {
    autoTune,
    blockSizeTokens: blockSize,
    lruCapacityPerServer: capacity,
    ...(maxTokens === 0 ? { maxPrefixBlocksToMatch: maxBlocks } : { maxPrefixTokensToMatch: maxTokens }),
  };
}

function outputView({ counts, ratio, maxTokens }: Program["output"]): Parameters {
  if (!counts) return { addEstimatedOutputTokens: false };
  const most = maxTokens < Infinity ? { maxEstimatedOutputTokens: maxTokens } : {};
  return { addEstimatedOutputTokens: true, outputRatio: ratio, ...most };
}
