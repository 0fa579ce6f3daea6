// What the agent says of the workers: columns read in full, and the metrics made of them.

import { describe, expect, test } from "vitest";
import { fnv1a } from "../../src/control/hash.ts";
import { AgentMetrics } from "../../src/control/metrics.ts";
import { decodeReport, type Report } from "../../src/control/report.ts";
import { FLOW_DEFAULT } from "../../src/control/scheduling/flow.ts";
import type { EndpointView } from "../../src/control/snapshot.ts";
import * as r from "../../src/wire/report.ts";
import { reportBytes, reportOf } from "./report-bytes.ts";

const [A, B] = ["10.0.0.1:8000", "10.0.0.2:8000"] as const;

/** A column with each counter `base` more than the one before, an entry for A and B, and an adapter on B. */
function column(generation: number, base: number): Buffer {
  const adaptersAt = r.COLUMN_BYTES + 2 * r.ENTRY_BYTES;
  const bytes = Buffer.alloc(adaptersAt + r.ADAPTER_ENTRY_BYTES);
  bytes.writeBigUInt64LE(BigInt(generation), r.C_GENERATION);
  bytes.writeUInt32LE(2, r.C_ENTRY_COUNT);
  bytes.writeUInt32LE(1, r.C_ADAPTER_COUNT);
  const long = [r.C_REQUESTS, r.C_PICKS, r.C_BLOCKS, r.C_CACHED_BLOCKS, r.C_TOLD, r.C_LEARNED];
  for (const [n, at] of long.entries()) bytes.writeBigUInt64LE(BigInt(base * (n + 1)), at);
  const short = [r.C_INDEX_PAIRS, r.C_INDEX_KIB, r.C_TRUNCATED, r.C_UNLEARNED, r.C_MESSAGES, r.C_SLOWEST_US];
  for (const [n, at] of short.entries()) bytes.writeUInt32LE(base * (n + 11), at);
  bytes.writeBigUInt64LE(BigInt(base) * 1_000_000n, r.C_DELIVERY_NS);
  for (const [n, address] of [A, B].entries()) {
    const at = r.COLUMN_BYTES + n * r.ENTRY_BYTES;
    bytes.writeBigUInt64LE(fnv1a(address), at + r.N_ADDRESS_HASH);
    bytes.writeUInt32LE(base + n, at + r.N_IN_FLIGHT);
    bytes.writeUInt32LE(base * 100 + n, at + r.N_TOKENS);
  }
  bytes.writeBigUInt64LE(fnv1a(B), adaptersAt + r.A_ADDRESS_HASH);
  bytes.writeUInt32LE(base, adaptersAt + r.A_IN_FLIGHT);
  bytes.writeBigUInt64LE(fnv1a("sql-lora"), adaptersAt + r.A_ADAPTER_HASH);
  return bytes;
}

function report(...columns: readonly Buffer[]): Report {
  return reportOf(columns);
}

function metrics(): AgentMetrics {
  const unknown = { waiting: null, running: null, kvUsage: null, inFlight: null, metricsAgeMs: null };
  const views = [A, B].map((address) => ({ address, pod: "p", ...unknown }) as EndpointView);
  return new AgentMetrics({
    view: () => [{ namespace: "default", name: "llama", endpoints: views, objectives: {}, models: [] }],
    push: () => ({ sentEpoch: 0, appliedEpoch: 0, notReady: undefined }),
    documents: () => ({ wrong: 0, total: 0 }),
    flow: () => FLOW_DEFAULT,
  });
}

/** Value of a series on the agent's page; undefined when it is not there. */
async function series(of: AgentMetrics, name: string): Promise<number | undefined> {
  const line = (await of.page()).split("\n").find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

describe("a report", () => {
  test("is read whole, adapters and counters included", () => {
    expect(report(column(7, 1), column(8, 2)).workers).toMatchObject([
      { generation: 7n, blocks: 3, cachedBlocks: 4, told: 5, learned: 6, indexPairs: 11, indexBytes: 12 * 1024 },
      {
        generation: 8n,
        truncated: 26,
        unlearned: 28,
        messages: 30,
        slowestMs: 0.032,
        deliveryMs: 2,
        entries: [
          { hash: fnv1a(A), inFlight: 2, tokens: 200 },
          { hash: fnv1a(B), inFlight: 3, tokens: 201 },
        ],
        adapters: [{ hash: fnv1a(B), inFlight: 2, adapterHash: fnv1a("sql-lora") }],
      },
    ]);
  });

  test("is refused when cut short anywhere", () => {
    const bytes = reportBytes([column(7, 1), column(8, 2)]);
    for (let length = 0; length < bytes.length; ++length)
      expect(decodeReport(bytes.subarray(0, length)).ok).toBe(false);
  });
});

describe("metrics of the workers", () => {
  test("add up counters, and show the largest index", async () => {
    const of = metrics();
    of.reported(report(column(1, 1), column(2, 10)));
    expect(await series(of, "pointsman_prefix_indexer_blocks_total")).toBe(33);
    expect(await series(of, "pointsman_prefix_indexer_hit_blocks_total")).toBe(44);
    expect(await series(of, "pointsman_prompts_truncated_total")).toBe(143);
    expect(await series(of, "pointsman_worker_hashes_told_total")).toBe(55);
    expect(await series(of, "pointsman_worker_hashes_learned_total")).toBe(66);
    expect(await series(of, "pointsman_worker_hashes_lost_total")).toBe(154);
    expect(await series(of, "pointsman_worker_messages_total")).toBe(165);
    expect(await series(of, "pointsman_worker_message_seconds_total")).toBeCloseTo(0.011);
    expect(await series(of, "pointsman_prefix_indexer_size")).toBe(110);
    expect(await series(of, "pointsman_prefix_indexer_bytes")).toBe(120 * 1024);
    expect(await series(of, "pointsman_worker_message_slowest_seconds")).toBeCloseTo(160e-6);
  });

  test("never fall back: not when a worker ends, nor when it was silent, nor with another proxy", async () => {
    const of = metrics();
    const blocks = () => series(of, "pointsman_prefix_indexer_blocks_total");
    of.reported(report(column(1, 10), column(2, 10)));
    of.reported(report(column(1, 20)));
    expect(await blocks()).toBe(90);
    of.reported(undefined);
    expect(await blocks()).toBe(90);
    of.reported(report(column(1, 20), column(2, 11)));
    expect(await blocks()).toBe(93);
    // Another proxy numbers its workers from 1 again.
    of.reported(report(column(1, 2)));
    expect(await blocks()).toBe(99);
  });

  test("show tokens in flight of each endpoint, over all workers; none while the proxy is lost", async () => {
    const of = metrics();
    const tokens = (address: string) =>
      series(of, `pointsman_endpoint_inflight_tokens{pool="default/llama",endpoint="${address}",pod="p"}`);
    of.reported(report(column(1, 1), column(2, 2)));
    expect([await tokens(A), await tokens(B)]).toEqual([300, 302]);
    of.reported(undefined);
    expect(await tokens(A)).toBeUndefined();
  });
});
