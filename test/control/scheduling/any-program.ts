// Programs of any kind, within the limits of the wire.

import fc from "fast-check";
import { FLOW_DEFAULT, type Flow, highestFirst } from "../../../src/control/scheduling/flow.ts";
import { needsOf, type Profile, type Program, type Step } from "../../../src/control/scheduling/program.ts";
import * as l from "../../../src/wire/flow.ts";
import { HEADER_NAMES_MAX } from "../../../src/wire/limits.ts";
import * as p from "../../../src/wire/program.ts";

const FILTER_IDS = Array.from({ length: p.FILTERS - 1 }, (_, i) => i + 1);
const SCORER_IDS = Array.from({ length: p.SCORERS - p.SCORER_FIRST }, (_, i) => p.SCORER_FIRST + i);

const name = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
const header = fc.constantFrom("x-a", "x-b", "x-c", "x-session-token");
const u32 = fc.integer({ min: 0, max: 0xffff_fffe });
const number = fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(0, 1, Number.POSITIVE_INFINITY));

function step(ids: readonly number[]): fc.Arbitrary<Step> {
  return fc.record({
    id: fc.constantFrom(...ids),
    name,
    flags: fc.integer({ min: 0, max: 31 }),
    number: fc.integer({ min: 0, max: 63 }),
    weight: number,
    numbers: fc.tuple(number, number, number, number),
    headers: fc.array(header, { maxLength: 3 }),
  });
}

const profile: fc.Arbitrary<Profile> = fc.record({
  name,
  steps: fc
    .tuple(fc.array(step(FILTER_IDS), { maxLength: 2 }), fc.array(step(SCORER_IDS), { maxLength: 3 }))
    .map(([filters, scorers]) => [...filters, ...scorers]),
  picker: fc.constantFrom(p.PICKER_MAX_SCORE, p.PICKER_RANDOM, p.PICKER_WEIGHTED_RANDOM),
  pickerName: name,
  endpoints: fc.integer({ min: 1, max: 8 }),
});

const limit = fc.oneof(fc.double({ min: 0, noNaN: true }), fc.constantFrom(0, 1, Number.POSITIVE_INFINITY));

const bandFields = {
  maxRequests: limit,
  maxBytes: limit,
  ttlMs: limit,
  fairness: fc.constantFrom(l.FAIRNESS_ROUND_ROBIN, l.FAIRNESS_GLOBAL_STRICT),
  ordering: fc.constantFrom(l.ORDERING_FCFS, l.ORDERING_EDF, l.ORDERING_SLO),
};
const priority = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

const flow: fc.Arbitrary<Flow> = fc.record({
  queues: fc.boolean(),
  evicts: fc.boolean(),
  detector: fc.oneof(
    fc.record({ kind: fc.constant("utilization" as const), queueThreshold: limit, kvThreshold: limit, staleMs: u32 }),
    fc.record({ kind: fc.constant("concurrency" as const), maxConcurrency: limit, maxTokenConcurrency: limit }),
  ),
  usage: fc.oneof(
    fc.record({ kind: fc.constant("static" as const), ceiling: limit }),
    fc.record({
      kind: fc.constant("holdback" as const),
      domain: fc.constantFrom(l.DOMAIN_RANK, l.DOMAIN_VALUE),
      minCeiling: limit,
      maxCeiling: limit,
    }),
  ),
  maxRequests: limit,
  maxBytes: limit,
  ttlMs: limit,
  emptyTtlMs: limit,
  defaultBand: fc.record(bandFields),
  defaultNegativeBand: fc.record(bandFields),
  bands: fc
    .uniqueArray(fc.record({ ...bandFields, priority }), { selector: (band) => band.priority, maxLength: 4 })
    .map(highestFirst),
});

const anyOf: fc.Arbitrary<Program> = fc
  .record({
    profiles: fc.array(profile, { minLength: 1, maxLength: 3 }),
    handler: fc.constantFrom(p.HANDLER_SINGLE, p.HANDLER_HEADER, p.HANDLER_DATA_PARALLEL),
    handlerHeader: fc.option(header, { nil: undefined }),
    hasDefault: fc.boolean(),
    primaryPort: fc.integer({ min: 0, max: 65_535 }),
    parsers: u32,
    staleMs: u32,
    sessionHeader: fc.option(header, { nil: undefined }),
    prefix: fc.record({
      always: fc.boolean(),
      autoTune: fc.boolean(),
      blockSize: u32,
      capacity: u32,
      maxTokens: u32,
      maxBlocks: u32,
    }),
    output: fc.record({ counts: fc.boolean(), ratio: number, maxTokens: number }),
    sessionTtlMs: number,
    coldSize: u32,
    flow: fc.oneof(flow, fc.constant(FLOW_DEFAULT)),
  })
  .map(({ hasDefault, ...rest }) => ({ ...rest, defaultProfile: hasDefault ? rest.profiles.length - 1 : undefined }))
  .map((program) => {
    const asked = needsOf({ ...program, prefix: { ...program.prefix, always: false } }) & p.NEEDS_PREFIX;
    return asked ? { ...program, prefix: { ...program.prefix, always: false } } : program;
  });

/** Names of headers lie in rows; some of these programs have more of them than fit. */
export const anyProgram = anyOf.filter(
  ({ profiles }) =>
    profiles.flatMap(({ steps }) => steps).flatMap(({ headers }) => headers).length + 2 <= HEADER_NAMES_MAX,
);
