// Results as Markdown tables.

import type { AgentResult } from "./agent.ts";
import { ADDED_TARGETS_US, isWithFewEndpoints, isWithWarmPrompts, type StreamsCell, sizeName } from "./cells.ts";
import type { CostResult, SideCost } from "./cost.ts";
import { type FlowResult, flowTables } from "./flow-report.ts";
import { megabytes, section, signed, table, verdict } from "./markdown.ts";
import type { SideStreams, StreamsBuild, StreamsResult } from "./streams.ts";

export type Result = CostResult | StreamsResult | AgentResult | FlowResult;

/** All tables, for stdout. Only those with rows. */
export function tables(results: readonly Result[]): string {
  const allCosts = results.filter((result) => result.kind === "cost");
  const costs = allCosts.filter(({ cell }) => cell.admissions === undefined);
  const flowCosts = allCosts.filter(({ cell }) => cell.admissions !== undefined);
  const streams = results.filter((result) => result.kind === "streams");
  const agents = results.filter((result) => result.kind === "agent");
  const parts = [
    section("CPU per request, µs", cpuTable(costs, ["Envoy alone", "with the filter"])),
    section("What is added to that difference, µs", addedTable(costs)),
    section("CPU per request with flow control, µs", cpuTable(flowCosts, ["the default program", "as the name says"])),
    section("What the prefix index knew", knowledgeTable(allCosts)),
    section("Latency at a fixed rate, throughput, memory", latencyTable(allCosts)),
    ...flowTables(results),
    section("Open event streams", streamsTable(streams)),
    section("The agent", agentTable(agents)),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function cpuTable(costs: readonly CostResult[], [first, second]: readonly [string, string]): string {
  const head = ["cell", `${first}: min (median)`, second, "difference of minima", "median of pairs", "ratio", "target"];
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

const STREAMS_SIDE: Readonly<Record<StreamsBuild, string>> = {
  alone: "Envoy alone",
  lean: "with filter.wasm",
  usage: "with filter-usage.wasm",
};

function streamsTable(results: readonly StreamsResult[]): string {
  const head = [
    "streams",
    "side",
    "KB per stream",
    "RSS MB before, open, closed",
    "CPU µs per event: min (median)",
    "added",
    "target",
  ];
  const rows = results.flatMap(({ cell, sides }) =>
    sides.map((side, i) => [
      String(cell.streams),
      STREAMS_SIDE[side.build],
      (side.bytesPerStream / 1000).toFixed(1),
      side.residentBytes.map(megabytes).join(", "),
      `${side.cpuUsPerEvent.min.toFixed(1)} (${side.cpuUsPerEvent.median.toFixed(1)})`,
      ...(i === 0 ? ["", ""] : addedPerEvent(cell, sides, side)),
    ]),
  );
  return table(head, rows);
}

/** What a side adds to Envoy alone by minima, and whether that and its memory are within bounds. */
function addedPerEvent(
  { targetBytes, addedTargetUs }: StreamsCell,
  [alone]: readonly SideStreams[],
  side: SideStreams,
): readonly string[] {
  const added = side.cpuUsPerEvent.min - (alone?.cpuUsPerEvent.min ?? Number.NaN);
  const memory = verdict(targetBytes / 1000, side.bytesPerStream / 1000);
  return [signed(added), `KB ${memory}, µs ${verdict(addedTargetUs, added)}`];
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
