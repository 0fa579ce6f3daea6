// The prefix index against sets of hashes: below its bounds it answers the same, at its bounds it keeps
// them and forgets the oldest. PREFIX_SEED=<number> tries other sequences.

import { describe, expect, test } from "vitest";
import { randomFrom } from "../../bench/bodies.ts";
import { ENDPOINT_IDS_MAX } from "../../src/wire/limits.ts";
import { Holdings } from "../oracle/prefix-index.ts";
import { Prefixes } from "./prefixes.ts";

const SEED = Number(process.env.PREFIX_SEED ?? 42);
const IDS_MAX = ENDPOINT_IDS_MAX;
const MIB = 1_048_576;
/** Little more than the least: some 1,000 buckets, and rows for some hashes. */
const TINY = 73_472;

/** Whole numbers below `limit`. */
type Random = (limit: number) => number;

function randomOf(round: number): Random {
  const next = randomFrom(SEED * 1000 + round);
  return (limit) => Math.floor(next() * limit);
}

/** Prompts of conversations: some system prompts, several ways on from each, cut anywhere. */
function promptOf(random: Random): number[] {
  const system = random(4);
  const conversation = random(6);
  const systemBlocks = [0, 1, 5, 40][system]!;
  const blocks = random(4) === 0 ? random(90) : random(12);
  return Array.from({ length: blocks }, (_, n) => (n < systemBlocks ? system : 10 + conversation) * 1000 + n);
}

function promptsOf(random: Random): number[][] {
  return Array.from({ length: random(5) === 0 ? random(6) : 1 }, () => promptOf(random));
}

/** The index and the sets side by side. */
class Pair {
  readonly holdings = new Holdings();
  private prompts: bigint[][] = [];
  readonly prefixes: Prefixes;
  private ids: number;
  private readonly where: string;

  constructor(prefixes: Prefixes, ids: number, where: string) {
    this.prefixes = prefixes;
    this.ids = ids;
    this.where = `PREFIX_SEED=${SEED} ${where}`;
  }

  chain(prompts: readonly (readonly number[])[]): void {
    this.prompts = this.prefixes.chainOfBlocks(prompts);
  }

  check(step: number): void {
    const { exports } = this.prefixes;
    exports.match();
    for (let id = 0; id < this.ids; id++) {
      const expected = this.holdings.matched(id, this.prompts);
      const seen = exports.matched(id);
      if (seen !== expected) expect(seen, `${this.where}: matched(${id}) in step ${step}`).toBe(expected);
    }
    expect(exports.pairs(), `${this.where}: pairs in step ${step}`).toBe(this.holdings.pairs());
  }

  insert(id: number): void {
    const known = this.prompts.flat().filter((hash) => this.holdings.matched(id, [[hash]]) === 0);
    const news = this.prefixes.insert(id);
    // Renewals are news as well.
    for (const hash of known) expect(news, `${this.where}: news of ${id}`).toContain(hash);
    this.holdings.insert(id, this.prompts.flat());
  }

  learn(id: number, random: Random): void {
    const hashes = this.prompts.flat().filter(() => random(3) > 0);
    this.prefixes.learn(id, hashes);
    this.holdings.insert(id, hashes);
  }

  forget(id: number): void {
    this.prefixes.exports.forget(id);
    this.holdings.forget(id);
  }

  grow(ids: number): void {
    this.ids = ids;
    this.prefixes.exports.setEndpoints(ids);
    this.prefixes.exports.setShare(ids);
  }

  step(random: Random): void {
    const id = random(this.ids);
    this.chain(promptsOf(random));
    const action = random(40);
    if (action < 26) this.insert(id);
    else if (action < 34) this.learn(id, random);
    else if (action < 36) this.forget(id);
    else if (action < 37) this.prefixes.exports.setCapacity(id, 5_000 + random(50_000));
    else if (action < 38) this.prefixes.exports.renew();
  }
}

/** All live pairs of hashes of single-block prompts 0 … universe − 1, by endpoint. */
function livePairs(prefixes: Prefixes, universe: number, ids: number): number[] {
  prefixes.chainOfBlocks(Array.from({ length: universe }, (_, block) => [block]));
  prefixes.exports.match();
  return Array.from({ length: ids }, (_, id) => prefixes.exports.matched(id));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}

describe("below its bounds the index answers as sets do", () => {
  test.each([1, 2, 3, 8, 33, 64, 200])("with %d endpoints", async (ids) => {
    const pair = new Pair(await Prefixes.open(64 * MIB, ids), ids, `${ids} endpoints`);
    const random = randomOf(ids);
    for (let step = 0; step < 2_000; step++) {
      pair.step(random);
      pair.check(step);
    }
  });

  test("while endpoints come: rows are laid out anew and keep what they know", async () => {
    const pair = new Pair(await Prefixes.open(64 * MIB, 1), 1, "growing");
    const random = randomOf(7_000);
    for (let step = 0; step < 3_000; step++) {
      if (step % 300 === 299) pair.grow(Math.min(1_100, 2 ** ((step + 1) / 300 + 1)));
      pair.step(random);
      pair.check(step);
    }
  });

  test("with every id there can be", async () => {
    const pair = new Pair(await Prefixes.open(64 * MIB, IDS_MAX), IDS_MAX, "all ids");
    pair.chain([[1, 2, 3]]);
    for (let id = 0; id < IDS_MAX; id++) pair.insert(id);
    pair.chain([[1, 2, 3, 4]]);
    pair.insert(IDS_MAX - 1);
    pair.check(0);
    for (let id = 0; id < IDS_MAX; id += 2) pair.forget(id);
    pair.check(1);
  });

  test("with more rows than a 16-bit number tells apart", async () => {
    const ids = 12;
    const prefixes = await Prefixes.open(64 * MIB, ids);
    const others = Array.from({ length: 65_536 }, (_, n) => BigInt.asUintN(64, BigInt(n + 1) * 0x9e3779b97f4a7c15n));
    for (let id = ids - 1; id >= 0; id--) prefixes.learn(id, others);
    prefixes.chainOfBlocks(blocksFrom(0, 1_000).map((block) => [block]));
    for (let id = ids - 1; id >= 0; id--) prefixes.insert(id);
    expect(livePairs(prefixes, 1_000, ids)).toEqual(Array.from({ length: ids }, () => 1_000));
  });

  test("however often the same is touched: nothing else is forgotten for it", async () => {
    const pair = new Pair(await Prefixes.open(64 * MIB, 8), 8, "touching");
    pair.prefixes.exports.setCapacity(3, 800);
    pair.chain([blocksFrom(0, 100)]);
    pair.insert(3);
    pair.chain([blocksFrom(1000, 690)]);
    for (let n = 0; n < 500; n++) pair.insert(3);
    pair.check(0);
    pair.chain([blocksFrom(0, 100)]);
    pair.check(1);
  });
});

function blocksFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => first + n);
}

describe("at its bounds", () => {
  const UNIVERSE = 1_000;

  test.each([1, 2, 3, 7, 8, 9, 20, 100, 640])("no endpoint holds more than its capacity of %d", async (capacity) => {
    const ids = 9;
    const prefixes = await Prefixes.open(64 * MIB, ids);
    const random = randomOf(100_000 + capacity);
    const used = Array.from({ length: ids }, () => new Set<number>());
    for (let id = 0; id < ids; id++) prefixes.exports.setCapacity(id, capacity);
    for (let step = 0; step < 1_500; step++) {
      const id = random(ids);
      const blocks = Array.from({ length: 1 + random(Math.max(1, capacity / 2)) }, () => random(UNIVERSE));
      prefixes.chainOfBlocks(blocks.map((block) => [block]));
      prefixes.insert(id);
      // The last block of a request is learned first.
      for (const block of blocks.toReversed()) use(used[id]!, block);
      if (step % 10 !== 0) continue;
      const live = livePairs(prefixes, UNIVERSE, ids);
      expect(Math.max(...live), `PREFIX_SEED=${SEED} step ${step}`).toBeLessThanOrEqual(capacity);
      expect(prefixes.exports.pairs(), `PREFIX_SEED=${SEED} pairs in step ${step}`).toBe(sum(live));
      expectHeld(prefixes, id, [...used[id]!].slice(-Math.ceil(capacity / 8)));
    }
  });

  test("half a capacity that was just learned is there from its first to its last block", async () => {
    const prefixes = await Prefixes.open(64 * MIB, 4);
    const random = randomOf(200_000);
    prefixes.exports.setCapacity(2, 1_000);
    for (let step = 0; step < 400; step++) {
      const blocks = 1 + random(500);
      const conversation = random(12);
      prefixes.chainOfBlocks([blocksFrom(conversation * 10_000, blocks)]);
      prefixes.insert(2);
      prefixes.exports.match();
      expect(prefixes.exports.matched(2), `PREFIX_SEED=${SEED} step ${step}`).toBe(blocks);
    }
  });

  test("of a prompt beyond the capacity the beginning is kept", async () => {
    const prefixes = await Prefixes.open(64 * MIB, 4);
    prefixes.exports.setCapacity(0, 100);
    prefixes.chainOfBlocks([blocksFrom(0, 2_000)]);
    for (let n = 0; n < 3; n++) prefixes.insert(0);
    prefixes.exports.match();
    expect(prefixes.exports.matched(0)).toBeGreaterThanOrEqual(87);
    expect(prefixes.exports.matched(0)).toBeLessThanOrEqual(100);
  });

  test("a capacity that shrinks takes effect at once, of 0 nothing is kept", async () => {
    const prefixes = await Prefixes.open(64 * MIB, 4);
    prefixes.chainOfBlocks([blocksFrom(0, 1_000)]);
    for (let id = 0; id < 3; id++) prefixes.insert(id);
    expect(prefixes.exports.pairs()).toBe(3_000);
    prefixes.exports.setCapacity(1, 400);
    prefixes.exports.setCapacity(2, 0);
    expect(prefixes.exports.pairs()).toBeLessThanOrEqual(1_400);
    for (let n = 0; n < 5; n++) for (let id = 1; id < 3; id++) prefixes.insert(id);
    expect(prefixes.exports.pairs()).toBeGreaterThanOrEqual(1_000 + 350);
    expect(prefixes.exports.pairs()).toBeLessThanOrEqual(1_400);
    prefixes.exports.match();
    expect(prefixes.exports.matched(2)).toBe(0);
    // Whoever has the id next begins with what everybody may have.
    prefixes.exports.forget(2);
    expect(prefixes.insert(2)).toHaveLength(1_000);
  });

  test("each endpoint has its share of the budget", async () => {
    const prefixes = await Prefixes.open(MIB, 100);
    const share = Math.floor(prefixes.exports.bytes() / 8 / 100);
    for (let id = 0; id < 100; id++) {
      prefixes.chainOfBlocks([blocksFrom(id * 5_000, 2_000)]);
      prefixes.insert(id);
    }
    expect(prefixes.exports.pairs()).toBeGreaterThan(100 * 100);
    expect(prefixes.exports.pairs()).toBeLessThan(100 * share);
    prefixes.exports.setShare(200);
    expect(prefixes.exports.pairs()).toBeLessThan(50 * share);
    prefixes.exports.setShare(1);
    prefixes.chainOfBlocks([blocksFrom(0, 2_000)]);
    prefixes.insert(0);
    prefixes.exports.match();
    expect(prefixes.exports.matched(0)).toBe(2_000);
  });
});

function use(used: Set<number>, block: number): void {
  used.delete(block);
  used.add(block);
}

function expectHeld(prefixes: Prefixes, id: number, blocks: readonly number[]): void {
  prefixes.chainOfBlocks(blocks.map((block) => [block]));
  prefixes.exports.match();
  expect(prefixes.exports.matched(id), `PREFIX_SEED=${SEED} used last by ${id}: ${blocks}`).toBe(blocks.length);
}

// Generations are numbers of 16 bits that come round again.
describe("when generations come round", () => {
  // Each pair of an endpoint that holds 8 has a generation of its own, so that 8 of those that died
  // would live again at any time of the next round.
  test.each([0, 6])("the dead stay dead, beside %d other holders", async (others) => {
    const ids = others + 2;
    const universe = 1_000;
    const round = others + 1;
    const prefixes = await Prefixes.open(4 * MIB, ids);
    prefixes.chainOfBlocks(blocksFrom(0, universe).map((block) => [block]));
    for (let id = 0; id < others; id++) prefixes.insert(id);
    prefixes.exports.setCapacity(round, 8);
    const hashes = prefixes.chainOfBlocks(blocksFrom(0, universe).map((block) => [block])).flat();
    prefixes.learn(round, hashes);
    const few = Array.from({ length: 500 }, (_, n) => hashes[n % 16]!);
    for (let generations = universe; generations < 150_000; generations += few.length) {
      prefixes.learn(round, few);
      const live = livePairs(prefixes, universe, ids);
      expect(live[round], `generation ${generations}`).toBeLessThanOrEqual(8);
      for (const n of live.slice(0, others)) if (n !== universe) expect(n).toBe(universe);
      expect(sum(live), `generation ${generations}`).toBe(prefixes.exports.pairs());
    }
  });

  test("after 70,000 renewals an endpoint holds what it held, and what is used again is news once", async () => {
    const prefixes = await Prefixes.open(TINY, 8);
    const used = (blocks: readonly number[], id: number) => {
      prefixes.chainOfBlocks(blocks.map((block) => [block]));
      return prefixes.insert(id).length;
    };
    // Some in buckets, some in rows.
    for (let id = 0; id < 8; id++) used(blocksFrom(0, id < 2 ? 30 : 10), id);
    for (let n = 0; n < 70_000; n++) {
      prefixes.exports.renew();
      // Of what is never used a generation may be 16,384 ago.
      const again = n % 999 === 0 ? blocksFrom(0, 30) : [n % 10];
      const why = `renewal ${n}`;
      expect(used(again, n % 2), why).toBe(again.length);
      expect(used(again, n % 2), why).toBe(0);
      if (n % 999 !== 0) continue;
      expect(livePairs(prefixes, 40, 8), why).toEqual([30, 30, 10, 10, 10, 10, 10, 10]);
      expect(prefixes.exports.pairs(), why).toBe(120);
    }
  });

  test("an id forgotten 100,000 times remembers nothing", async () => {
    const prefixes = await Prefixes.open(TINY, 8);
    for (let id = 0; id < 8; id++) {
      prefixes.chainOfBlocks([[1], [2], [3], [100 + id]]);
      prefixes.insert(id);
    }
    for (let n = 0; n < 100_000; n++) {
      prefixes.exports.forget(4);
      if (n % 17 === 0) prefixes.insert(4);
      if (n % 1_000 !== 0) continue;
      prefixes.exports.forget(4);
      prefixes.exports.match();
      expect(prefixes.exports.matched(4), `time ${n}`).toBe(0);
    }
    expect(prefixes.exports.matched(3)).toBe(3);
  });
});

describe("when its memory is full", () => {
  test.each([8, 40, 300, 2_000])("with %d endpoints: nothing is held twice, counts are exact", async (ids) => {
    const universe = 1_000;
    const prefixes = await Prefixes.open(TINY, ids);
    const random = randomOf(400_000 + ids);
    // More than the share: buckets overflow and rows run out.
    prefixes.exports.setShare(1);
    for (let id = 0; id < ids; id += 2) prefixes.exports.setCapacity(id, 100 + random(400));
    for (let step = 0; step < 600; step++) {
      const first = random(universe - 100);
      prefixes.chainOfBlocks(blocksFrom(first, 1 + random(100)).map((block) => [block]));
      const id = random(ids);
      prefixes.insert(id);
      if (random(50) === 0) prefixes.exports.forget(random(ids));
      if (step % 20 !== 0) continue;
      const live = livePairs(prefixes, universe, ids);
      expect(sum(live), `PREFIX_SEED=${SEED} step ${step}`).toBe(prefixes.exports.pairs());
    }
  });

  test("rows that are no more needed are used again", async () => {
    const prefixes = await Prefixes.open(TINY, 1_000);
    for (let turn = 0; turn < 50; turn++) {
      const prompt = blocksFrom(turn * 100, 4);
      for (let id = 0; id < 100; id++) {
        prefixes.chainOfBlocks([prompt]);
        prefixes.insert(id);
      }
      prefixes.exports.match();
      const holders = Array.from({ length: 100 }, (_, id) => prefixes.exports.matched(id));
      expect(sum(holders), `turn ${turn}`).toBe(400);
      for (let id = 0; id < 100; id++) prefixes.exports.forget(id);
    }
  });

  test("rows that became free are used again when they have become wider and fewer", async () => {
    const prefixes = await Prefixes.open(TINY, 32);
    const { exports } = prefixes;
    exports.setShare(1);
    const hold = (first: number) => {
      prefixes.chainOfBlocks(blocksFrom(first, 400).map((block) => [block]));
      for (let id = 0; id < 6; id++) prefixes.insert(id);
    };
    hold(0);
    for (let id = 0; id < 6; id++) exports.forget(id);
    // Two sweeps: in turn, each of two hashes pushes the other out.
    exports.setCapacity(31, 1);
    for (let n = 0; n < 40; n++)
      prefixes.learn(
        31,
        Array.from({ length: 500 }, (_, k) => BigInt(k % 2)),
      );
    for (const ids of [40, 100, 900, IDS_MAX]) {
      exports.setEndpoints(ids);
      hold(ids * 1_000);
      const live = livePairs(prefixes, 400, ids);
      expect(sum(live), `${ids} endpoints`).toBe(0);
      prefixes.chainOfBlocks(blocksFrom(ids * 1_000, 400).map((block) => [block]));
      exports.match();
      const held = Array.from({ length: 6 }, (_, id) => exports.matched(id));
      // Where no row is left, 4 of 6 endpoints are remembered, if not too many hashes share a bucket.
      expect(sum(held), `${ids} endpoints`).toBeGreaterThanOrEqual(0.98 * 4 * 400);
      for (let id = 0; id < 6; id++) exports.forget(id);
      expect(exports.pairs()).toBe(1);
    }
  });
});

describe("whatever is asked of it", () => {
  test("it does nothing before it is open", async () => {
    const prefixes = await Prefixes.build();
    const { exports } = prefixes;
    exports.setEndpoints(4);
    exports.setShare(4);
    exports.setCapacity(1, 100);
    exports.forget(1);
    prefixes.chainOfBlocks([[1, 2]]);
    expect(prefixes.insert(1)).toEqual([]);
    prefixes.learn(1, [1n]);
    exports.match();
    expect([exports.matched(1), exports.pairs(), exports.bytes()]).toEqual([0, 0, 0]);
    expect([exports.open(0), exports.open(1_000)]).toEqual([0, 0]);
    expect([exports.open(TINY), exports.open(64 * MIB), exports.bytes()]).toEqual([1, 1, TINY]);
    expect(prefixes.insert(1)).toHaveLength(2);
  });

  test("it knows nothing of ids that are not in use", async () => {
    const prefixes = await Prefixes.open(TINY, 4);
    const { exports } = prefixes;
    prefixes.chainOfBlocks([[1, 2]]);
    for (const id of [4, IDS_MAX - 1, IDS_MAX, 0xffff, 0xffff_ffff]) {
      exports.setCapacity(id, 10);
      exports.forget(id);
      expect(prefixes.insert(id)).toEqual([]);
      prefixes.learn(id, [0n, 1n, (1n << 64n) - 1n]);
      exports.match();
      expect(exports.matched(id)).toBe(0);
    }
    exports.setEndpoints(0xffff_ffff);
    exports.setShare(0);
    exports.setShare(0xffff_ffff);
    prefixes.insert(3);
    prefixes.learn(3, [5n, 6n]);
    expect(exports.pairs()).toBe(0);
  });

  test("1,000,000 operations leave its memory as it was", async () => {
    const prefixes = await Prefixes.open(4 * MIB, 64);
    const { exports } = prefixes;
    const bytes = exports.memory.buffer.byteLength;
    const random = randomOf(500_000);
    for (let n = 0; n < 50_000; n++) {
      prefixes.chainOfBlocks([[random(2_000), random(10), n % 3_000]]);
      for (let k = 0; k < 5; k++) {
        const id = random(64);
        exports.match();
        exports.matched(id);
        exports.insert(id);
        exports.setCapacity(id, 1_000 + random(2));
      }
      if (n % 100 === 0) exports.forget(random(64));
    }
    expect(exports.memory.buffer.byteLength).toBe(bytes);
    expect(exports.bytes()).toBe(4 * MIB);
    expect(exports.pairs()).toBeGreaterThan(10_000);
  });
});
