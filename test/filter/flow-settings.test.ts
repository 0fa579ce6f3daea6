// What the filter makes of the flow-control part of a program: which band counts, and where a priority stops.

import { beforeAll, describe, expect, test } from "vitest";
import { Heap } from "../../src/control/heap.ts";
import { compileConfig } from "../../src/control/scheduling/compile.ts";
import * as agent from "../../src/control/scheduling/encode-program.ts";
import { loading } from "../control/scheduling/documents.ts";
import { compileEntry } from "../host/compile.ts";
import { encodeFlow, type FlowSpec } from "../host/flow.ts";
import { encodeProgram } from "../host/program.ts";

interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  bufferPointer(): number;
  take(length: number, heapLength: number): number;
  takeDefaults(): void;
  flowPointer(): number;
  flowBytes(): number;
  bandOf(priority: number): number;
  ceilingOf(priority: number): number;
}

const HEAP_BYTES = 1_000;

let filter: Exports;

beforeAll(async () => {
  const module = await compileEntry("assembly/test/flow.ts");
  const env = new Proxy({}, { get: () => () => 0 });
  const imports = new Proxy({}, { get: () => env });
  filter = new WebAssembly.Instance(module, imports).exports as unknown as Exports;
  filter._initialize();
});

function take(flow: FlowSpec): void {
  put(encodeProgram({ profiles: [{}], flow }, () => [0, 0]));
}

function put(program: Buffer): void {
  new Uint8Array(filter.memory.buffer, filter.bufferPointer()).set(program);
  expect(filter.take(program.length, HEAP_BYTES)).toBe(1);
}

function flowInForce(): Buffer {
  return Buffer.from(filter.memory.buffer, filter.flowPointer(), filter.flowBytes());
}

test("a program that says nothing of flow control has its defaults", () => {
  filter.takeDefaults();
  expect(flowInForce().equals(encodeFlow({}))).toBe(true);
});

test("a program that says something is read where it stands", () => {
  const flow: FlowSpec = { queues: true, ttlMs: 5, bands: [{ priority: 3, maxRequests: 7 }] };
  take(flow);
  expect(flowInForce().equals(encodeFlow(flow))).toBe(true);
});

test("a program that the agent compiled is taken", () => {
  const compiled = compileConfig(loading("queues-by-priority"));
  if (!compiled.ok) throw new Error(compiled.errors[0]?.message);
  put(agent.encodeProgram(compiled.scheduling.program, new Heap()));
  expect(filter.ceilingOf(100)).toBe(0.9);
  expect(filter.bandOf(5)).toBe(3);
});

describe("the band that counts", () => {
  const bands = [7, 5, 0, -3, -2_147_483_648].map((priority) => ({ priority }));

  test.each(bands.map(({ priority }, n) => [priority, 2 + n]))("for %i is its own", (priority, n) => {
    take({ bands });
    expect(filter.bandOf(priority)).toBe(n);
  });

  test.each([
    [2_147_483_647, 0],
    [6, 0],
    [1, 0],
    [-1, 1],
    [-4, 1],
  ])("for %i, which has none, is the default of its sign", (priority, n) => {
    take({ bands });
    expect(filter.bandOf(priority)).toBe(n);
  });

  test("is a default one where no priority has its own", () => {
    take({});
    expect([1, 0, -1].map((priority) => filter.bandOf(priority))).toEqual([0, 0, 1]);
  });

  test("is found among as many as there can be", () => {
    take({ bands: Array.from({ length: 64 }, (_, n) => ({ priority: 2 * n })) });
    expect([0, 2, 62, 124, 126, 63].map((priority) => filter.bandOf(priority))).toEqual([65, 64, 34, 3, 2, 0]);
  });
});

describe("the saturation at which a priority stops", () => {
  const ceilings = (priorities: readonly number[]) =>
    priorities.map((priority) => Number(filter.ceilingOf(priority).toFixed(6)));
  const bands = [10, 0, -10, -90].map((priority) => ({ priority }));
  const usage = { type: "priority-holdback-policy", minCeiling: 0.4, maxCeiling: 0.9 } as const;

  test("is 1 by default, the same for all", () => {
    filter.takeDefaults();
    expect(ceilings([5, 0, -5])).toEqual([1, 1, 1]);
  });

  test("is the one of the static policy, the same for all", () => {
    take({ bands, usage: { type: "static-usage-limit-policy", ceiling: 0.7 } });
    expect(ceilings([10, 0, -90])).toEqual([0.7, 0.7, 0.7]);
  });

  test("falls evenly from band to band by rank", () => {
    take({ bands, usage });
    expect(ceilings([10, 0, -10, -90])).toEqual([0.9, 0.733333, 0.566667, 0.4]);
  });

  test("falls with the priority by value", () => {
    take({ bands, usage: { ...usage, domain: "value" } });
    expect(ceilings([10, 0, -10, -90])).toEqual([0.9, 0.85, 0.8, 0.4]);
  });

  test("without a band of its own is that of the next lower one by rank, never out of bounds", () => {
    take({ bands, usage });
    expect(ceilings([2_147_483_647, 5, -1, -100])).toEqual([0.9, 0.733333, 0.566667, 0.4]);
  });

  test("without a band of its own is in between by value, never out of bounds", () => {
    take({ bands, usage: { ...usage, domain: "value" } });
    expect(ceilings([2_147_483_647, -40, -2_147_483_648])).toEqual([0.9, 0.65, 0.4]);
  });

  test("does not overflow between the farthest priorities", () => {
    const farthest = [{ priority: 2_147_483_647 }, { priority: -2_147_483_648 }];
    take({ bands: farthest, usage: { ...usage, domain: "value" } });
    expect(ceilings([2_147_483_647, 0, -2_147_483_648])).toEqual([0.9, 0.65, 0.4]);
  });

  test.each(["rank", "value"] as const)("is the highest one where there is one band or none, by %s", (domain) => {
    for (const one of [[], [{ priority: 5 }]]) {
      take({ bands: one, usage: { ...usage, domain } });
      expect(ceilings([5, 0, -5])).toEqual([0.9, 0.9, 0.9]);
    }
  });
});
