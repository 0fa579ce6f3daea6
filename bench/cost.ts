// What a request costs: two Envoys up at once, loaded in turns, one slice at a time.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { WorkerColumn } from "../src/control/report.ts";
import { type Bench, withFolder } from "./bench.ts";
import { CLOSED_PER_PACED, type CostCell, driveOf, mixOf, PACED_CONNECTIONS } from "./cells.ts";
import { type Feed, startFeed } from "./feed.ts";
import { programOf } from "./flow-programs.ts";
import { type Knowledge, knowledgeOf, readWorkers, type Stretch } from "./knowledge.ts";
import type { LoadAnswer, Slice } from "./load.ts";
import { pin } from "./pin.ts";
import { checkEverywhere, placeEverywhere } from "./placement.ts";
import { residentBytes } from "./process.ts";
import { type Endpoint, endpointsAt, type Side, type SideName, startSide } from "./sides.ts";
import { median, middleHalf, type Spread, spread } from "./statistics.ts";

export type SideCost = {
  /** Closed loop: CPU per request, and requests per second. */
  readonly cpuUs: Spread;
  readonly throughputPerS: Spread;
  /** At the fixed rate: CPU per request, and latency (median over slices of each slice's quantile). */
  readonly pacedCpuUs: Spread;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly residentBytes: number;
  /** Endpoints that served a request, of a closed-loop slice (median). */
  readonly endpointsServed: number;
};

export type CostResult = {
  readonly kind: "cost";
  readonly cell: CostCell;
  readonly sides: readonly [SideCost, SideCost];
  /** Second side less first. Minimum less minimum; median of the differences of neighbouring slices. */
  readonly differenceUs: { readonly min: number; readonly median: number; readonly middleHalf: number };
  readonly ratePerS: number;
  /** Bodies that differed. */
  readonly distinct: number;
  /** Of the filter's prefix index; undefined where both sides are Envoy alone. */
  readonly knowledge: Knowledge | undefined;
  /** CPU that processes outside the benchmark used meanwhile, in cores (median over slices). */
  readonly company: number;
  /** CPU per request of every closed-loop slice, per side, in the order they ran. */
  readonly slicesUs: readonly [readonly number[], readonly number[]];
};

type Pair<Value> = readonly [Value, Value];
type Measured = {
  readonly closed: LoadAnswer[];
  readonly paced: LoadAnswer[];
  readonly served: number[];
  residentBytes: number;
};
type CellMeasured = { readonly sides: Pair<Measured>; readonly stretches: Stretch[] };
/** Both sides at work. */
type Running = {
  readonly pair: Pair<Side>;
  /** Of the second side, if that has the filter. */
  readonly feed: Feed | undefined;
  readonly endpoints: readonly Endpoint[];
};

const WARM_SECONDS = 0.2;
/** The very bodies of a cell, before its slices: each of them several times. */
const CELL_WARM_SECONDS = 1;
/** An idle worker tells what it knows every 250 ms. */
const TOLD_MS = 300;
/** A slice, its connections and the answers still under way. */
const SLICE_LIMIT_MS = 30_000;

/** Measures cells that share a configuration; `cells` must agree in all but the body's size. */
export async function measureCosts(bench: Bench, cells: readonly CostCell[]): Promise<readonly CostResult[]> {
  const results = new Map<CostCell, CellMeasured>(cells.map((cell) => [cell, unmeasured()]));
  for (let round = 0; round < bench.rounds; round++) {
    await withPair(bench, cells[0] as CostCell, round, async (running) => {
      for (const [cell, measured] of results) {
        await prepare(bench, cell, running);
        await measureRound(bench, cell, running, measured, round);
        bench.say(progress(cell, measured.sides, round, bench.rounds));
      }
    });
  }
  return cells.map((cell) => summarize(cell, results.get(cell) as CellMeasured));
}

function unmeasured(): CellMeasured {
  const side = () => ({ closed: [], paced: [], served: [], residentBytes: 0 });
  return { sides: [side(), side()], stretches: [] };
}

/** Starts both sides, the second first in odd rounds: memory and ports fall differently then. */
async function withPair(
  bench: Bench,
  cell: CostCell,
  round: number,
  use: (running: Running) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    const started: Side[] = [];
    const endpoints = endpointsAt(bench.backendPort, cell.endpoints);
    const feeds: [Feed | undefined, Feed | undefined] = [undefined, undefined];
    try {
      const start = async (which: 0 | 1) => {
        const [name, sideDir] = [sideNames(cell)[which], join(dir, String(which))];
        mkdirSync(sideDir);
        const side = await startSide({ ...bench, name, dir: sideDir, endpoints, workers: cell.workers });
        started.push(side);
        const program = programOf(cell.admissions?.[which] ?? "none");
        if (name === "filter") feeds[which] = await startFeed(side, endpoints, program);
        return side;
      };
      const second = round % 2 === 1 ? await start(1) : undefined;
      const first = await start(0);
      const pair = [first, second ?? (await start(1))] as const;
      pin(
        pair.map(({ pid }) => pid),
        [bench.load.pid, bench.backend.pid, process.pid],
        cell.workers,
      );
      for (const side of pair) await warmUp(bench, cell, side);
      await use({ pair, feed: feeds[1], endpoints });
      for (const feed of feeds) feed?.check();
    } finally {
      for (const feed of feeds) feed?.stop();
      for (const side of started) await side.stop();
    }
  });
}

function sideNames({ second, admissions }: CostCell): Pair<SideName> {
  return admissions === undefined ? ["alone", second] : ["filter", "filter"];
}

/** Until each endpoint has upstream connections, and V8 has optimized the filter. */
async function warmUp(bench: Bench, cell: CostCell, side: Side): Promise<void> {
  const seconds = 0.5 + cell.endpoints * 0.003;
  await bench.load.ask({ kind: "closed", ...sliceOf(bench, cell, side), seconds }, SLICE_LIMIT_MS);
}

/** Until the filter knows the bodies of the cell as it will while they are measured. */
async function prepare(bench: Bench, cell: CostCell, { pair, feed, endpoints }: Running): Promise<void> {
  const isShared = cell.prompts === "shared" && feed !== undefined;
  if (isShared) await placeEverywhere(pair[1], feed, endpoints, cell.bodyBytes);
  for (const side of pair) {
    const slice = { ...sliceOf(bench, cell, side), seconds: CELL_WARM_SECONDS };
    await bench.load.ask({ kind: "closed", ...slice }, SLICE_LIMIT_MS);
  }
  if (isShared) await checkEverywhere(pair[1], endpoints, cell.bodyBytes);
}

/** Slices of one cell in turns: first, second, second, first, … */
async function measureRound(
  bench: Bench,
  cell: CostCell,
  running: Running,
  { sides, stretches }: CellMeasured,
  round: number,
): Promise<void> {
  const { pair, feed, endpoints } = running;
  const repeats = Math.ceil(bench.repeats / bench.rounds);
  const turns = [0, 1] as const;
  const before = feed === undefined ? undefined : await readSettled(pair[1]);
  for (let repeat = 0; repeat < repeats; repeat++) {
    const order = (repeat + round) % 2 === 0 ? turns : turns.toReversed();
    for (const which of order) await measureClosed(bench, cell, pair[which], sides[which]);
    if (repeat % CLOSED_PER_PACED !== 0) continue;
    for (const which of order) await measurePaced(bench, cell, pair[which], sides[which]);
  }
  if (before !== undefined) stretches.push({ before, after: await readSettled(pair[1]) });
  if (cell.prompts === "shared" && feed !== undefined) await checkEverywhere(pair[1], endpoints, cell.bodyBytes);
  for (const which of turns) sides[which].residentBytes = residentBytes(pair[which].pid);
}

async function readSettled(side: Side): Promise<readonly WorkerColumn[]> {
  await sleep(TOLD_MS);
  return readWorkers(side.socketPath);
}

async function measureClosed(bench: Bench, cell: CostCell, side: Side, measured: Measured): Promise<void> {
  await bench.backend.ask({ kind: "count" }, SLICE_LIMIT_MS);
  measured.closed.push(await bench.load.ask({ kind: "closed", ...sliceOf(bench, cell, side) }, SLICE_LIMIT_MS));
  measured.served.push((await bench.backend.ask({ kind: "count" }, SLICE_LIMIT_MS)).served);
}

async function measurePaced(bench: Bench, cell: CostCell, side: Side, measured: Measured): Promise<void> {
  const { ratePerS } = driveOf(cell);
  const slice = { ...sliceOf(bench, cell, side), connections: PACED_CONNECTIONS };
  measured.paced.push(await bench.load.ask({ kind: "paced", ratePerS, ...slice }, SLICE_LIMIT_MS));
}

/** A slice of the closed loop. */
function sliceOf(bench: Bench, cell: CostCell, side: Side): Slice {
  return {
    port: side.port,
    pid: side.pid,
    friends: [bench.backend.pid, process.pid],
    mix: mixOf(cell),
    connections: driveOf(cell).connections,
    warmSeconds: WARM_SECONDS,
    seconds: bench.seconds,
  };
}

function cpuUsOf(answers: readonly LoadAnswer[]): readonly number[] {
  return answers.map(({ cpuNs, count }) => cpuNs / count / 1000);
}

function summarizeSide({ closed, paced, served, residentBytes }: Measured): SideCost {
  return {
    cpuUs: spread(cpuUsOf(closed)),
    throughputPerS: spread(closed.map(({ count, seconds }) => count / seconds)),
    pacedCpuUs: spread(cpuUsOf(paced)),
    p50Us: median(paced.map(({ latencyUs }) => latencyUs?.p50 ?? Number.NaN)),
    p99Us: median(paced.map(({ latencyUs }) => latencyUs?.p99 ?? Number.NaN)),
    residentBytes,
    endpointsServed: median(served),
  };
}

function summarize(cell: CostCell, { sides: [first, second], stretches }: CellMeasured): CostResult {
  const slicesUs = [cpuUsOf(first.closed), cpuUsOf(second.closed)] as const;
  const sides = [summarizeSide(first), summarizeSide(second)] as const;
  const differences = slicesUs[1].map((us, i) => us - (slicesUs[0][i] ?? Number.NaN));
  return {
    kind: "cost",
    cell,
    sides,
    differenceUs: {
      min: sides[1].cpuUs.min - sides[0].cpuUs.min,
      median: median(differences),
      middleHalf: middleHalf(differences),
    },
    ratePerS: driveOf(cell).ratePerS,
    distinct: mixOf(cell).distinct,
    knowledge: cell.second === "filter" ? knowledgeOf(stretches) : undefined,
    company: median([...first.closed, ...second.closed].map(({ company }) => company)),
    slicesUs,
  };
}

function progress(cell: CostCell, [first, second]: Pair<Measured>, round: number, rounds: number): string {
  const [alone, other] = [Math.min(...cpuUsOf(first.closed)), Math.min(...cpuUsOf(second.closed))];
  const figures = `${alone.toFixed(1)} → ${other.toFixed(1)} µs (${(other - alone).toFixed(1)})`;
  return `${cell.name.padEnd(16)} round ${round + 1} of ${rounds}   ${figures}`;
}
