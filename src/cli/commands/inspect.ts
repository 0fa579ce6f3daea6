// `pointsman inspect`: a snapshot as a table, from a file or from the control socket of a live Envoy.

import { readFileSync, statSync } from "node:fs";
import { decodeSnapshot, type SnapshotBlob } from "../../control/decode.ts";
import type { Metrics, MetricsRow, Topology } from "../../control/encode.ts";
import { fnv1a } from "../../control/hash.ts";
import type { Report } from "../../control/report.ts";
import { PATH_METRICS, PATH_TOPOLOGY } from "../../wire/names.ts";
import { fetchDecoded, fetchReport } from "../control-socket.ts";
import { UsageError } from "../flags.ts";
import type { Runnable } from "../main.ts";
import { modelsTables } from "../models-table.ts";
import { programTable } from "../program-table.ts";
import { table } from "../table.ts";

const NS_PER_MS = 1_000_000n;

export const command: Runnable<Record<never, never>> = {
  name: "inspect",
  summary: "a snapshot as a table: a file of its bytes, or what is in force behind a control socket",
  operands: ["FILE|SOCKET"],
  flags: {},
  run: async (_flags, [path = ""]) => {
    const isSocket = statOf(path).isSocket();
    process.stdout.write(isSocket ? await inspectSocket(path) : inspectFile(path));
    return 0;
  },
};

function statOf(path: string): { isSocket(): boolean } {
  try {
    return statSync(path);
  } catch (error) {
    throw new UsageError(`pointsman inspect: ${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function inspectFile(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new UsageError(`pointsman inspect: ${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const decoded = decodeSnapshot(bytes);
  if (!decoded.ok) throw new UsageError(`pointsman inspect: ${path}: no snapshot: ${decoded.error.message}`);
  const blob = decoded.value;
  const title = `${blob.kind}, format ${blob.format}, ${bytes.length} bytes`;
  return blob.kind === "topology"
    ? `${title}, epoch ${blob.topology.epoch}\n\n${topologyTables(blob.topology)}`
    : `${title}, epoch ${blob.metrics.epoch}, sequence ${blob.metrics.sequence}\n\n${metricsTable(blob.metrics)}`;
}

async function inspectSocket(path: string): Promise<string> {
  const report = await fetchReport(path);
  const topology = await fetchDecoded(path, PATH_TOPOLOGY, decodeSnapshot);
  const metrics = await fetchDecoded(path, PATH_METRICS, decodeSnapshot);
  if (topology?.kind !== "topology") return `no topology yet\n\n${workerTable(report)}`;
  const rows = metrics?.kind === "metrics" && metrics.metrics.epoch === topology.topology.epoch ? metrics : undefined;
  const state = rows === undefined ? "no metrics" : `metrics sequence ${rows.metrics.sequence}`;
  return [
    `epoch ${topology.topology.epoch}, ${state}, format ${topology.format}\n`,
    endpointTable(topology.topology, rows, report),
    ...rulesTables(topology.topology),
    workerTable(report),
  ].join("\n");
}

type MetricsBlob = Extract<SnapshotBlob, { readonly kind: "metrics" }>;

function topologyTables(topology: Topology): string {
  return [endpointTable(topology, undefined, undefined), ...rulesTables(topology)].join("\n");
}

/** What requests are picked and rewritten by. */
function rulesTables({ program, pools }: Topology): readonly string[] {
  return [...modelsTables(pools), ...(program === undefined ? [] : [programTable(program)])];
}

/** One line per endpoint, in the order of the snapshot. */
function endpointTable(topology: Topology, metrics: MetricsBlob | undefined, report: Report | undefined): string {
  const onWayMs = metrics === undefined || report === undefined ? 0 : ageMs(report.nowNs, metrics.receivedNs);
  let row = 0;
  const rows = topology.pools.flatMap((pool) =>
    pool.endpoints.map((endpoint) => {
      const figures = metrics?.metrics.rows[row++];
      return [
        pool.name,
        endpoint.address,
        endpoint.pod,
        ...(figures === undefined ? [] : metricsCells(figures, onWayMs)),
        ...(report === undefined ? [] : workerCells(report, fnv1a(endpoint.address))),
      ];
    }),
  );
  const empty = topology.pools.filter((pool) => pool.endpoints.length === 0).map((pool) => [pool.name, "no endpoint"]);
  const head = [
    "POOL",
    "ENDPOINT",
    "POD",
    ...(metrics === undefined ? [] : METRICS_HEAD),
    ...(report === undefined ? [] : ["IN-FLIGHT", "FAILURES"]),
  ];
  return table(head, [...rows, ...empty]);
}

function metricsTable(metrics: Metrics): string {
  return table(
    ["ROW", ...METRICS_HEAD],
    metrics.rows.map((row, index) => [String(index), ...metricsCells(row, 0)]),
  );
}

const METRICS_HEAD = ["WAITING", "RUNNING", "KV", "AGE-MS", "EVERY-MS", "SCRAPES", "BLOCK", "BLOCKS", "ADAPTERS"];

function metricsCells(row: MetricsRow, onWayMs: number): readonly string[] {
  return [
    number(row.waiting),
    number(row.running),
    row.kvUsage === undefined ? "-" : row.kvUsage.toFixed(3),
    row.ageMs === undefined ? "-" : number(row.ageMs + onWayMs),
    number(row.intervalMs),
    number(row.scrape),
    number(row.blockSize),
    number(row.blocks),
    number(row.maxAdapters),
  ];
}

/** In flight over all workers, and the longest row of failures that one of them has seen. */
function workerCells(report: Report, hash: bigint): readonly string[] {
  const entries = report.workers.flatMap((worker) => worker.entries.filter((entry) => entry.hash === hash));
  const inFlight = entries.reduce((sum, entry) => sum + entry.inFlight, 0);
  return [String(inFlight), String(Math.max(0, ...entries.map((entry) => entry.failures)))];
}

function workerTable(report: Report): string {
  if (report.workers.length === 0) return "no worker has seen a request yet\n";
  return table(
    ["WORKER", "EPOCH", "SEQUENCE", "REQUESTS", "PICKS", "UNREAD", "SEEN-MS-AGO"],
    report.workers.map((worker) =>
      [
        ...[worker.slot, worker.topologyEpoch, worker.metricsSequence, worker.requests, worker.picks, worker.unread],
        ageMs(report.nowNs, worker.heartbeatNs),
      ].map(String),
    ),
  );
}

function ageMs(nowNs: bigint, thenNs: bigint): number {
  return nowNs > thenNs ? Number((nowNs - thenNs) / NS_PER_MS) : 0;
}

function number(value: number | undefined): string {
  return value === undefined ? "-" : String(Math.round(value * 1_000) / 1_000);
}
