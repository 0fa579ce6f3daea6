// A pool at work, far from saturated, with a program that admits as a cell wants it.

import { encodeMetrics, encodeTopology, type MetricsRow } from "../src/control/encode.ts";
import { type Admission, programOf } from "./flow-programs.ts";

export type Snapshot = { readonly topology: Buffer; readonly metrics: Buffer };

const EPOCH = 1;

/** What the agent would push for `count` endpoints of the pool `name`. */
export function snapshotOf(name: string, count: number, admission: Admission): Snapshot {
  const endpoints = Array.from({ length: count }, (_, i) => {
    return { address: `10.1.${i >> 8}.${i & 255}:8000`, pod: `server-${i}` };
  });
  const program = programOf(admission);
  const pools = [{ name, failureMode: "FailClose" as const, endpoints }];
  return {
    topology: encodeTopology({ epoch: EPOCH, pools, ...(program === undefined ? {} : { program }) }),
    metrics: encodeMetrics({ epoch: EPOCH, sequence: 1, rows: endpoints.map((_, i) => rowOf(i)) }),
  };
}

function rowOf(i: number): MetricsRow {
  const load = { waiting: i % 4 === 0 ? 1 : 0, running: 3, kvUsage: 0.3 + (i % 4) * 0.005 };
  return { ...load, blockSize: 16, blocks: 65_536, maxAdapters: undefined, ageMs: 0, intervalMs: 50, scrape: 1 };
}
