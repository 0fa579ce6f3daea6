// Generated lives of a pool whose requests may have to wait: its settings, who asks, and what happens.

import fc from "fast-check";
import type { FlowSpec } from "../host/flow.ts";
import type { RowSpec } from "../host/snapshot.ts";

export interface ArrivalCase {
  readonly do: "arrive";
  readonly objective: string | undefined;
  readonly flow: string | undefined;
  readonly ttlMs: number | undefined;
  readonly sloMs: number | undefined;
  /** What makes the body longer; and whether content-length tells its length. */
  readonly padding: number;
  readonly declares: boolean;
}

export type FlowEventCase =
  | ArrivalCase
  /** The n-th request that runs begins to answer, or is over; the n-th of those that wait or run goes away. */
  | { readonly do: "answer" | "finish" | "cancel"; readonly n: number }
  | { readonly do: "clock"; readonly ms: number }
  | { readonly do: "measure"; readonly rows: readonly RowSpec[] }
  | { readonly do: "change"; readonly rules: RulesCase; readonly rows: readonly RowSpec[] };

export interface RulesCase {
  readonly flow: FlowSpec;
  readonly objectives: Readonly<Record<string, number>>;
  readonly endpoints: number;
}

export interface FlowCase {
  readonly rules: RulesCase;
  readonly rows: readonly RowSpec[];
  readonly events: readonly FlowEventCase[];
}

const OBJECTIVES = ["high", "middle", "low", "lower"];
const PRIORITIES = [10, 3, 1, 0, -1, -5];
const ENDPOINTS_MAX = 3;
/** Longer than the filter waits between two looks at what has expired. */
const CLOCK_MS = [25, 60, 150, 400, 1_100, 5_000, 11_000];

const optional = <T>(value: fc.Arbitrary<T>, often = 1) => fc.option(value, { nil: undefined, freq: often + 1 });
/** A record without its undefined members, so that a failing case is short to read. */
const partial = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model).map((all) => {
    const known = Object.entries(all as object).filter(([, value]) => value !== undefined);
    return Object.fromEntries(known) as T;
  }) as fc.Arbitrary<T>;

type Band = NonNullable<FlowSpec["defaultBand"]>;
type OwnBand = NonNullable<FlowSpec["bands"]>[number];

const bandFields = {
  maxRequests: optional(fc.integer({ min: 1, max: 6 })),
  maxBytes: optional(fc.constantFrom(200, 400, 1_000)),
  ttlMs: optional(fc.constantFrom(0, 100, 1_000, 12_000)),
  fairness: fc.constantFrom<"round-robin" | "global-strict">("round-robin", "round-robin", "global-strict"),
  ordering: fc.constantFrom<"fcfs" | "edf" | "slo-deadline">("fcfs", "edf", "slo-deadline"),
};
const band = partial<Band>(bandFields as never);
const ownBand = partial<OwnBand>({ priority: fc.constantFrom(...PRIORITIES), ...bandFields } as never);

const detector: fc.Arbitrary<NonNullable<FlowSpec["detector"]>> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("concurrency-detector" as const),
      maxConcurrency: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: partial<Extract<NonNullable<FlowSpec["detector"]>, { type: "utilization-detector" }>>({
      type: fc.constant("utilization-detector" as const),
      queueThreshold: optional(fc.constantFrom(1, 2, 4)),
      kvThreshold: optional(fc.constantFrom(0.5, 1)),
      staleMs: fc.constantFrom(200, 3_000, 1_000_000),
    }),
  },
);

const usage: fc.Arbitrary<NonNullable<FlowSpec["usage"]>> = fc.oneof(
  fc.record({ type: fc.constant("static-usage-limit-policy" as const), ceiling: fc.constantFrom(0.5, 0.75, 1) }),
  fc.record({
    type: fc.constant("priority-holdback-policy" as const),
    // Numbers that no saturation reaches exactly, whatever is between them.
    minCeiling: fc.constantFrom(0.2718, 0.5123),
    maxCeiling: fc.constantFrom(0.8761, 1),
    domain: fc.constantFrom("rank" as const, "value" as const),
  }),
);

const flow: fc.Arbitrary<FlowSpec> = partial<FlowSpec>({
  queues: fc.constantFrom(true, true, true, true, true, true, false),
  evicts: fc.constant(undefined),
  detector,
  usage: optional(usage),
  maxRequests: optional(fc.integer({ min: 2, max: 12 })),
  maxBytes: optional(fc.constantFrom(500, 2_000)),
  ttlMs: optional(fc.constantFrom(0, 200, 2_000)),
  emptyTtlMs: optional(fc.constantFrom(0, 100, 3_000)),
  defaultBand: optional(band, 3),
  defaultNegativeBand: optional(band),
  bands: fc.uniqueArray(ownBand, { maxLength: 3, selector: ({ priority }) => priority }),
});

const objectives = fc
  .tuple(...OBJECTIVES.map(() => fc.constantFrom(...PRIORITIES)))
  .map((priorities) => Object.fromEntries(OBJECTIVES.map((name, index) => [name, priorities[index]!])));

const rules: fc.Arbitrary<RulesCase> = fc.record({
  flow,
  objectives,
  endpoints: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: ENDPOINTS_MAX }) }, fc.constant(0)),
});

const row: fc.Arbitrary<RowSpec> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      waiting: fc.constantFrom(0, 0, 1, 2, 4),
      running: fc.constant(1),
      kvUsage: fc.constantFrom(0, 0.25, 0.5, 0.75, 1),
      intervalMs: fc.constantFrom(50, 200, 1_000),
    }),
  },
  fc.constant({}),
);
const rows = fc.array(row, { minLength: ENDPOINTS_MAX, maxLength: ENDPOINTS_MAX });

const arrival: fc.Arbitrary<ArrivalCase> = fc.record({
  do: fc.constant("arrive" as const),
  objective: optional(fc.constantFrom(...OBJECTIVES, "unknown"), 3),
  flow: optional(fc.constantFrom("a", "b", "c"), 2),
  ttlMs: optional(fc.constantFrom(100, 1_500, 9_000)),
  sloMs: optional(fc.constantFrom(1, 100, 2_000)),
  padding: fc.constantFrom(0, 0, 50, 300),
  declares: fc.boolean(),
});

const event: fc.Arbitrary<FlowEventCase> = fc.oneof(
  { weight: 14, arbitrary: arrival },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("answer" as const), n: fc.nat(9) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("finish" as const), n: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), n: fc.nat(19) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("clock" as const), ms: fc.constantFrom(...CLOCK_MS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("measure" as const), rows }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("change" as const), rules, rows }) },
);

export const flowCase: fc.Arbitrary<FlowCase> = fc.record({
  rules,
  rows,
  events: fc.array(event, { minLength: 5, maxLength: 60, size: "max" }),
});
