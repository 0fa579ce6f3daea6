// Results as Markdown tables.

import type { AgentResult } from "./agent.ts";
import { MANY_ENDPOINTS_US, sizeName } from "./cells.ts";
import type { CostResult, SideCost } from "./cost.ts";
import type { StreamsResult } from "./streams.ts";

export type Result = CostResult | StreamsResult | AgentResult;

/** All tables, for stdout. Only those with rows. */
export function tables(results: readonly Result[]): string {
  const costs = results.filter((result) => result.kind === "cost");
  const streams = results.filter((result) => result.kind === "streams");
  const agents = results.filter((result) => result.kind === "agent");
  const parts = [
    costs.length > 0 ? `### CPU per request, µs\n\n${cpuTable(costs)}` : "",
    costs.length > 0 ? `### Latency at a fixed rate, throughput, memory\n\n${latencyTable(costs)}` : "",
    streams.length > 0 ? `### Open event streams\n\n${streamsTable(streams)}` : "",
    agents.length > 0 ? `### The agent\n\n${agentTable(agents)}` : "",
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = line(head.map((_, i) => (i === 0 ? "---" : "---:")));
  return [line(head), rule, ...rows.map(line)].join("\n");
}

function cpuTable(costs: readonly CostResult[]): string {
  const head = [
    "cell",
    "Envoy alone: min (median)",
    "with the filter",
    "difference of minima",
    "median of pairs",
    "ratio",
    "target",
  ];
  const rows = costs.map((result) => {
    const [first, second] = result.sides;
    const { min, median, middleHalf } = result.differenceUs;
    return [
      result.cell.name,
      `${first.cpuUs.min.toFixed(1)} (${first.cpuUs.median.toFixed(1)})`,
      `${second.cpuUs.min.toFixed(1)} (${second.cpuUs.median.toFixed(1)})`,
      signed(min),
      `${signed(median)} ± ${(middleHalf / 2).toFixed(1)}`,
      (second.cpuUs.min / first.cpuUs.min).toFixed(2),
      costTarget(result, costs),
    ];
  });
  return table(head, rows);
}

/** "≤ 12: met", from the cell's own target or, with many endpoints, from the same cell with few. */
function costTarget(result: CostResult, all: readonly CostResult[]): string {
  const { cell, differenceUs } = result;
  if (cell.targetUs !== undefined) return verdict(cell.targetUs, differenceUs.min);
  if (cell.endpoints !== 1000) return "";
  const few = all.find(
    (other) =>
      other.cell.endpoints === 8 &&
      other.cell.second === "filter" &&
      other.cell.bodyBytes === cell.bodyBytes &&
      other.cell.workers === cell.workers,
  );
  return few === undefined ? "" : verdict(few.differenceUs.min + MANY_ENDPOINTS_US, differenceUs.min);
}

function verdict(limit: number, value: number, digits = 1): string {
  return `≤ ${limit.toFixed(digits)}: ${value <= limit ? "met" : "**missed**"}`;
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}

function latencyTable(costs: readonly CostResult[]): string {
  const head = ["cell", "rate /s", "p50 ms", "p99 ms", "CPU µs at that rate", "closed loop /s", "RSS MB"];
  const rows = costs.map(({ cell, sides, ratePerS }) => {
    const both = (show: (side: SideCost) => string) => `${show(sides[0])} → ${show(sides[1])}`;
    return [
      cell.name,
      String(ratePerS),
      both(({ p50Us }) => (p50Us / 1000).toFixed(2)),
      both(({ p99Us }) => (p99Us / 1000).toFixed(2)),
      both(({ pacedCpuUs }) => pacedCpuUs.min.toFixed(0)),
      both(({ throughputPerS }) => throughputPerS.max.toFixed(0)),
      both(({ residentBytes }) => megabytes(residentBytes)),
    ];
  });
  return table(head, rows);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

function streamsTable(results: readonly StreamsResult[]): string {
  const head = ["streams", "side", "KB per stream", "RSS MB before, open, closed", "CPU µs per event", "target KB"];
  const rows = results.flatMap(({ cell, sides }) =>
    sides.map((side, i) => [
      String(cell.streams),
      i === 0 ? "Envoy alone" : "with the filter",
      (side.bytesPerStream / 1000).toFixed(1),
      side.residentBytes.map(megabytes).join(", "),
      side.cpuUsPerEvent.toFixed(1),
      i === 0 ? "" : verdict(cell.targetBytes / 1000, side.bytesPerStream / 1000),
    ]),
  );
  return table(head, rows);
}

function agentTable(results: readonly AgentResult[]): string {
  const head = [
    "cell",
    "endpoints",
    "scrapes /s each",
    "page",
    "cores: median (max)",
    "Envoy beside it",
    "RSS MB",
    "target",
  ];
  const rows = results.map(({ cell, cores, envoyCores, scrapesPerS, residentBytes }) => [
    cell.name,
    String(cell.endpoints),
    scrapesPerS.median.toFixed(1),
    sizeName(Math.round(cell.metricsBytes / 1024) * 1024),
    `${cores.median.toFixed(3)} (${cores.max.toFixed(3)})`,
    envoyCores.median.toFixed(3),
    megabytes(residentBytes),
    verdict(cell.targetCores, cores.median, 2),
  ]);
  return table(head, rows);
}
