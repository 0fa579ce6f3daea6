// Block sizes and capacities: what endpoints report of them holds until they report something else, and each
// pool has its own.

import { expect, test } from "vitest";
import { BLOCK_SIZES_MAX } from "../../src/wire/limits.ts";
import type { ProgramSpec } from "../host/program.ts";
import type { RowSpec } from "../host/snapshot.ts";
import { chat, type Explained, explained } from "./explained.ts";
import { Gateway, IDLE, POOL } from "./gateway.ts";

const A = "10.0.0.1:8000";
const B = "10.0.0.2:8000";
/** With what chat puts around it 17 blocks of 64 tokens, 9 of 128. */
const PROMPT = "abc ".repeat(1_024);
const prefix: ProgramSpec = { capacity: 4, profiles: [{ scorers: [{ type: "prefix-cache-scorer" }] }] };
const LARGE: RowSpec = { ...IDLE, blockSize: 128, blocks: 10_000 };
const SMALL: RowSpec = { ...IDLE, blockSize: 64, blocks: 10_000 };

function gatewayOf(addresses: readonly string[], rows: readonly RowSpec[]): Gateway {
  const gateway = new Gateway({ explain: true });
  serve(gateway, addresses);
  measure(gateway, rows);
  return gateway;
}

/** Another topology, and no metrics for it as yet. */
function serve(gateway: Gateway, addresses: readonly string[]): void {
  gateway.control.topology([{ name: POOL, program: prefix, endpoints: addresses.map((address) => ({ address })) }]);
  gateway.advance(2);
}

function measure(gateway: Gateway, rows: readonly RowSpec[]): void {
  gateway.control.metrics(rows);
  gateway.advance(2);
}

/** Of each endpoint: blocks of the prompt that it holds, blocks of the prompt. */
function held(gateway: Gateway): number[][] {
  const { candidates }: Explained = explained(gateway.worker, PROMPT);
  return candidates.map(({ matchedBlocks, blocks }) => [matchedBlocks, blocks]);
}

test("an endpoint keeps its block size and its blocks while another topology has no metrics yet", () => {
  const gateway = gatewayOf([A], [LARGE]);
  gateway.worker.drive({ body: chat(PROMPT) });
  expect(held(gateway)).toEqual([[9, 9]]);
  serve(gateway, [A]);
  expect(held(gateway)).toEqual([[9, 9]]);
  // A new agent has scraped nothing.
  measure(gateway, [{}]);
  expect(held(gateway)).toEqual([[9, 9]]);
  measure(gateway, [LARGE]);
  expect(held(gateway)).toEqual([[9, 9]]);
});

test("one that reports without a block size has the program's size and capacity from then on", () => {
  const gateway = gatewayOf([A], [LARGE]);
  gateway.worker.drive({ body: chat(PROMPT) });
  measure(gateway, [IDLE]);
  expect(held(gateway)).toEqual([[0, 17]]);
  gateway.worker.drive({ body: chat(PROMPT) });
  expect(held(gateway)).toEqual([[4, 17]]);
});

test("what one reported that has left counts for no other, whoever gets its id", () => {
  const gateway = gatewayOf([A], [LARGE]);
  expect(held(gateway)).toEqual([[0, 9]]);
  serve(gateway, []);
  gateway.settle();
  serve(gateway, [B]);
  expect(held(gateway)).toEqual([[0, 17]]);
  serve(gateway, [A]);
  expect(held(gateway)).toEqual([[0, 17]]);
});

test("a block size of 0 is none", () => {
  const gateway = gatewayOf([A], [{ ...IDLE, blockSize: 0, blocks: 10_000 }]);
  gateway.worker.drive({ body: chat(PROMPT) });
  expect(held(gateway)).toEqual([[4, 17]]);
});

test("each pool has block sizes of its own, and one that matches no prompts has none", () => {
  const gateway = new Gateway({ explain: true, defaultPool: POOL });
  const sizes = Array.from({ length: BLOCK_SIZES_MAX }, (_, n) => 256 + 16 * n);
  const others = sizes.map((_, n) => ({ address: `10.0.1.${n}:8000` }));
  const far = sizes.map((_, n) => ({ address: `10.0.2.${n}:8000` }));
  gateway.control.topology([
    { name: "default/unmatched", program: { profiles: [{ scorers: [{ type: "queue-scorer" }] }] }, endpoints: far },
    { name: "default/other", program: prefix, endpoints: others },
    { name: POOL, program: prefix, endpoints: [{ address: A }, { address: B }] },
  ]);
  const reported = sizes.map((blockSize) => ({ ...IDLE, blockSize, blocks: 10_000 }));
  measure(gateway, [...reported, ...reported, LARGE, SMALL]);
  expect(held(gateway)).toEqual([
    [0, 9],
    [0, 17],
  ]);
  for (let n = 0; n < 8; n++) gateway.worker.drive({ body: chat(PROMPT) });
  const [large, small] = held(gateway);
  expect(large![0]! + small![0]!).toBeGreaterThan(0);
  expect([0, 9]).toContain(large![0]);
  expect([0, 17]).toContain(small![0]);
});
