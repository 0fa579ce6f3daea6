// What is measured, and what has to be reached.

import type { Admission } from "./flow-programs.ts";
import type { Mix, Prompts } from "./requests.ts";

export type CostCell = {
  readonly kind: "cost";
  readonly name: string;
  readonly prompts: Prompts;
  readonly bodyBytes: number;
  readonly endpoints: number;
  readonly workers: number;
  /** "alone" against "alone": what the method itself is off by. */
  readonly second: "filter" | "alone";
  /** Both sides have the filter, which admits so; without it the first side is Envoy alone. */
  readonly admissions?: readonly [Admission, Admission];
  /** CPU over the first side, minimum against minimum. */
  readonly targetUs: number | undefined;
};

export type StreamsCell = {
  readonly kind: "streams";
  readonly name: string;
  readonly streams: number;
  /** Memory per stream over what the same Envoy held before. */
  readonly targetBytes: number;
  /** CPU per event that accounting may add to Envoy alone. */
  readonly addedTargetUs: number;
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

/** Requests that wait for a place, against as many that Envoy's own fault filter delays. */
export type WaitingCell = {
  readonly kind: "waiting";
  readonly name: string;
  readonly requests: number;
  readonly bodyBytes: number;
  /** How often in one Envoy they come and go. */
  readonly fills: number;
  /** Memory per request over the fault filter's. */
  readonly addedTargetBytes: number;
};

/** Inside V8, without Envoy: the line alone with so many in it. */
export type DispatchCell = { readonly kind: "dispatch"; readonly name: string; readonly waiting: readonly number[] };

/** Inside V8, without Envoy: the question whether a request may go on, alone. */
export type AdmissionCell = {
  readonly kind: "admission";
  readonly name: string;
  readonly endpoints: readonly number[];
  readonly targetNs: number;
};

export type Cell = CostCell | StreamsCell | AgentCell | WaitingCell | DispatchCell | AdmissionCell;

/** Bodies with SYSTEM_BLOCKS of system prompt, 8 KB, and 1 KB of their own. */
const SHARED_BYTES = 9_728;

type Drive = {
  /** Of the closed loop. */
  readonly connections: number;
  /** Far from saturation. */
  readonly ratePerS: number;
  /** Different bodies, at least. */
  readonly distinct: number;
};

/** How each body size is driven. */
const DRIVES: Readonly<Record<number, Drive>> = {
  1024: { connections: 32, ratePerS: 2_000, distinct: 48 },
  [SHARED_BYTES]: { connections: 32, ratePerS: 2_000, distinct: 48 },
  16384: { connections: 32, ratePerS: 2_000, distinct: 48 },
  131072: { connections: 32, ratePerS: 500, distinct: 48 },
  1048576: { connections: 8, ratePerS: 100, distinct: 24 },
};

export function driveOf({ bodyBytes }: CostCell): Drive {
  const drive = DRIVES[bodyBytes];
  if (drive === undefined) throw new Error(`no drive for bodies of ${bodyBytes} bytes`);
  return drive;
}

/** Two bodies per endpoint: requests follow what is cached, and are to reach about as many endpoints as round robin. */
const BODIES_PER_ENDPOINT = 2;

export function mixOf(cell: CostCell): Mix {
  const distinct = Math.max(driveOf(cell).distinct, BODIES_PER_ENDPOINT * cell.endpoints);
  return { prompts: cell.prompts, bodyBytes: cell.bodyBytes, distinct };
}

/** One paced slice for so many slices of the closed loop. */
export const CLOSED_PER_PACED = 2;
/** Connections that paced requests may use: more than are ever under way. */
export const PACED_CONNECTIONS = 64;

const TARGETS_US: Readonly<Record<number, number>> = { 1024: 16, 16384: 24, 131072: 70, 1048576: 400 };
/** With so many endpoints the filter may cost so much more than with 8. */
export const ADDED_TARGETS_US: Readonly<Record<number, number>> = { 100: 3, 1000: 20 };

/** "1KB", "1MB". */
export function sizeName(bytes: number): string {
  return bytes < 1_048_576 ? `${bytes / 1024}KB` : `${bytes / 1_048_576}MB`;
}

function warm(bodyBytes: number, endpoints: number, workers: number): CostCell {
  const targetUs = endpoints === 8 && workers === 1 ? TARGETS_US[bodyBytes] : undefined;
  const name = `${sizeName(bodyBytes)}-${endpoints}e-${workers}w`;
  return { kind: "cost", name, prompts: "warm", bodyBytes, endpoints, workers, second: "filter", targetUs };
}

function shared(endpoints: number): CostCell {
  return { ...warm(SHARED_BYTES, endpoints, 1), name: `shared-${endpoints}e-1w`, prompts: "shared" };
}

function cold(bodyBytes: number, workers: number): CostCell {
  const other = warm(bodyBytes, 8, workers);
  return { ...other, name: `cold-${other.name}`, prompts: "cold", targetUs: undefined };
}

/** What admission adds to a request that goes on at once. */
const ADMISSION_TARGET_US = 2;

function flow(second: Admission, endpoints: number): CostCell {
  const targetUs = second === "none" ? undefined : ADMISSION_TARGET_US;
  return {
    ...warm(1_024, endpoints, 1),
    name: `flow-${second}-${endpoints}e-1w`,
    admissions: ["none", second],
    targetUs,
  };
}

/** Cells of one Envoy configuration together: those next to each other share their two processes. */
export function allCells(): readonly Cell[] {
  const [small, medium, large, huge] = [1_024, 16_384, 131_072, 1_048_576];
  const metricsBytes = 60_000;
  return [
    { ...warm(small, 8, 1), name: "self", second: "alone", targetUs: undefined },
    ...[small, medium, large, huge].map((bytes) => warm(bytes, 8, 1)),
    ...[shared(8), cold(medium, 1)],
    ...[warm(small, 100, 1), shared(100)],
    ...[warm(small, 1000, 1), shared(1000)],
    ...[warm(small, 8, 2), warm(medium, 8, 2), cold(medium, 2)],
    warm(small, 1000, 2),
    {
      kind: "waiting",
      name: "waiting",
      requests: 10_000,
      bodyBytes: 1_024,
      fills: 10,
      addedTargetBytes: 4_000,
    },
    ...[flow("none", 8), flow("off", 8), flow("concurrency", 8), flow("utilization", 8)],
    ...[flow("off", 1000), flow("concurrency", 1000), flow("utilization", 1000)],
    { kind: "admission", name: "admission", endpoints: [8, 100, 1000], targetNs: 2_000 },
    { kind: "dispatch", name: "dispatch", waiting: [100, 1_000, 10_000] },
    { kind: "streams", name: "streams", streams: 3_000, targetBytes: 60_000, addedTargetUs: 3 },
    { kind: "agent", name: "agent-idle", endpoints: 100, streams: 0, metricsBytes, targetCores: 0.15 },
    { kind: "agent", name: "agent-busy", endpoints: 100, streams: 400, metricsBytes, targetCores: 0.6 },
  ];
}

/** The same cell with 8 endpoints. */
export function isWithFewEndpoints(few: CostCell, cell: CostCell): boolean {
  return few.endpoints === 8 && few.prompts === cell.prompts && isAlike(few, cell);
}

/** The same cell with prompts that are cached. */
export function isWithWarmPrompts(warm: CostCell, cell: CostCell): boolean {
  return warm.prompts === "warm" && warm.endpoints === cell.endpoints && isAlike(warm, cell);
}

function isAlike(one: CostCell, other: CostCell): boolean {
  return hasLikeSides(one, other) && one.bodyBytes === other.bodyBytes && one.workers === other.workers;
}

/** Whether first and second sides of both cells are set up alike. */
export function hasLikeSides(one: CostCell, other: CostCell): boolean {
  return one.second === other.second && one.admissions?.join() === other.admissions?.join();
}

/** The cells of --quick. */
export function isQuick(cell: Cell): boolean {
  return cell.kind === "cost" && cell.endpoints === 8 && cell.workers === 1 && cell.admissions === undefined;
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
