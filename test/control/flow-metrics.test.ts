// What the agent says of requests that wait: bands of the workers' columns, added up, under the reference's names.

import { describe, expect, test } from "vitest";
import { fnv1a } from "../../src/control/hash.ts";
import { AgentMetrics } from "../../src/control/metrics.ts";
import type { Report } from "../../src/control/report.ts";
import { FLOW_DEFAULT } from "../../src/control/scheduling/flow.ts";
import type { EndpointView } from "../../src/control/snapshot.ts";
import * as r from "../../src/wire/report.ts";
import { reportOf } from "./report-bytes.ts";

type BandSpec = {
  readonly pool?: string;
  readonly priority: number;
  readonly waiting?: number;
  readonly bytes?: number;
  readonly outcomes?: Readonly<Record<number, number>>;
  /** How many waited so long, by the number of the bound. */
  readonly waited?: Readonly<Record<number, number>>;
  readonly waitedMs?: number;
};
type FlowSpec = { readonly fairness: string; readonly waiting: number; readonly priority: number };
type WorkerSpec = {
  readonly generation: number;
  readonly bands: readonly BandSpec[];
  readonly flows?: readonly FlowSpec[];
};

const POOL = "default/llama";

function bandBytes(spec: BandSpec): Buffer {
  const row = Buffer.alloc(r.BAND_ENTRY_BYTES);
  row.writeBigUInt64LE(fnv1a(spec.pool ?? POOL), r.Q_POOL);
  row.writeInt32LE(spec.priority, r.Q_PRIORITY);
  row.writeUInt32LE(spec.waiting ?? 0, r.Q_WAITING);
  row.writeBigUInt64LE(BigInt(spec.bytes ?? 0), r.Q_BYTES);
  row.writeBigUInt64LE(BigInt(spec.waitedMs ?? 0) * 1_000_000n, r.Q_WAITED_NS);
  for (const [n, count] of Object.entries(spec.outcomes ?? {})) row.writeUInt32LE(count, r.Q_OUTCOMES + Number(n) * 4);
  for (const [n, count] of Object.entries(spec.waited ?? {})) row.writeUInt32LE(count, r.Q_WAITED + Number(n) * 4);
  return row;
}

function flowBytes({ fairness, waiting, priority }: FlowSpec): Buffer {
  const row = Buffer.alloc(r.FLOW_ENTRY_BYTES);
  row.writeBigUInt64LE(fnv1a(POOL), r.F_POOL);
  row.writeInt32LE(priority, r.F_PRIORITY);
  row.writeUInt32LE(waiting, r.F_WAITING);
  row.writeBigUInt64LE(fairness === "" ? 0n : fnv1a(fairness), r.F_FAIRNESS);
  return row;
}

function report(...workers: readonly WorkerSpec[]): Report {
  const columns = workers.map(({ generation, bands, flows = [] }) => {
    const column = Buffer.alloc(r.COLUMN_BYTES);
    column.writeBigUInt64LE(BigInt(generation), r.C_GENERATION);
    column.writeUInt32LE(bands.length, r.C_BAND_COUNT);
    column.writeUInt32LE(flows.length, r.C_FLOW_COUNT);
    return Buffer.concat([column, ...bands.map(bandBytes), ...flows.map(flowBytes)]);
  });
  return reportOf(columns);
}

function metrics(): AgentMetrics {
  const endpoint = {
    address: "10.0.0.1:8000",
    pod: "p",
    waiting: 10,
    kvUsage: 0.4,
    running: 1,
    inFlight: 3,
    metricsAgeMs: 1,
  };
  return new AgentMetrics({
    view: () => [
      { namespace: "default", name: "llama", endpoints: [endpoint as EndpointView], objectives: {}, models: [] },
    ],
    push: () => ({ sentEpoch: 0, appliedEpoch: 0, notReady: undefined }),
    documents: () => ({ wrong: 0, total: 0 }),
    flow: () => FLOW_DEFAULT,
  });
}

async function lines(of: AgentMetrics, name: string): Promise<string[]> {
  const prefix = `llm_d_epp_flow_control_${name}`;
  const page = (await of.page()).split("\n").filter((line) => line.startsWith(prefix));
  return page.map((line) => line.slice(prefix.length)).toSorted();
}

describe("flow control on the agent's page", () => {
  test("adds up what waits on all workers, by priority and by fairness id", async () => {
    const of = metrics();
    const bands = [{ priority: 5, waiting: 3, bytes: 700 }];
    of.reported(
      report(
        { generation: 1, bands, flows: [{ fairness: "", waiting: 3, priority: 5 }] },
        {
          generation: 2,
          bands,
          flows: [
            { fairness: "", waiting: 2, priority: 5 },
            { fairness: "x", waiting: 1, priority: 5 },
          ],
        },
      ),
    );
    expect(await lines(of, "queue_size{")).toEqual([
      'fairness_id="default-flow",priority="5",inference_pool="llama"} 5',
      'fairness_id="other",priority="5",inference_pool="llama"} 1',
    ]);
    expect(await lines(of, "queue_bytes{")).toEqual(['priority="5",inference_pool="llama"} 1400']);
    expect(await lines(of, "capacity_utilization_requests{")).toEqual(['priority="5",inference_pool="llama"} 0.0012']);
  });

  test("counts outcomes once, over workers that end and begin anew, and what was lost with a worker", async () => {
    const of = metrics();
    const worker = (generation: number, later: number, waiting = 0): WorkerSpec => ({
      generation,
      bands: [{ priority: 0, waiting, outcomes: { [r.ADMITTED_AT_ONCE]: 4, [r.ADMITTED_LATER]: later } }],
    });
    of.reported(report(worker(1, 1), worker(2, 2, 7)));
    of.reported(report(worker(1, 3), worker(2, 2, 7)));
    of.reported(report(worker(1, 3)));
    of.reported(report(worker(1, 3), worker(3, 1)));
    expect(await lines(of, "requests_total{")).toEqual([
      'outcome="Dispatched",priority="0",inference_pool="llama"} 18',
      'outcome="Lost",priority="0",inference_pool="llama"} 7',
    ]);
  });

  test("takes back what was lost with a worker that was only silent", async () => {
    const of = metrics();
    const worker = { generation: 2, bands: [{ priority: 0, waiting: 7, outcomes: { [r.ADMITTED_LATER]: 1 } }] };
    of.reported(report(worker));
    of.reported(report());
    expect(await lines(of, "requests_total{")).toContain('outcome="Lost",priority="0",inference_pool="llama"} 7');
    of.reported(report(worker));
    expect(await lines(of, "requests_total{")).toEqual(['outcome="Dispatched",priority="0",inference_pool="llama"} 1']);
  });

  test("shows how long requests waited", async () => {
    const of = metrics();
    of.reported(report({ generation: 1, bands: [{ priority: 0, waited: { 0: 2, 3: 1, 15: 1 }, waitedMs: 61_020 }] }));
    const found = await lines(of, "request_queue_duration_seconds");
    const at = (rest: string) => found.find((line) => line.startsWith(rest))?.split(" ")[1];
    const band = 'priority="0",inference_pool="llama"';
    expect(at(`_bucket{${band},le="0.001"}`)).toBe("2");
    expect(at(`_bucket{${band},le="0.01"}`)).toBe("3");
    expect(at(`_bucket{${band},le="60"}`)).toBe("3");
    expect(at(`_bucket{${band},le="+Inf"}`)).toBe("4");
    expect(at(`_sum{${band}}`)).toBe("61.02");
    expect(at(`_count{${band}}`)).toBe("4");
  });

  test("tells how full a pool is, and nothing of pools that there are not", async () => {
    const of = metrics();
    of.reported(report({ generation: 1, bands: [{ pool: "default/gone", priority: 0, waiting: 1 }] }));
    expect(await lines(of, "pool_saturation{")).toEqual(['inference_pool="llama"} 2']);
    expect(await lines(of, "queue_bytes{")).toEqual([]);
  });
});
