import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Hold, KvBlocks } from "../../src/sim/kv-blocks.ts";

describe("KV blocks", () => {
  test("one of the blocks is the engine's own", () => {
    const kv = new KvBlocks(11);
    expect(kv.take([], 11)).toBeUndefined();
    expect(kv.take([], 10)).toBeDefined();
    expect(kv.used).toBe(10);
  });

  test("a prompt that was there is found again after its holder left, as far as it is the same", () => {
    const kv = new KvBlocks(100);
    kv.release(kv.take([1, 2, 3, 4], 6)!);
    expect(kv.used).toBe(0);
    expect(kv.take([1, 2, 9, 8], 5)!.hits).toBe(2);
  });

  test("two holders of one beginning share its blocks", () => {
    const kv = new KvBlocks(100);
    const first = kv.take([1, 2, 3], 4)!;
    const second = kv.take([1, 2, 3], 4)!;
    expect(second.hits).toBe(3);
    expect(kv.used).toBe(5);
    kv.release(first);
    expect(kv.used).toBe(4);
    kv.release(second);
    expect(kv.used).toBe(0);
  });

  test("what was used longest ago makes room, from its end", () => {
    const kv = new KvBlocks(7);
    kv.release(kv.take([1, 2, 3], 3)!);
    kv.release(kv.take([4, 5, 6], 3)!);
    kv.release(kv.take([7], 1)!);
    expect(kv.take([1, 2, 3], 3)!.hits).toBe(2);
  });

  test("what follows the named blocks can be named when it is let go", () => {
    const kv = new KvBlocks(100);
    kv.release(kv.take([1, 2], 5)!, [3, 4]);
    expect(kv.used).toBe(0);
    const first = kv.take([1, 2, 3, 4, 5], 6)!;
    expect(first.hits).toBe(4);
    // Another that says the same meanwhile adds nothing.
    kv.release(kv.take([1, 2], 5)!, [3, 4]);
    expect(kv.used).toBe(6);
    kv.release(first);
    expect(kv.take([], 99)).toBeDefined();
  });

  test("a refused request changes nothing", () => {
    const kv = new KvBlocks(5);
    const held = kv.take([1, 2], 3)!;
    expect(kv.take([1, 2, 3], 5)).toBeUndefined();
    expect(kv.used).toBe(3);
    kv.release(held);
    expect(kv.take([1, 2, 3], 4)!.hits).toBe(2);
  });

  test("blocks are neither lost nor made, whatever the order of requests", () => {
    const step = fc.record({
      prompt: fc.array(fc.nat(8), { maxLength: 8 }),
      extra: fc.nat(4),
      leave: fc.nat(3),
      continued: fc.boolean(),
    });
    const run = (steps: readonly { prompt: number[]; extra: number; leave: number; continued: boolean }[]) => {
      const kv = new KvBlocks(17);
      const held: Hold[] = [];
      for (const { prompt, extra, leave, continued } of steps) {
        // Chained as real hashes are: a block's name holds all before it.
        let chain = 0;
        const hashes = prompt.map((part) => {
          chain = chain * 10 + part + 1;
          return chain;
        });
        const hold = kv.take(hashes, hashes.length + extra);
        if (hold !== undefined) held.push(hold);
        for (let i = 0; i < leave && held.length > 0; i += 1) {
          const left = held.shift()!;
          const next = (left.hashes.at(-1) ?? 0) * 10 + 1;
          kv.release(left, continued && left.unnamed > 0 ? [next] : []);
        }
        const named = new Set(held.flatMap((one) => one.hashes)).size;
        expect(kv.used).toBe(named + held.reduce((sum, one) => sum + one.unnamed, 0));
        expect(kv.used).toBeLessThanOrEqual(16);
      }
      for (const hold of held) kv.release(hold);
      expect(kv.used).toBe(0);
      expect(kv.take([], 16)).toBeDefined();
    };
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), run), { numRuns: 300 });
  });
});
