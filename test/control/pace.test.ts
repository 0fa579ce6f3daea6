// How often many endpoints are asked for their metrics.

import { expect, test } from "vitest";
import { Pace } from "../../src/control/scrape/pace.ts";

const BUSY_PER_SECOND = 2_000;
const IDLE_PER_SECOND = 1_430;

function paceOf(endpoints: number, busy: number): Pace {
  const pace = new Pace(50);
  pace.set(endpoints, busy);
  return pace;
}

test("a hundred endpoints with work are asked as often as was wanted, idle ones every second", () => {
  const pace = paceOf(1_000, 100);
  expect(pace.busyMs).toBe(50);
  expect(pace.idleMs).toBe(1_000);
});

test.each([
  [5_000, 0],
  [5_000, 5_000],
  [1_000, 1_000],
  [300, 200],
])("of %d endpoints, the %d with work are asked at most 2,000 times a second, the others 1,430", (endpoints, busy) => {
  const pace = paceOf(endpoints, busy);
  expect(busy / (pace.busyMs / 1_000)).toBeLessThanOrEqual(BUSY_PER_SECOND);
  expect((endpoints - busy) / (pace.idleMs / 1_000)).toBeLessThanOrEqual(IDLE_PER_SECOND);
});

test("endpoints that have just come and have nothing to tell are not asked as if they had", () => {
  expect(paceOf(100, 0).quietMs).toBe(50);
  expect(paceOf(5_000, 0).quietMs).toBe(2_500);
});

test("the first scrapes of many are spread, that of one is not put off", () => {
  const pace = paceOf(5_000, 0);
  expect(pace.firstMs(1)).toBe(50);
  expect(pace.firstMs(5_000)).toBe(5_000);
});
