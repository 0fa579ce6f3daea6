// What the filter runs for each pick: an EndpointPickerConfig as ids and numbers. src/wire/program.ts says what the ids
// mean and which numbers of a step count; docs/scheduling.md says what each step does.

import { BLOCK_TOKENS_MIN } from "../../wire/limits.ts";
import {
  DESTINATIONS_DEFAULT,
  IN_FLIGHT_FLOOR,
  PREFIX_CAPACITY,
  PREFIX_TOKENS_MAX,
  STALE_MS,
  WEIGHT_IN_FLIGHT,
  WEIGHT_KV_USAGE,
  WEIGHT_PREFIX,
  WEIGHT_QUEUE,
} from "../../wire/policy.ts";
import * as p from "../../wire/program.ts";
import { type Detector, FLOW_DEFAULT, type Flow } from "./flow.ts";

/** A filter or a scorer of a profile. */
export type Step = {
  readonly id: number;
  /** Of the plugin, as the document names it. */
  readonly name: string;
  readonly flags: number;
  /** Of a bit, column or attribute; 0 where the step has none. */
  readonly number: number;
  /** 0 for filters. */
  readonly weight: number;
  /** Numbers p0 … p3 of the wire. */
  readonly numbers: readonly [number, number, number, number];
  /** Names of request headers, lower case, in order. */
  readonly headers: readonly string[];
};

export type Profile = {
  readonly name: string;
  /** Filters, then scorers, each in the order of the document. */
  readonly steps: readonly Step[];
  /** PICKER_… of the wire. */
  readonly picker: number;
  readonly pickerName: string;
  /** How many endpoints are chosen, 1 … DESTINATIONS_MAX. */
  readonly endpoints: number;
};

export type Program = {
  readonly profiles: readonly Profile[];
  /** HANDLER_… of the wire. */
  readonly handler: number;
  /** Names the profile; header handler only. */
  readonly handlerHeader: string | undefined;
  /** Index of the profile for requests without that header. */
  readonly defaultProfile: number | undefined;
  /** Data-parallel handler only; 0 otherwise. */
  readonly primaryPort: number;
  /** A bit per API of the wire. */
  readonly parsers: number;
  readonly staleMs: number;
  /** Carries the encoded endpoint of sessions, on responses too. */
  readonly sessionHeader: string | undefined;
  readonly prefix: {
    /** Matched although no step asks for it: tokens in flight are those that are not cached. */
    readonly always: boolean;
    readonly autoTune: boolean;
    /** Tokens. */
    readonly blockSize: number;
    /** Blocks per endpoint. */
    readonly capacity: number;
    readonly maxTokens: number;
    readonly maxBlocks: number;
  };
  readonly output: {
    /** Tokens in flight count an estimate of the output too. */
    readonly counts: boolean;
    readonly ratio: number;
    /** Infinity: no bound. */
    readonly maxTokens: number;
  };
  readonly sessionTtlMs: number;
  /** How many endpoints no-hit-lru-scorer remembers. */
  readonly coldSize: number;
  readonly flow: Flow;
};

export const PREFIX_DEFAULT: Program["prefix"] = {
  always: false,
  autoTune: true,
  blockSize: BLOCK_TOKENS_MIN,
  capacity: PREFIX_CAPACITY,
  maxTokens: PREFIX_TOKENS_MAX,
  maxBlocks: 0,
};
export const OUTPUT_DEFAULT: Program["output"] = { counts: false, ratio: 1.5, maxTokens: Number.POSITIVE_INFINITY };
export const SESSION_TTL_MS = 300_000;
export const COLD_SIZE = 1024;

function scorer(id: number, name: string, weight: number, p0 = 0, p1 = 0): Step {
  return { id, name, flags: 0, number: 0, weight, numbers: [p0, p1, 0, 0], headers: [] };
}

/** What counts when there is no document. */
export const PROGRAM_DEFAULT: Program = {
  profiles: [
    {
      name: "default",
      steps: [
        scorer(p.SCORER_PREFIX, "prefix-cache-scorer", WEIGHT_PREFIX, 0, 8192),
        scorer(p.SCORER_QUEUE, "queue-scorer", WEIGHT_QUEUE),
        scorer(p.SCORER_KV_USAGE, "kv-cache-utilization-scorer", WEIGHT_KV_USAGE),
        scorer(p.SCORER_IN_FLIGHT, "in-flight-scorer", WEIGHT_IN_FLIGHT, IN_FLIGHT_FLOOR),
      ],
      picker: p.PICKER_MAX_SCORE,
      pickerName: "max-score-picker",
      endpoints: DESTINATIONS_DEFAULT,
    },
  ],
  handler: p.HANDLER_SINGLE,
  handlerHeader: undefined,
  defaultProfile: undefined,
  primaryPort: 0,
  parsers: p.PARSERS_DEFAULT,
  staleMs: STALE_MS,
  sessionHeader: undefined,
  prefix: PREFIX_DEFAULT,
  output: OUTPUT_DEFAULT,
  sessionTtlMs: SESSION_TTL_MS,
  coldSize: COLD_SIZE,
  flow: FLOW_DEFAULT,
};

/** What the steps need to know: the NEEDS_… bits of the wire. */
export function needsOf(program: Program): number {
  const first = (program.prefix.always ? p.NEEDS_PREFIX : 0) | needsOfDetector(program.flow.detector);
  return program.profiles.flatMap(({ steps }) => steps).reduce((needs, step) => needs | needsOfStep(step), first);
}

function needsOfDetector(detector: Detector): number {
  return detector.kind === "concurrency" && detector.maxTokenConcurrency < Number.POSITIVE_INFINITY
    ? p.NEEDS_TOKENS
    : 0;
}

function needsOfStep({ id, flags, numbers }: Step): number {
  switch (id) {
    case p.SCORER_PREFIX:
      return p.NEEDS_PREFIX;
    case p.SCORER_NO_HIT_LRU:
      return p.NEEDS_PREFIX | p.NEEDS_COLD;
    case p.FILTER_PREFIX_AFFINITY:
      return p.NEEDS_PREFIX | (numbers[2] > 0 ? p.NEEDS_TOKENS : 0);
    case p.SCORER_TOKEN_LOAD:
      return p.NEEDS_TOKENS;
    case p.FILTER_CONCURRENCY_DETECTOR:
      return numbers[1] < Number.POSITIVE_INFINITY ? p.NEEDS_TOKENS : 0;
    case p.SCORER_LORA:
      return p.NEEDS_ADAPTERS;
    case p.FILTER_SESSION:
    case p.SCORER_SESSION:
      return flags & p.SESSION_ID ? p.NEEDS_SESSIONS : 0;
    case p.FILTER_CONTEXT_LENGTH:
    case p.SCORER_CONTEXT_LENGTH:
      return p.NEEDS_LENGTH;
    default:
      return 0;
  }
}
