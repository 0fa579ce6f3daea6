// What is measured, and what has to be reached.

export type CostCell = {
  readonly kind: "cost";
  readonly name: string;
  readonly bodyBytes: number;
  readonly endpoints: number;
  readonly workers: number;
  /** "alone" against "alone": what the method itself is off by. */
  readonly second: "filter" | "alone";
  /** CPU over Envoy alone, minimum against minimum. */
  readonly targetUs: number | undefined;
};

export type StreamsCell = {
  readonly kind: "streams";
  readonly name: string;
  readonly streams: number;
  /** Memory per stream over what the same Envoy held before. */
  readonly targetBytes: number;
};

export type AgentCell = {
  readonly kind: "agent";
  readonly name: string;
  readonly endpoints: number;
  /** Requests held open through the proxy, so that the agent scrapes at its shortest interval. */
  readonly streams: number;
  readonly metricsBytes: number;
  /** CPU of the agent's process, in cores. */
  readonly targetCores: number;
};

export type Cell = CostCell | StreamsCell | AgentCell;

/** How each body size is driven: closed-loop connections, and a rate far from saturation. */
export const DRIVE: Readonly<Record<number, { readonly connections: number; readonly ratePerS: number }>> = {
  1024: { connections: 32, ratePerS: 2_000 },
  16384: { connections: 32, ratePerS: 2_000 },
  131072: { connections: 32, ratePerS: 500 },
  1048576: { connections: 8, ratePerS: 100 },
};

/** Connections that paced requests may use: more than are ever under way. */
export const PACED_CONNECTIONS = 64;

const TARGETS_US: Readonly<Record<number, number>> = { 1024: 12, 16384: 16, 131072: 45, 1048576: 150 };
/** With 1000 endpoints the filter may cost this much more than with 8. */
export const MANY_ENDPOINTS_US = 15;
const ENDPOINT_COUNTS = [8, 100, 1000];
const WORKER_COUNTS = [1, 2];

/** "1KB", "1MB". */
export function sizeName(bytes: number): string {
  return bytes < 1_048_576 ? `${bytes / 1024}KB` : `${bytes / 1_048_576}MB`;
}

function cost(bodyBytes: number, endpoints: number, workers: number): CostCell {
  const targetUs = endpoints === 8 && workers === 1 ? TARGETS_US[bodyBytes] : undefined;
  const name = `${sizeName(bodyBytes)}-${endpoints}e-${workers}w`;
  return { kind: "cost", name, bodyBytes, endpoints, workers, second: "filter", targetUs };
}

/** Sizes together per Envoy configuration: cells next to each other share their two processes. */
export function allCells(): readonly Cell[] {
  const sizes = Object.keys(DRIVE).map(Number);
  const self: CostCell = { ...cost(1_024, 8, 1), name: "self", second: "alone", targetUs: undefined };
  const costs = WORKER_COUNTS.flatMap((workers) =>
    ENDPOINT_COUNTS.flatMap((endpoints) => sizes.map((bytes) => cost(bytes, endpoints, workers))),
  );
  const metricsBytes = 60_000;
  return [
    self,
    ...costs,
    { kind: "streams", name: "streams", streams: 3_000, targetBytes: 60_000 },
    { kind: "agent", name: "agent-idle", endpoints: 100, streams: 0, metricsBytes, targetCores: 0.15 },
    { kind: "agent", name: "agent-busy", endpoints: 100, streams: 400, metricsBytes, targetCores: 0.6 },
  ];
}

/** The cells of --quick. */
export function isQuick(cell: Cell): boolean {
  return cell.kind === "cost" && cell.endpoints === 8 && cell.workers === 1;
}

/** Cells whose name matches one of the comma-separated patterns, `*` standing for anything. */
export function cellsMatching(
  cells: readonly Cell[],
  patterns: string,
): readonly Cell[] | { readonly problem: string } {
  const chosen = new Set<Cell>();
  for (const pattern of patterns.split(",")) {
    const expression = new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);
    const found = cells.filter(({ name }) => expression.test(name));
    if (found.length === 0) return { problem: `no cell is named "${pattern}"` };
    for (const cell of found) chosen.add(cell);
  }
  return cells.filter((cell) => chosen.has(cell));
}
