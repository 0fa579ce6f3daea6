// Generated lives of a pool: its program, its endpoints, what others say of them, and what happens to it.

import fc from "fast-check";
import type {
  FilterSpec,
  HandlerSpec,
  Operator,
  Picker,
  ProfileSpec,
  ProgramSpec,
  ScorerSpec,
} from "../host/program.ts";
import type { ColumnSpec, RowSpec } from "../host/snapshot.ts";

// Columns of every endpoint: two labels, two ranges of context, two levels of topology.
const LABEL_COLUMNS = [0, 1];
const RANGE_COLUMNS = [2, 3];
const LEVEL_COLUMNS = [4, 5];
const ATTRIBUTES = [0, 1, 2];
const BITS = [0, 1, 63];
const LABELS = ["red", "blue", undefined];
const ADAPTERS = ["lora-a", "lora-b", "lora-c"];
const MODELS = ["base", ...ADAPTERS];
const PROFILES = ["decode", "fast", "third"];
/** All session steps of a program go by the same id. */
const SOURCES = ["x-agent", "x-session-id"];

/** What another worker says of an endpoint. */
export interface ToldCase {
  readonly inFlight: number;
  readonly tokens: number;
  readonly failures: number;
  readonly failedAgoMs: number;
  readonly adapters: Readonly<Record<string, number>>;
}

export interface EndpointCase {
  readonly port: number;
  readonly passes: readonly number[];
  readonly columns: readonly ColumnSpec[];
  readonly row: RowSpec;
  /** What others said when the row was scraped, and afterwards. */
  readonly toldBefore: ToldCase;
  readonly toldAfter: ToldCase;
}

/** Prompts are strings, or lists of token ids. */
export type PromptCase = string | readonly number[];

export interface RequestCase {
  readonly kind: "completions" | "chat" | "bodyless" | "broken";
  readonly model: string;
  readonly prompts: readonly PromptCase[];
  readonly salt: string | undefined;
  readonly tokenLimit: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** x-session-token: of which endpoint, or nonsense. */
  readonly token: number | "nonsense" | undefined;
}

export type EventCase =
  /** hold: stays in flight; the others name what comes of it at once. */
  | { readonly do: "pick"; readonly request: RequestCase; readonly outcome: "hold" | "answer" | "finish" | "reset" }
  /** … the first or second of the list answers with this status, for the n-th request in flight. */
  | { readonly do: "answer"; readonly flight: number; readonly by: 0 | 1; readonly status: 200 | 503 }
  | { readonly do: "end"; readonly flight: number }
  | { readonly do: "wait"; readonly ms: number }
  /** New metrics, what others say next: those of the case, but each endpoint has those of another one. */
  | { readonly do: "scrape"; readonly shift: number }
  | { readonly do: "tell"; readonly shift: number };

export interface PickCase {
  readonly program: ProgramSpec | undefined;
  readonly failOpen: boolean;
  /** Nobody said where the gateway is: the last column of all endpoints is so. */
  readonly isPlaceUnknown: boolean;
  /** All endpoints say that "base" is their base model, or none does. */
  readonly hasBaseModel: boolean;
  /** Endpoints of another pool, before it in the topology. */
  readonly before: number;
  readonly endpoints: readonly EndpointCase[];
  readonly events: readonly EventCase[];
}

/** Left out once in `often` + 1 times. */
const optional = <T>(value: fc.Arbitrary<T>, often = 4) => fc.option(value, { nil: undefined, freq: often + 1 });
const seldom = <T>(usual: T, value: fc.Arbitrary<T>, weight = 6) =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, value);
/** A record whose undefined members are left out, so that a failing case is short to read. */
const partial = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model).map((all) => {
    const known = Object.entries(all as object).filter(([, value]) => value !== undefined);
    return Object.fromEntries(known) as T;
  }) as fc.Arbitrary<T>;

const small = fc.integer({ min: 0, max: 4 });
const share = fc.oneof(fc.constantFrom(0, 0.25, 0.5, 0.8, 1), fc.float({ min: 0, max: 1, noNaN: true }));
const count = seldom(0, fc.oneof(small, fc.integer({ min: 0, max: 60 })), 3);
const attribute = fc.oneof(fc.constantFrom(0, 1, 2.5, -3), fc.float({ min: -100, max: 100, noNaN: true }));
const adapters = fc.uniqueArray(fc.constantFrom(...MODELS), { maxLength: 3 });

const row: fc.Arbitrary<RowSpec> = partial<RowSpec>({
  waiting: optional(fc.oneof(small, fc.integer({ min: 0, max: 300 }))),
  running: optional(fc.oneof(small, fc.integer({ min: 0, max: 300 }))),
  kvUsage: optional(share),
  ageMs: seldom(0, fc.integer({ min: 0, max: 1_500 }), 3),
  intervalMs: fc.constantFrom(50, 80, 200, 334, 1_000),
  blockSize: optional(fc.constantFrom(16, 64, 96, 128), 1),
  blocks: optional(fc.integer({ min: 50_000, max: 90_000 }), 1),
  maxAdapters: optional(small, 2),
  runningAdapters: optional(adapters, 2),
  waitingAdapters: optional(adapters, 2),
  attributes: optional(fc.tuple(optional(attribute), optional(attribute), optional(attribute))),
});

const told: fc.Arbitrary<ToldCase> = fc.record({
  inFlight: count,
  tokens: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 0, 10, 500, 510) }, fc.integer({ min: 0, max: 30_000 })),
  failures: seldom(0, fc.integer({ min: 1, max: 8 }), 9),
  failedAgoMs: fc.integer({ min: 0, max: 3_000 }),
  adapters: seldom({}, fc.dictionary(fc.constantFrom(...ADAPTERS), fc.integer({ min: 1, max: 3 }), { maxKeys: 3 }), 2),
});

const label: fc.Arbitrary<ColumnSpec> = fc.constantFrom(...LABELS.map((value) => ({ label: value })));
const range: fc.Arbitrary<ColumnSpec> = fc
  .oneof(
    fc.constantFrom("none" as const, "broken" as const, [0, 4_294_967_295] as const, [64, 64] as const),
    fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2_000 })).map(([a, b]) => [a, a + b] as const),
  )
  .map((value) => ({ range: value }));
const level: fc.Arbitrary<ColumnSpec> = fc.integer({ min: 0, max: 4 }).map((value) => ({ level: value }));

const endpoint: fc.Arbitrary<EndpointCase> = fc.record({
  port: fc.constantFrom(8000, 8001),
  passes: fc.subarray(BITS),
  columns: fc.tuple(label, label, range, range, level, level),
  row: fc.oneof({ weight: 9, arbitrary: row }, fc.constant({})),
  toldBefore: told,
  toldAfter: told,
});

// ── Programs ──

const session = fc.oneof(fc.constant({}), fc.constant({ sources: SOURCES }));
const operator = fc.constantFrom<Operator[]>("<", "<=", ">", ">=", "==", "!=");

const filter: fc.Arbitrary<FilterSpec> = fc.oneof(
  fc.record({ type: fc.constant("label-filter" as const), bit: fc.constantFrom(...BITS) }),
  partial<Extract<FilterSpec, { type: "utilization-filter" }>>({
    type: fc.constant("utilization-filter" as const),
    activeRequests: optional(small, 1),
    runningRequests: optional(fc.integer({ min: 0, max: 100 }), 1),
    waitingQueue: optional(fc.integer({ min: 0, max: 100 }), 1),
    kvCacheUtilization: optional(share, 1),
    fallbackOnEmpty: optional(fc.boolean(), 2),
  }),
  partial<Extract<FilterSpec, { type: "endpoint-attribute-filter" }>>({
    type: fc.constant("endpoint-attribute-filter" as const),
    attribute: fc.constantFrom(...ATTRIBUTES),
    operator,
    value: attribute,
    passMissing: optional(fc.boolean()),
    fallbackOnEmpty: optional(fc.boolean()),
  }),
  partial<Extract<FilterSpec, { type: "prefix-cache-affinity-filter" }>>({
    type: fc.constant("prefix-cache-affinity-filter" as const),
    affinityThreshold: optional(fc.constantFrom(0, 0.3, 0.5, 1), 2),
    explorationProbability: optional(fc.constantFrom(0.25, 0.5, 1), 1),
    maxTTFTPenaltyMs: optional(fc.constantFrom(0, 10, 500), 2),
    peakPrefillThroughput: optional(fc.constantFrom(1_000, 40_000.5), 1),
  }),
  session.map((source) => ({ type: "session-affinity-filter" as const, ...source })),
  partial<Extract<FilterSpec, { type: "topology-affinity-filter" }>>({
    type: fc.constant("topology-affinity-filter" as const),
    column: fc.constantFrom(...LEVEL_COLUMNS),
    minAffinity: optional(fc.integer({ min: 0, max: 3 }), 2),
  }),
  fc.record({ type: fc.constant("context-length-filter" as const), column: fc.constantFrom(...RANGE_COLUMNS) }),
  partial<Extract<FilterSpec, { type: "utilization-detector" }>>({
    type: fc.constant("utilization-detector" as const),
    queueLimit: optional(fc.constantFrom(1, 5.5, 100), 2),
    kvLimit: optional(share, 2),
  }),
  partial<Extract<FilterSpec, { type: "concurrency-detector" }>>({
    type: fc.constant("concurrency-detector" as const),
    requestLimit: optional(fc.constantFrom(1, 3, 50), 2),
    tokenLimit: optional(fc.constantFrom(100, 20_000), 1),
  }),
);

const weight = fc.oneof(fc.constantFrom(undefined, 0, 1, 2, 3, 0.1), fc.double({ min: 0, max: 10, noNaN: true }));

const plainScorer = fc.constantFrom(
  "queue-scorer" as const,
  "running-requests-size-scorer" as const,
  "kv-cache-utilization-scorer" as const,
  "lora-affinity-scorer" as const,
  "no-hit-lru-scorer" as const,
);

type Scorer<Type> = Extract<ScorerSpec, { type: Type }>;

const scorer: fc.Arbitrary<ScorerSpec> = fc.oneof(
  { weight: 5, arbitrary: partial<ScorerSpec>({ type: plainScorer, weight } as never) },
  {
    weight: 2,
    arbitrary: partial<Scorer<"prefix-cache-scorer">>({
      type: fc.constant("prefix-cache-scorer" as const),
      weight,
      matchLengthWeight: optional(fc.constantFrom(0.3, 0.7, 1), 2),
      matchLengthScaleTokens: optional(fc.constantFrom(300, 1_000), 4),
    }),
  },
  partial<Scorer<"load-aware-scorer">>({
    type: fc.constant("load-aware-scorer" as const),
    weight,
    threshold: optional(fc.constantFrom(1, 7), 1),
  }),
  partial<Scorer<"active-request-scorer">>({
    type: fc.constant("active-request-scorer" as const),
    weight,
    idleThreshold: optional(small, 1),
    maxBusyScore: optional(fc.constantFrom(0.5, 0.9), 1),
  }),
  partial<Scorer<"token-load-scorer">>({
    type: fc.constant("token-load-scorer" as const),
    weight,
    queueThresholdTokens: optional(fc.constantFrom(100, 10_000), 3),
  }),
  fc
    .tuple(session, weight)
    .map(([source, w]) => ({ type: "session-affinity-scorer" as const, ...source, weight: w ?? 1 })),
  fc.record({
    type: fc.constant("context-length-scorer" as const),
    column: fc.constantFrom(...RANGE_COLUMNS),
    weight: fc.constantFrom(1, 2.5),
  }),
  partial<Scorer<"endpoint-attribute-scorer">>({
    type: fc.constant("endpoint-attribute-scorer" as const),
    weight,
    attribute: fc.constantFrom(...ATTRIBUTES),
    lowerIsBetter: optional(fc.boolean()),
    fixedRange: optional(fc.constantFrom([0, 2] as const, [-50, 50] as const), 1),
  }),
  partial<Scorer<"header-label-affinity-scorer">>({
    type: fc.constant("header-label-affinity-scorer" as const),
    weight,
    header: fc.constant("x-color"),
    column: fc.constantFrom(...LABEL_COLUMNS),
  }),
  partial<Scorer<"topology-affinity-scorer">>({
    type: fc.constant("topology-affinity-scorer" as const),
    weight,
    column: fc.constantFrom(...LEVEL_COLUMNS),
  }),
  partial<Scorer<"in-flight-scorer">>({
    type: fc.constant("in-flight-scorer" as const),
    weight,
    floor: optional(fc.constantFrom(1, 20), 1),
  }),
);

const picker = fc.constantFrom<Picker[]>(
  "max-score-picker",
  "max-score-picker",
  "max-score-picker",
  "random-picker",
  "weighted-random-picker",
);

const profile = (name: string): fc.Arbitrary<ProfileSpec> =>
  partial<ProfileSpec>({
    name: fc.constant(name),
    filters: optional(fc.array(filter, { maxLength: 2, size: "max" }), 1),
    scorers: fc.array(scorer, { maxLength: 5, size: "max" }),
    picker,
    endpoints: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(8)),
  });

const handled = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.constant<HandlerSpec>({ type: "single-profile-handler" }), profiles(1)) },
  fc.tuple(
    partial<HandlerSpec>({
      type: fc.constant("data-parallel-profile-handler" as const),
      primaryPort: optional(fc.constant(9_000), 1),
    } as never),
    profiles(1),
  ),
  fc
    .tuple(fc.integer({ min: 1, max: 3 }), optional(fc.constant("x-profile"), 1))
    .chain(([size, header]) =>
      fc.tuple(
        fc.constant<HandlerSpec>({ type: "header-profile-handler", ...(header === undefined ? {} : { header }) }),
        profiles(size),
      ),
    ),
);

function profiles(size: number): fc.Arbitrary<readonly ProfileSpec[]> {
  return fc.tuple(...PROFILES.slice(0, size).map(profile));
}

const settings = partial<Omit<ProgramSpec, "handler" | "profiles">>({
  staleMs: optional(fc.constantFrom(100, 700), 1),
  matchPrefix: optional(fc.constant(true), 1),
  autoTune: optional(fc.boolean(), 1),
  blockSize: optional(fc.constantFrom(16, 64, 100), 1),
  maxTokens: optional(fc.constantFrom(0, 200), 1),
  maxBlocks: optional(fc.constantFrom(1, 3), 1),
  addOutputTokens: optional(fc.boolean(), 1),
  outputRatio: optional(fc.constantFrom(0, 0.3, 2), 1),
  maxOutputTokens: optional(fc.constantFrom(0, 50), 1),
  sessionTtlMs: optional(fc.constantFrom(400.5, 1_000.5), 3),
  coldSize: optional(fc.constantFrom(1, 2, 5), 1),
});

export const program: fc.Arbitrary<ProgramSpec> = fc
  .tuple(handled, settings)
  .map(([[handler, ofHandler], more]) => ({ handler, profiles: ofHandler, ...more }));

// ── Requests and what becomes of them ──

/** Beginnings that prompts share, of one to three blocks of 64 tokens. */
const parts = ["a".repeat(256), "shared system prompt ".repeat(31), "é漢".repeat(103), "z".repeat(100)];
const text = fc
  .tuple(fc.array(fc.constantFrom(...parts), { maxLength: 4 }), fc.constantFrom("", "x", "tail", "a longer tail"))
  .map(([some, tail]) => some.join("") + tail);
const ids = fc
  .tuple(fc.integer({ min: 1, max: 200 }), fc.constantFrom(7, 4_294_967_295))
  .map(([length, last]) => Array.from({ length }, (_, index) => (index === length - 1 ? last : 1_000 + index)));

const headerValues = {
  session: fc.constantFrom("s1", "s2", " s1 ", "  "),
  profile: fc.constantFrom(...PROFILES, " fast ", "", "no"),
};

const headers = partial<Record<string, string | undefined>>({
  "x-session-id": optional(headerValues.session, 2),
  "x-agent": optional(headerValues.session, 1),
  "x-color": optional(fc.constantFrom("red", "blue", "green"), 2),
  "epp-profile": optional(headerValues.profile, 1),
  "x-profile": optional(headerValues.profile, 1),
}) as fc.Arbitrary<Record<string, string>>;

const kinds = fc.oneof(
  { weight: 14, arbitrary: fc.constant("completions" as const) },
  { weight: 5, arbitrary: fc.constant("chat" as const) },
  fc.constant("bodyless" as const),
  { weight: 1, arbitrary: fc.constant("broken" as const) },
);

const request: fc.Arbitrary<RequestCase> = fc.record({
  kind: kinds,
  model: fc.constantFrom(...MODELS),
  prompts: fc.oneof({ weight: 4, arbitrary: fc.tuple(text) }, fc.array(text, { minLength: 1, maxLength: 3 }), {
    weight: 1,
    arbitrary: fc.tuple(ids),
  }),
  salt: optional(fc.constant("salt"), 1),
  tokenLimit: optional(fc.constantFrom(0, 16, 300), 1),
  headers,
  token: optional(fc.oneof(fc.nat(63), fc.constant("nonsense" as const)), 1),
});

const event: fc.Arbitrary<EventCase> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("pick" as const),
      request,
      outcome: fc.constantFrom(
        "hold" as const,
        "hold" as const,
        "answer" as const,
        "finish" as const,
        "reset" as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      flight: fc.nat(9),
      by: fc.constantFrom(0 as const, 0 as const, 1 as const),
      status: fc.constantFrom(200 as const, 200 as const, 503 as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), flight: fc.nat(9) }) },
  fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1, 100, 600, 1_000, 3_000) }),
  fc.record({ do: fc.constant("scrape" as const), shift: fc.nat(63) }),
  fc.record({ do: fc.constant("tell" as const), shift: fc.nat(63) }),
);

export const pickCase: fc.Arbitrary<PickCase> = fc.record({
  program: fc.oneof({ weight: 9, arbitrary: program }, fc.constant(undefined)),
  failOpen: fc.boolean(),
  isPlaceUnknown: seldom(false, fc.constant(true)),
  hasBaseModel: fc.boolean(),
  before: fc.integer({ min: 0, max: 3 }),
  endpoints: fc.oneof(
    { weight: 5, arbitrary: fc.array(endpoint, { minLength: 1, maxLength: 6, size: "max" }) },
    { weight: 2, arbitrary: fc.array(endpoint, { minLength: 1, maxLength: 64, size: "max" }) },
    fc.array(endpoint, { maxLength: 2, size: "max" }),
  ),
  events: fc.array(event, { minLength: 1, maxLength: 40, size: "max" }),
});
