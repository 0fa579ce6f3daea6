// A worker that picks a million times: its memory stays what it was, and its prefix index within its bytes,
// though far more prompts come than fit.

import { expect, test } from "vitest";
import { Gateway } from "./gateway.ts";

const PICKS = 1_000_000;
/** A VM's memory is settled once it has seen a bit of everything. */
const FIRST = 20_000;
const BODIES = 4_096;
const INDEX_MIB = 1;

/** Prompts of 1 to 40 blocks that share their beginning with some others. */
function bodyOf(n: number): string {
  const shared = `conversation ${n >> 4} `.repeat(10 + (n % 7) * 80);
  const content = `${shared} turn ${n & 15}, number ${n}`;
  return JSON.stringify({ model: `m-${n % 3}`, messages: [{ role: "user", content }] });
}

test("1,000,000 picks leave memory unchanged, the index stays within its bytes", { timeout: 180_000 }, () => {
  const gateway = new Gateway({ prefixIndexMiB: INDEX_MIB });
  const { worker } = gateway;
  gateway.serve(Array.from({ length: 64 }, (_, n) => `10.0.0.${n}:8000`));
  const bodies = Array.from({ length: BODIES }, (_, n) => bodyOf(n));
  let settledBytes = 0;
  for (let n = 0; n < PICKS; ++n) {
    // Strides that are prime to the number of bodies: none follows on the one before it.
    const { destination } = worker.drive({ body: bodies[(n * 1_237) % BODIES]! });
    if (destination === undefined) throw new Error(`pick ${n} came to nothing`);
    if (n % 1_000 === 0) gateway.advance(1);
    if (n === FIRST) settledBytes = worker.vm.memory.byteLength;
  }
  expect(worker.vm.memory.byteLength).toBe(settledBytes);
  gateway.settle();
  const [column] = gateway.report().columns;
  expect(column!.indexKib).toBeLessThanOrEqual(INDEX_MIB * 1_024);
  expect(column!.indexPairs).toBeGreaterThan(1_000);
  expect(gateway.inFlightTotal()).toBe(0);
});
