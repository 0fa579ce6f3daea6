// Results as Markdown tables.

import type { AgentResult } from "./agent.ts";
import { ADDED_TARGETS_US, isWithFewEndpoints, isWithWarmPrompts, sizeName } from "./cells.ts";
import type { CostResult, SideCost } from "./cost.ts";
import type { StreamsResult } from "./streams.ts";

export type Result = CostResult | StreamsResult | AgentResult;

/** All tables, for stdout. Only those with rows. */
export function tables(results: readonly Result[]): string {
  const costs = results.filter((result) => result.kind === "cost");
  const streams = results.filter((result) => result.kind === "streams");
  const agents = results.filter((result) => result.kind === "agent");
  const parts = [
    section("CPU per request, µs", cpuTable(costs)),
    section("What is added to that difference, µs", addedTable(costs)),
    section("What the prefix index knew", knowledgeTable(costs)),
    section("Latency at a fixed rate, throughput, memory", latencyTable(costs)),
    section("Open event streams", streamsTable(streams)),
    section("The agent", agentTable(agents)),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function section(title: string, body: string): string {
  return body === "" ? "" : `### ${title}\n\n${body}`;
}

/** "" when there are no rows. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
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
      result.cell.targetUs === undefined ? "" : verdict(result.cell.targetUs, min),
    ];
  });
  return table(head, rows);
}

/** What the filter costs more with many endpoints than with few, and with new prompts than with cached ones. */
function addedTable(costs: readonly CostResult[]): string {
  const rows = costs.flatMap((result) => {
    const { cell } = result;
    const few = costs.find((other) => isWithFewEndpoints(other.cell, cell));
    const warm = costs.find((other) => isWithWarmPrompts(other.cell, cell));
    if (few !== undefined && few !== result) return [addedRow(result, few, ADDED_TARGETS_US[cell.endpoints])];
    return cell.prompts === "cold" && warm !== undefined ? [addedRow(result, warm, undefined)] : [];
  });
  return table(["cell", "over", "by minima", "by medians of pairs", "target"], rows);
}

function addedRow(more: CostResult, less: CostResult, target: number | undefined): readonly string[] {
  const min = more.differenceUs.min - less.differenceUs.min;
  const median = more.differenceUs.median - less.differenceUs.median;
  return [
    more.cell.name,
    less.cell.name,
    signed(min),
    signed(median),
    target === undefined ? "" : verdict(target, min),
  ];
}

function knowledgeTable(costs: readonly CostResult[]): string {
  const head = [
    "cell",
    "bodies",
    "endpoints used in a slice",
    "blocks from cache",
    "pairs",
    "told, heard per request",
    "lost",
    "ms on the way: mean (longest)",
  ];
  const rows = costs.flatMap(({ cell, sides, distinct, knowledge }) => {
    if (knowledge === undefined) return [];
    const { cachedShare, indexPairs, toldPerPick, learnedPerPick, unlearned, deliveryMs, slowestMs } = knowledge;
    return [
      [
        cell.name,
        cell.prompts === "cold" ? "new" : String(distinct),
        `${sides[0].endpointsServed.toFixed(0)} → ${sides[1].endpointsServed.toFixed(0)} of ${cell.endpoints}`,
        `${(cachedShare * 100).toFixed(1)} %`,
        String(indexPairs),
        `${toldPerPick.toFixed(2)}, ${learnedPerPick.toFixed(2)}`,
        String(unlearned),
        deliveryMs === null ? "" : `${deliveryMs.toFixed(2)} (${slowestMs.toFixed(1)})`,
      ],
    ];
  });
  return table(head, rows);
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
