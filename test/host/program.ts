// Scheduling programs for tests: how a test says one, in the words of docs/scheduling.md, and the bytes
// it becomes, written from src/wire/program.ts alone.

import * as wire from "../../src/wire/program.ts";
import { encodeFlow, type FlowSpec } from "./flow.ts";

/** What a filter or scorer is called and set to. What is left out has the default of docs/scheduling.md. */
export type StepSpec = FilterSpec | ScorerSpec;

/** How a session step knows the session: by the endpoint's id in the header, or by the first of these headers. */
interface SessionSource {
  readonly header?: string;
  readonly sources?: readonly string[];
}

export type Operator = "<" | "<=" | ">" | ">=" | "==" | "!=";

export type FilterSpec =
  | { readonly type: "label-filter"; readonly bit: number }
  | {
      readonly type: "utilization-filter";
      readonly activeRequests?: number;
      readonly runningRequests?: number;
      readonly waitingQueue?: number;
      readonly kvCacheUtilization?: number;
      readonly fallbackOnEmpty?: boolean;
    }
  | {
      readonly type: "endpoint-attribute-filter";
      readonly attribute: number;
      readonly operator: Operator;
      readonly value: number;
      readonly passMissing?: boolean;
      readonly fallbackOnEmpty?: boolean;
    }
  | {
      readonly type: "prefix-cache-affinity-filter";
      readonly affinityThreshold?: number;
      readonly explorationProbability?: number;
      readonly maxTTFTPenaltyMs?: number;
      readonly peakPrefillThroughput?: number;
    }
  | ({ readonly type: "session-affinity-filter" } & SessionSource)
  | { readonly type: "topology-affinity-filter"; readonly column: number; readonly minAffinity?: number }
  | { readonly type: "context-length-filter"; readonly column: number }
  | { readonly type: "utilization-detector"; readonly queueLimit?: number; readonly kvLimit?: number }
  | { readonly type: "concurrency-detector"; readonly requestLimit?: number; readonly tokenLimit?: number };

interface Weighted {
  readonly weight?: number;
}

export type ScorerSpec = Weighted &
  (
    | { readonly type: "queue-scorer" }
    | { readonly type: "running-requests-size-scorer" }
    | { readonly type: "kv-cache-utilization-scorer" }
    | {
        readonly type: "prefix-cache-scorer";
        readonly matchLengthWeight?: number;
        readonly matchLengthScaleTokens?: number;
      }
    | { readonly type: "lora-affinity-scorer" }
    | { readonly type: "load-aware-scorer"; readonly threshold?: number }
    | { readonly type: "active-request-scorer"; readonly idleThreshold?: number; readonly maxBusyScore?: number }
    | { readonly type: "token-load-scorer"; readonly queueThresholdTokens?: number }
    | ({ readonly type: "session-affinity-scorer" } & SessionSource)
    | { readonly type: "context-length-scorer"; readonly column: number }
    | { readonly type: "no-hit-lru-scorer" }
    | {
        readonly type: "endpoint-attribute-scorer";
        readonly attribute: number;
        readonly lowerIsBetter?: boolean;
        readonly fixedRange?: readonly [min: number, max: number];
      }
    | { readonly type: "header-label-affinity-scorer"; readonly header: string; readonly column: number }
    | { readonly type: "topology-affinity-scorer"; readonly column: number }
    | { readonly type: "in-flight-scorer"; readonly floor?: number }
  );

export type Picker = "max-score-picker" | "random-picker" | "weighted-random-picker";

export interface ProfileSpec {
  readonly name?: string;
  readonly filters?: readonly FilterSpec[];
  readonly scorers?: readonly ScorerSpec[];
  readonly picker?: Picker;
  /** maxNumOfEndpoints; 1 if left out, as in the reference. */
  readonly endpoints?: number;
}

export type HandlerSpec =
  | { readonly type: "single-profile-handler" }
  | { readonly type: "header-profile-handler"; readonly header?: string; readonly defaultProfile?: string }
  | { readonly type: "data-parallel-profile-handler"; readonly primaryPort?: number };

export interface ProgramSpec {
  readonly handler?: HandlerSpec;
  readonly profiles: readonly ProfileSpec[];
  /** Bit mask of APIs. */
  readonly parsers?: number;
  readonly staleMs?: number;
  /** Prefix match although no step asks for it: token counts are then of what is not cached. */
  readonly matchPrefix?: boolean;
  readonly autoTune?: boolean;
  readonly blockSize?: number;
  readonly capacity?: number;
  readonly maxTokens?: number;
  readonly maxBlocks?: number;
  readonly addOutputTokens?: boolean;
  readonly outputRatio?: number;
  readonly maxOutputTokens?: number;
  readonly sessionTtlMs?: number;
  readonly coldSize?: number;
  /** Left out: the program says nothing of it, and the filter's defaults count. */
  readonly flow?: FlowSpec;
}

/** Where names of plugins, profiles and headers are put: [offset, length] in the blob's heap. */
export type PlaceText = (text: string) => readonly [offset: number, length: number];

export const SESSION_TOKEN_HEADER = "x-session-token";

/** The fields of a STEP row; headers by name. */
interface StepRow {
  readonly id: number;
  readonly flags?: number;
  readonly number?: number;
  readonly p?: readonly number[];
  readonly headers?: readonly string[];
}

const OPERATORS: Record<Operator, number> = {
  "<": wire.OPERATOR_LESS,
  "<=": wire.OPERATOR_LESS_OR_EQUAL,
  ">": wire.OPERATOR_GREATER,
  ">=": wire.OPERATOR_GREATER_OR_EQUAL,
  "==": wire.OPERATOR_EQUAL,
  "!=": wire.OPERATOR_NOT_EQUAL,
};

const PICKERS: Record<Picker, number> = {
  "max-score-picker": wire.PICKER_MAX_SCORE,
  "random-picker": wire.PICKER_RANDOM,
  "weighted-random-picker": wire.PICKER_WEIGHTED_RANDOM,
};

const HANDLERS: Record<HandlerSpec["type"], number> = {
  "single-profile-handler": wire.HANDLER_SINGLE,
  "header-profile-handler": wire.HANDLER_HEADER,
  "data-parallel-profile-handler": wire.HANDLER_DATA_PARALLEL,
};

function sessionRow(id: number, { header, sources }: SessionSource): StepRow {
  if (sources !== undefined) return { id, flags: wire.SESSION_ID, headers: sources };
  return { id, headers: [header ?? SESSION_TOKEN_HEADER] };
}

function filterRow(step: FilterSpec): StepRow {
  const fallback = "fallbackOnEmpty" in step && step.fallbackOnEmpty === true ? wire.FALLBACK_ON_EMPTY : 0;
  switch (step.type) {
    case "label-filter":
      return { id: wire.FILTER_LABELS, number: step.bit };
    case "utilization-filter": {
      const limits = [step.activeRequests, step.runningRequests, step.waitingQueue, step.kvCacheUtilization];
      const p = limits.map((limit) => limit ?? Number.POSITIVE_INFINITY);
      return { id: wire.FILTER_UTILIZATION, flags: fallback, p };
    }
    case "endpoint-attribute-filter": {
      const flags = fallback | (step.passMissing === true ? wire.PASS_MISSING : 0);
      return { id: wire.FILTER_ATTRIBUTE, flags, number: step.attribute, p: [step.value, OPERATORS[step.operator]] };
    }
    case "prefix-cache-affinity-filter": {
      const { affinityThreshold = 0.8, explorationProbability = 0 } = step;
      const { maxTTFTPenaltyMs = 18_000, peakPrefillThroughput = 15_928 } = step;
      const p = [affinityThreshold, explorationProbability, maxTTFTPenaltyMs, peakPrefillThroughput];
      return { id: wire.FILTER_PREFIX_AFFINITY, p };
    }
    case "session-affinity-filter":
      return sessionRow(wire.FILTER_SESSION, step);
    case "topology-affinity-filter":
      return { id: wire.FILTER_TOPOLOGY, number: step.column, p: [step.minAffinity ?? wire.LEVEL_HOST] };
    case "context-length-filter":
      return { id: wire.FILTER_CONTEXT_LENGTH, number: step.column };
    case "utilization-detector":
      return { id: wire.FILTER_UTILIZATION_DETECTOR, p: [step.queueLimit ?? 5, step.kvLimit ?? 0.8] };
    case "concurrency-detector": {
      const p = [step.requestLimit ?? Number.POSITIVE_INFINITY, step.tokenLimit ?? Number.POSITIVE_INFINITY];
      return { id: wire.FILTER_CONCURRENCY_DETECTOR, p };
    }
  }
}

function scorerRow(step: ScorerSpec): StepRow {
  switch (step.type) {
    case "queue-scorer":
      return { id: wire.SCORER_QUEUE };
    case "running-requests-size-scorer":
      return { id: wire.SCORER_RUNNING };
    case "kv-cache-utilization-scorer":
      return { id: wire.SCORER_KV_USAGE };
    case "prefix-cache-scorer":
      return { id: wire.SCORER_PREFIX, p: [step.matchLengthWeight ?? 0, step.matchLengthScaleTokens ?? 8192] };
    case "lora-affinity-scorer":
      return { id: wire.SCORER_LORA };
    case "load-aware-scorer":
      return { id: wire.SCORER_LOAD, p: [step.threshold ?? 128] };
    case "active-request-scorer":
      return { id: wire.SCORER_ACTIVE_REQUEST, p: [step.idleThreshold ?? 0, step.maxBusyScore ?? 1] };
    case "token-load-scorer":
      return { id: wire.SCORER_TOKEN_LOAD, p: [step.queueThresholdTokens ?? 4_194_304] };
    case "session-affinity-scorer":
      return sessionRow(wire.SCORER_SESSION, step);
    case "context-length-scorer":
      return { id: wire.SCORER_CONTEXT_LENGTH, number: step.column };
    case "no-hit-lru-scorer":
      return { id: wire.SCORER_NO_HIT_LRU };
    case "endpoint-attribute-scorer": {
      const fixed = step.fixedRange === undefined ? 0 : wire.FIXED_RANGE;
      const flags = fixed | (step.lowerIsBetter === true ? wire.LOWER_IS_BETTER : 0);
      return { id: wire.SCORER_ATTRIBUTE, flags, number: step.attribute, p: [...(step.fixedRange ?? [])] };
    }
    case "header-label-affinity-scorer":
      return { id: wire.SCORER_HEADER_LABEL, number: step.column, headers: [step.header] };
    case "topology-affinity-scorer":
      return { id: wire.SCORER_TOPOLOGY, number: step.column };
    case "in-flight-scorer":
      return { id: wire.SCORER_IN_FLIGHT, p: [step.floor ?? 4] };
  }
}

/** Bits of G_FLAGS that a step asks for. */
function needsOf(step: StepSpec): number {
  switch (step.type) {
    case "prefix-cache-scorer":
      return wire.NEEDS_PREFIX;
    case "prefix-cache-affinity-filter":
      return wire.NEEDS_PREFIX | wire.NEEDS_TOKENS;
    case "no-hit-lru-scorer":
      return wire.NEEDS_PREFIX | wire.NEEDS_COLD;
    case "token-load-scorer":
    case "concurrency-detector":
      return wire.NEEDS_TOKENS;
    case "lora-affinity-scorer":
      return wire.NEEDS_ADAPTERS;
    case "session-affinity-filter":
    case "session-affinity-scorer":
      return step.sources === undefined ? 0 : wire.NEEDS_SESSIONS;
    case "context-length-filter":
    case "context-length-scorer":
      return wire.NEEDS_LENGTH;
    default:
      return 0;
  }
}

export function stepsOf(profile: ProfileSpec): StepSpec[] {
  return [...(profile.filters ?? []), ...(profile.scorers ?? [])];
}

/** The bits of G_FLAGS that say what a program needs to know. */
export function needs(program: ProgramSpec): number {
  const bits = program.profiles.flatMap(stepsOf).map(needsOf);
  const prefix = program.matchPrefix === true ? wire.NEEDS_PREFIX : 0;
  return bits.reduce((all, one) => all | one, prefix | (countsTokens(program.flow) ? wire.NEEDS_TOKENS : 0));
}

/** Whether saturation is of tokens in flight. */
function countsTokens(flow: FlowSpec | undefined): boolean {
  const detector = flow?.detector;
  return detector?.type === "concurrency-detector" && detector.maxTokenConcurrency !== undefined;
}

function flagsOf(program: ProgramSpec): number {
  const tune = program.autoTune === false ? 0 : wire.AUTO_TUNE;
  const output = program.addOutputTokens === true ? wire.ADD_OUTPUT_TOKENS | wire.NEEDS_TOKENS : 0;
  return needs(program) | tune | output;
}

/** Names of headers by number. A step's lie one after the other; where they already do, they are used again. */
class Headers {
  readonly names: string[] = [];

  first(wanted: readonly string[]): number {
    for (let at = 0; at + wanted.length <= this.names.length; at++) {
      if (wanted.every((name, index) => this.names[at + index] === name)) return at;
    }
    this.names.push(...wanted);
    return this.names.length - wanted.length;
  }
}

/** The header whose value names the endpoint of the session, if a step goes by it. */
export function sessionTokenHeader(program: ProgramSpec): string | undefined {
  for (const step of program.profiles.flatMap(stepsOf)) {
    if (step.type !== "session-affinity-filter" && step.type !== "session-affinity-scorer") continue;
    if (step.sources === undefined) return step.header ?? SESSION_TOKEN_HEADER;
  }
  return undefined;
}

function encodeHandler(row: Buffer, program: ProgramSpec, headers: Headers): void {
  const handler = program.handler ?? { type: "single-profile-handler" };
  row.writeUInt32LE(HANDLERS[handler.type], wire.G_HANDLER);
  row.writeUInt32LE(wire.NONE, wire.G_HANDLER_HEADER);
  row.writeUInt32LE(wire.NONE, wire.G_DEFAULT_PROFILE);
  if (handler.type === "header-profile-handler") {
    const { header = "epp-profile", defaultProfile = "decode" } = handler;
    const number = program.profiles.findIndex((profile) => profile.name === defaultProfile);
    row.writeUInt32LE(headers.first([header]), wire.G_HANDLER_HEADER);
    row.writeUInt32LE(number < 0 ? wire.NONE : number, wire.G_DEFAULT_PROFILE);
  }
  if (handler.type === "data-parallel-profile-handler") {
    row.writeUInt32LE(handler.primaryPort ?? 8000, wire.G_PRIMARY_PORT);
  }
}

function encodeHead(program: ProgramSpec, stepCount: number, headers: Headers): Buffer {
  const row = Buffer.alloc(wire.PROGRAM_BYTES);
  encodeHandler(row, program, headers);
  const token = sessionTokenHeader(program);
  row.writeUInt32LE(token === undefined ? wire.NONE : headers.first([token]), wire.G_SESSION_HEADER);
  row.writeUInt32LE(program.profiles.length, wire.G_PROFILE_COUNT);
  row.writeUInt32LE(stepCount, wire.G_STEP_COUNT);
  row.writeUInt32LE(headers.names.length, wire.G_HEADER_COUNT);
  row.writeUInt32LE(flagsOf(program), wire.G_FLAGS);
  row.writeUInt32LE(program.parsers ?? wire.PARSERS_DEFAULT, wire.G_PARSERS);
  row.writeUInt32LE(program.staleMs ?? 200, wire.G_STALE_MS);
  row.writeUInt32LE(program.blockSize ?? 64, wire.G_BLOCK_SIZE);
  row.writeUInt32LE(program.capacity ?? 31_250, wire.G_CAPACITY);
  row.writeUInt32LE(program.maxTokens ?? 131_072, wire.G_MAX_TOKENS);
  row.writeUInt32LE(program.maxBlocks ?? 0, wire.G_MAX_BLOCKS);
  row.writeDoubleLE(program.outputRatio ?? 1.5, wire.G_OUTPUT_RATIO);
  row.writeDoubleLE(program.maxOutputTokens ?? Number.POSITIVE_INFINITY, wire.G_MAX_OUTPUT_TOKENS);
  row.writeDoubleLE(program.sessionTtlMs ?? 300_000, wire.G_SESSION_TTL_MS);
  row.writeUInt32LE(program.coldSize ?? 1024, wire.G_COLD_SIZE);
  return row;
}

function encodeProfile(profile: ProfileSpec, firstStep: number, place: PlaceText): Buffer {
  const row = Buffer.alloc(wire.PROFILE_BYTES);
  const picker = profile.picker ?? "max-score-picker";
  const [nameOffset, nameLength] = place(profile.name ?? "default");
  const [pickerOffset, pickerLength] = place(picker);
  row.writeUInt32LE(nameOffset, wire.F_NAME_OFFSET);
  row.writeUInt32LE(nameLength, wire.F_NAME_LENGTH);
  row.writeUInt32LE(firstStep, wire.F_FIRST_STEP);
  row.writeUInt32LE(stepsOf(profile).length, wire.F_STEP_COUNT);
  row.writeUInt32LE(PICKERS[picker], wire.F_PICKER);
  row.writeUInt32LE(profile.endpoints ?? 1, wire.F_ENDPOINTS);
  row.writeUInt32LE(pickerOffset, wire.F_PICKER_NAME_OFFSET);
  row.writeUInt32LE(pickerLength, wire.F_PICKER_NAME_LENGTH);
  return row;
}

function encodeStep(name: string, fields: StepRow, weight: number, headers: Headers, place: PlaceText): Buffer {
  const row = Buffer.alloc(wire.STEP_BYTES);
  const [nameOffset, nameLength] = place(name);
  row.writeUInt16LE(fields.id, wire.S_ID);
  row.writeUInt16LE(fields.flags ?? 0, wire.S_FLAGS);
  row.writeUInt32LE(fields.number ?? 0, wire.S_NUMBER);
  row.writeDoubleLE(weight, wire.S_WEIGHT);
  for (const [index, value] of (fields.p ?? []).entries()) row.writeDoubleLE(value, wire.S_P0 + index * 8);
  row.writeUInt32LE(headers.first(fields.headers ?? []), wire.S_FIRST_HEADER);
  row.writeUInt32LE(fields.headers?.length ?? 0, wire.S_HEADER_COUNT);
  row.writeUInt32LE(nameOffset, wire.S_NAME_OFFSET);
  row.writeUInt32LE(nameLength, wire.S_NAME_LENGTH);
  return row;
}

/** The program's bytes; its texts are put where `place` says. */
export function encodeProgram(program: ProgramSpec, place: PlaceText): Buffer {
  const headers = new Headers();
  const profiles: Buffer[] = [];
  const steps: Buffer[] = [];
  for (const profile of program.profiles) {
    profiles.push(encodeProfile(profile, steps.length, place));
    for (const step of profile.filters ?? []) steps.push(encodeStep(step.type, filterRow(step), 0, headers, place));
    for (const step of profile.scorers ?? []) {
      steps.push(encodeStep(step.type, scorerRow(step), step.weight ?? 1, headers, place));
    }
  }
  const head = encodeHead(program, steps.length, headers);
  const names = Buffer.alloc(headers.names.length * wire.HEADER_NAME_BYTES);
  headers.names.forEach((name, index) => {
    const [offset, length] = place(name);
    names.writeUInt32LE(offset, index * wire.HEADER_NAME_BYTES);
    names.writeUInt32LE(length, index * wire.HEADER_NAME_BYTES + 4);
  });
  const flow = program.flow === undefined ? Buffer.alloc(0) : encodeFlow(program.flow);
  const tables = Buffer.concat([head, ...profiles, ...steps, names]);
  if (flow.length > 0) tables.writeUInt32LE(tables.length, wire.G_FLOW);
  return Buffer.concat([tables, flow]);
}
