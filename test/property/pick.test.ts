// The filter's ordered list against the oracle's, over generated pools: sizes, loads, failures, stale
// and missing metrics, the same random numbers on both sides.

import fc from "fast-check";
import { expect, test } from "vitest";
import { FAILURE_COOLDOWN_MS, FAILURE_COOLDOWN_MS_MAX } from "../../src/wire/policy.ts";
import { OtherWorker } from "../host/column.ts";
import { Control } from "../host/control.ts";
import { drive } from "../host/drive.ts";
import { Process } from "../host/process.ts";
import type { RowSpec } from "../host/snapshot.ts";
import { Draws } from "../oracle/random.ts";
import { type EndpointState, schedule } from "../oracle/schedule.ts";

const POOLS = 5_000;
/** PICK_SEED=<number> tries other pools. */
const SEED = Number(process.env.PICK_SEED ?? 42);
const BODY = '{"model":"m"}';
/** With a fraction that no limit of age has: no age is exactly at its limit. */
const TICK_MS = 130.75;

interface EndpointCase {
  readonly row: RowSpec;
  readonly scraped: boolean;
  readonly inFlightThen: number;
  readonly inFlightNow: number;
  readonly failures: number;
  readonly failedAgoMs: number;
}

interface Case {
  readonly before: number;
  readonly endpoints: readonly EndpointCase[];
  readonly elapsedMs: number;
}

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 6 });
const small = fc.integer({ min: 0, max: 4 });
const waiting = fc.oneof(small, fc.integer({ min: 0, max: 300 }));
const kvUsage = fc.oneof(fc.constantFrom(0, 0.25, 0.5, 1), fc.float({ min: 0, max: 1, noNaN: true }));
const count = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, small, fc.integer({ min: 0, max: 60 }));

const endpointCase: fc.Arbitrary<EndpointCase> = fc.record({
  row: fc.record({
    waiting: optional(waiting),
    running: optional(waiting),
    kvUsage: optional(kvUsage),
    ageMs: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 1_500 })),
    intervalMs: fc.constantFrom(50, 77, 200, 333, 1_000),
  }) as fc.Arbitrary<RowSpec>,
  scraped: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, fc.constant(false)),
  inFlightThen: count,
  inFlightNow: count,
  failures: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 8 })),
  failedAgoMs: fc.integer({ min: 0, max: 3_000 }),
});

const poolCase: fc.Arbitrary<Case> = fc.record({
  before: fc.integer({ min: 0, max: 3 }),
  endpoints: fc.oneof(
    fc.array(endpointCase, { minLength: 1, maxLength: 5, size: "max" }),
    fc.array(endpointCase, { minLength: 1, maxLength: 64, size: "max" }),
  ),
  elapsedMs: fc.constantFrom(131, 200, 261, 500, 2_601),
});

/** One filter under one seed; each case is a new topology with addresses of its own. */
class Bench {
  private readonly process = new Process();
  private readonly control = new Control(this.process);
  private readonly vm = this.process.newVm();
  private readonly root = this.vm.root({ role: "filter", failureMode: "FailClose", defaultPool: "ns/b", seed: SEED });
  private readonly draws = new Draws(SEED);
  private readonly other: OtherWorker;
  private cases = 0;

  constructor() {
    drive(this.vm, this.root, { body: BODY }); // no snapshot yet: nothing is drawn
    this.other = new OtherWorker(this.process);
  }

  /** Sets the case up as its worker would have lived it, and asks for one pick. */
  run(pool: Case): { picked: string | undefined; expected: string } {
    const prefix = `10.${(++this.cases >> 8) & 255}.${this.cases & 255}`;
    const addresses = pool.endpoints.map((_, index) => `${prefix}.${index}:8000`);
    const before = Array.from({ length: pool.before }, (_, index) => ({ address: `${prefix}.${200 + index}:8000` }));
    this.control.topology([
      { name: "ns/a", endpoints: before },
      { name: "ns/b", endpoints: addresses.map((address) => ({ address })) },
    ]);
    this.tick();
    this.tell(pool, addresses, (endpoint) => ({ inFlight: endpoint.inFlightThen }));
    this.tick();
    const rows = pool.endpoints.map((endpoint) => (endpoint.scraped ? endpoint.row : {}));
    this.control.metrics([...before.map(() => ({})), ...rows]);
    this.tick();
    this.process.clock.advanceMs(pool.elapsedMs);
    const now = this.process.clock.monotonicNs;
    this.tell(pool, addresses, (endpoint) => ({
      inFlight: endpoint.inFlightNow,
      failures: endpoint.failures,
      failedNs: now - BigInt(endpoint.failedAgoMs) * 1_000_000n,
    }));
    const outcome = drive(this.vm, this.root, { body: BODY });
    const states = pool.endpoints.map((endpoint, index) =>
      stateOf(endpoint, addresses[index]!, pool.before + index, TICK_MS + pool.elapsedMs),
    );
    return { picked: outcome.destination, expected: schedule(states, this.draws.draw()).join(",") };
  }

  private tick(): void {
    this.process.clock.advanceMs(TICK_MS);
    this.root.tick();
  }

  private tell(
    pool: Case,
    addresses: readonly string[],
    told: (endpoint: EndpointCase) => { inFlight: number; failures?: number; failedNs?: bigint },
  ): void {
    this.other.tell(pool.endpoints.map((endpoint, index) => ({ address: addresses[index]!, ...told(endpoint) })));
  }
}

function stateOf(endpoint: EndpointCase, address: string, row: number, sinceReceivedMs: number): EndpointState {
  const { waiting, running, kvUsage, ageMs, intervalMs } = endpoint.row;
  const known = endpoint.scraped && (waiting ?? running ?? kvUsage) !== undefined;
  const cooldownMs = Math.min(FAILURE_COOLDOWN_MS * 2 ** (endpoint.failures - 1), FAILURE_COOLDOWN_MS_MAX);
  return {
    address,
    row,
    waiting: known ? waiting : undefined,
    kvUsage: known && kvUsage !== undefined ? Math.fround(kvUsage) : undefined,
    ageMs: known ? ageMs! + sinceReceivedMs : undefined,
    intervalMs: intervalMs!,
    inFlight: endpoint.inFlightNow,
    inFlightAtScrape: endpoint.inFlightThen,
    isDown: endpoint.failures > 0 && endpoint.failedAgoMs < cooldownMs,
  };
}

test(`${POOLS} pools: the filter's list is the oracle's`, () => {
  const bench = new Bench();
  fc.assert(
    fc.property(poolCase, (pool) => {
      const { picked, expected } = bench.run(pool);
      expect(picked).toBe(expected);
    }),
    { numRuns: POOLS, seed: SEED },
  );
});
