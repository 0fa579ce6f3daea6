import fc from "fast-check";
import { expect, test } from "vitest";
import { Latencies } from "../../../src/demo/latencies.ts";

test("percentiles are those of the sorted samples, within 1 %", () => {
  const samples = fc.array(fc.double({ min: 0.2, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 300 });
  const close = (values: readonly number[], share: number) => {
    const latencies = new Latencies();
    for (const value of values) latencies.add(value);
    const sorted = [...values].sort((a, b) => a - b);
    const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
    expect(latencies.quantile(share)! / exact).toBeGreaterThan(0.99);
    expect(latencies.quantile(share)! / exact).toBeLessThan(1.0101);
    expect(latencies.mean()).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 6);
  };
  fc.assert(fc.property(samples, fc.constantFrom(0.01, 0.5, 0.9, 0.99, 1), close), { numRuns: 300 });
});

test("without samples there is nothing to say", () => {
  expect([new Latencies().mean(), new Latencies().quantile(0.5)]).toEqual([undefined, undefined]);
});
