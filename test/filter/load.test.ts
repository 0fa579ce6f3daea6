// Tokens and adapters in flight, as the workers count them: of each worker, and of all. FC_SEED=<number>
// tries other changes.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADAPTERS_IN_FLIGHT_MAX, HEARTBEAT_MS, WORKER_LOST_MS } from "../../src/wire/limits.ts";
import { COMPILE_MS, Sharing, SharingBuild, type SharingWorker } from "./sharing.ts";

let build: SharingBuild;
beforeAll(async () => {
  build = await SharingBuild.make();
}, COMPILE_MS);
afterAll(() => build.remove());

/** Every worker has told what it has, and heard of the others. */
function settled(sharing: Sharing): SharingWorker[] {
  sharing.advance(2 * HEARTBEAT_MS);
  return sharing.workers;
}

describe("tokens in flight", () => {
  test("are those of all workers, and are taken back", () => {
    const sharing = new Sharing(build, 3);
    const [first, second] = sharing.workers;
    first!.do("addTokens", 4, 1_000);
    second!.do("addTokens", 4, 30);
    second!.do("addTokens", 5, 7);
    expect(settled(sharing).map((worker) => worker.do("tokens", 4))).toEqual([1_030, 1_030, 1_030]);
    expect(first!.column().entries.map(({ tokens }) => tokens)).toEqual([1_000]);
    second!.do("removeTokens", 4, 30);
    expect(settled(sharing).map((worker) => worker.do("tokens", 4))).toEqual([1_000, 1_000, 1_000]);
    expect(sharing.workers.map((worker) => worker.do("tokens", 5))).toEqual([7, 7, 7]);
  });

  test("beyond 32 bits are not counted, and what was counted can be taken back", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    expect(first!.do("addTokens", 1, 0xffff_fff0)).toBe(0xffff_fff0 | 0);
    expect(first!.do("addTokens", 1, 100)).toBe(15);
    second!.do("addTokens", 1, 100);
    expect(settled(sharing).map((worker) => worker.do("tokens", 1))).toEqual([0xffff_ffff + 100, 0xffff_ffff + 100]);
    first!.do("removeTokens", 1, 15);
    first!.do("removeTokens", 1, 0xffff_fff0);
    expect(settled(sharing).map((worker) => worker.do("tokens", 1))).toEqual([100, 100]);
  });
});

describe("adapters in flight", () => {
  test("are those of all workers, per endpoint", () => {
    const sharing = new Sharing(build, 3);
    const [first, second] = sharing.workers;
    first!.do("addAdapter", 1, 77);
    first!.do("addAdapter", 1, 77);
    first!.do("addAdapter", 2, 77);
    second!.do("addAdapter", 1, 77);
    second!.do("addAdapter", 1, 78);
    const counts = (worker: SharingWorker) =>
      [
        [1, 77],
        [1, 78],
        [2, 77],
        [2, 78],
      ].map(([endpoint, adapter]) => worker.do("adapterCount", endpoint!, adapter!));
    expect(settled(sharing).map(counts)).toEqual([
      [3, 1, 1, 0],
      [3, 1, 1, 0],
      [3, 1, 1, 0],
    ]);
    expect(first!.column().adapters.map(({ inFlight }) => inFlight)).toEqual([2, 1]);
    for (const worker of sharing.workers) expect(listed(worker, 1)).toEqual({ count: 2, sum: 155 });
    second!.do("removeAdapter", 1, 78);
    first!.do("removeAdapter", 1, 77);
    expect(settled(sharing).map(counts)).toEqual([
      [2, 0, 1, 0],
      [2, 0, 1, 0],
      [2, 0, 1, 0],
    ]);
    for (const worker of sharing.workers) expect(listed(worker, 1)).toEqual({ count: 1, sum: 77 });
    expect(sharing.workers.map((worker) => worker.do("adaptersLive"))).toEqual([2, 2, 2]);
  });

  test("of others are not taken away by a worker that could not count its own", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    second!.do("addAdapter", 1, 77);
    first!.do("addTokens", 1, 0);
    settled(sharing);
    first!.do("removeAdapter", 1, 77);
    expect(settled(sharing).map((worker) => worker.do("adapterCount", 1, 77))).toEqual([1, 1]);
    expect(first!.column().adapters).toEqual([]);
  });

  test("of a lost worker count no more", () => {
    const sharing = new Sharing(build, 2);
    const [first, lost] = sharing.workers;
    lost!.do("addAdapter", 1, 77);
    lost!.do("addTokens", 2, 5);
    settled(sharing);
    expect([first!.do("adapterCount", 1, 77), first!.do("tokens", 2)]).toEqual([1, 5]);
    lost!.vm.frozen = true;
    sharing.advance(WORKER_LOST_MS + 2 * HEARTBEAT_MS);
    expect([first!.do("adapterCount", 1, 77), first!.do("tokens", 2), first!.do("adaptersLive")]).toEqual([0, 0, 0]);
  });

  test("of an endpoint that left are not those of the one that takes its place", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    second!.do("addAdapter", 1, 77);
    second!.do("addTokens", 2, 5);
    settled(sharing);
    first!.do("topology", 100, 8);
    first!.do("topology", 200, 8);
    settled(sharing);
    const others = Array.from({ length: 8 }, (_, n) => 200 + n);
    expect(others.map((endpoint) => first!.do("adapterCount", endpoint, 77))).toEqual(others.map(() => 0));
    expect(others.map((endpoint) => first!.do("tokens", endpoint))).toEqual(others.map(() => 0));
    expect(first!.do("adaptersLive")).toBe(0);
  });

  test("more than there is room for are not counted; nothing leaks, nothing goes below zero", () => {
    const sharing = new Sharing(build, 1);
    const [worker] = sharing.workers;
    for (let n = 1; n <= 12_000; n++) worker!.do("addAdapter", 1 + (n % 8), n);
    expect(worker!.do("adaptersLive")).toBe(ADAPTERS_IN_FLIGHT_MAX);
    settled(sharing);
    expect(worker!.column().adapters).toHaveLength(ADAPTERS_IN_FLIGHT_MAX);
    for (let n = 1; n <= 12_000; n++) worker!.do("removeAdapter", 1 + (n % 8), n);
    expect(worker!.do("adaptersLive")).toBe(0);
    for (let endpoint = 1; endpoint <= 8; endpoint++) expect(listed(worker!, endpoint)).toEqual({ count: 0, sum: 0 });
  });

  test("a million changes agree with a plain count of them, and leave memory as it was", () => {
    const seed = Number(process.env.FC_SEED ?? 42);
    const sharing = new Sharing(build, 1);
    const [worker] = sharing.workers;
    const before = worker!.vm.memory.byteLength;
    const counts = new Map<number, number>();
    let state = seed;
    const below = (limit: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    for (let n = 0; n < 1_000_000; n++) {
      const endpoint = 1 + below(8);
      const adapter = 1 + below(600);
      const key = endpoint * 1_000 + adapter;
      const count = counts.get(key) ?? 0;
      if (count === 0 || below(2) === 0) {
        worker!.do("addAdapter", endpoint, adapter);
        counts.set(key, count + 1);
      } else {
        worker!.do("removeAdapter", endpoint, adapter);
        if (count === 1) counts.delete(key);
        else counts.set(key, count - 1);
      }
    }
    const wrong = Array.from({ length: 8_600 }, (_, n) => n + 1_000).filter(
      (key) =>
        key % 1_000 > 0 && worker!.do("adapterCount", Math.floor(key / 1_000), key % 1_000) !== (counts.get(key) ?? 0),
    );
    expect(wrong, `FC_SEED=${seed}`).toEqual([]);
    expect(worker!.do("adaptersLive"), `FC_SEED=${seed}`).toBe(counts.size);
    expect(worker!.vm.memory.byteLength).toBe(before);
  });
});

/** How many adapters an endpoint's list has, and the sum of their hashes. */
function listed(worker: SharingWorker, endpoint: number): { count: number; sum: number } {
  const packed = worker.do("adapterList", endpoint);
  return { count: Math.floor(packed / 2 ** 32), sum: packed % 2 ** 32 };
}
