// What a request costs: two Envoys up at once, loaded in turns, one slice at a time.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Bench, withFolder } from "./bench.ts";
import { type CostCell, DRIVE, PACED_CONNECTIONS } from "./cells.ts";
import { type Feed, startFeed } from "./feed.ts";
import type { LoadAnswer, Slice } from "./load.ts";
import { pin } from "./pin.ts";
import { residentBytes } from "./process.ts";
import { endpointsAt, type Side, type SideName, startSide } from "./sides.ts";
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
};

export type CostResult = {
  readonly kind: "cost";
  readonly cell: CostCell;
  readonly sides: readonly [SideCost, SideCost];
  /** Second side less first. Minimum less minimum; median of the differences of neighbouring slices. */
  readonly differenceUs: { readonly min: number; readonly median: number; readonly middleHalf: number };
  readonly ratePerS: number;
  /** CPU that processes outside the benchmark used meanwhile, in cores (median over slices). */
  readonly company: number;
  /** CPU per request of every closed-loop slice, per side, in the order they ran. */
  readonly slicesUs: readonly [readonly number[], readonly number[]];
};

type Measured = { readonly closed: LoadAnswer[]; readonly paced: LoadAnswer[]; residentBytes: number };
type Pair<Value> = readonly [Value, Value];

const WARM_SECONDS = 0.2;
/** A slice, its connections and the answers still under way. */
const SLICE_LIMIT_MS = 30_000;

/** Measures cells that share a configuration; `cells` must agree in all but the body's size. */
export async function measureCosts(bench: Bench, cells: readonly CostCell[]): Promise<readonly CostResult[]> {
  const results = new Map<CostCell, Pair<Measured>>(cells.map((cell) => [cell, [unmeasured(), unmeasured()]]));
  for (let round = 0; round < bench.rounds; round++) {
    await withPair(bench, cells[0] as CostCell, round, async (pair) => {
      for (const [cell, measured] of results) {
        await measureRound(bench, cell, pair, measured, round);
        bench.say(progress(cell, measured, round, bench.rounds));
      }
    });
  }
  return cells.map((cell) => summarize(cell, results.get(cell) as Pair<Measured>));
}

function unmeasured(): Measured {
  return { closed: [], paced: [], residentBytes: 0 };
}

/** Starts both sides, the second first in odd rounds: memory and ports fall differently then. */
async function withPair(
  bench: Bench,
  cell: CostCell,
  round: number,
  use: (pair: Pair<Side>) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    const started: Side[] = [];
    let feed: Feed | undefined;
    try {
      const start = async (name: SideName, folder: string) => {
        mkdirSync(join(dir, folder));
        const endpoints = endpointsAt(bench.backendPort, cell.endpoints);
        const side = await startSide({ ...bench, name, dir: join(dir, folder), endpoints, workers: cell.workers });
        started.push(side);
        if (name === "filter") feed = await startFeed(side, endpoints);
        return side;
      };
      const second = round % 2 === 1 ? await start(cell.second, "second") : undefined;
      const first = await start("alone", "first");
      const pair = [first, second ?? (await start(cell.second, "second"))] as const;
      pin(
        pair.map(({ pid }) => pid),
        [bench.load.pid, bench.backend.pid, process.pid],
        cell.workers,
      );
      for (const side of pair) await warmUp(bench, cell, side);
      await use(pair);
      feed?.check();
    } finally {
      feed?.stop();
      for (const side of started) await side.stop();
    }
  });
}

/** Until each endpoint has upstream connections, and V8 has optimized the filter. */
async function warmUp(bench: Bench, cell: CostCell, side: Side): Promise<void> {
  const seconds = 0.5 + cell.endpoints * 0.003;
  const slice = { ...sliceOf(bench, cell, side, DRIVE[1_024]?.connections ?? 1), bodyBytes: 1_024, seconds };
  await bench.load.ask({ kind: "closed", ...slice }, SLICE_LIMIT_MS);
}

/** Slices of one cell in turns: first, second, second, first, … */
async function measureRound(
  bench: Bench,
  cell: CostCell,
  pair: Pair<Side>,
  measured: Pair<Measured>,
  round: number,
): Promise<void> {
  const drive = DRIVE[cell.bodyBytes];
  if (drive === undefined) throw new Error(`no drive for bodies of ${cell.bodyBytes} bytes`);
  const repeats = Math.ceil(bench.repeats / bench.rounds);
  const turns = [0, 1] as const;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const order = (repeat + round) % 2 === 0 ? turns : turns.toReversed();
    for (const which of order) {
      const slice = sliceOf(bench, cell, pair[which], drive.connections);
      measured[which].closed.push(await bench.load.ask({ kind: "closed", ...slice }, SLICE_LIMIT_MS));
    }
    for (const which of order) {
      const slice = sliceOf(bench, cell, pair[which], PACED_CONNECTIONS);
      const question = { kind: "paced", ratePerS: drive.ratePerS, ...slice } as const;
      measured[which].paced.push(await bench.load.ask(question, SLICE_LIMIT_MS));
    }
  }
  for (const which of turns) measured[which].residentBytes = residentBytes(pair[which].pid);
}

function sliceOf(bench: Bench, cell: CostCell, side: Side, connections: number): Slice {
  return {
    port: side.port,
    pid: side.pid,
    friends: [bench.backend.pid, process.pid],
    bodyBytes: cell.bodyBytes,
    connections,
    warmSeconds: WARM_SECONDS,
    seconds: bench.seconds,
  };
}

function cpuUsOf(answers: readonly LoadAnswer[]): readonly number[] {
  return answers.map(({ cpuNs, count }) => cpuNs / count / 1000);
}

function summarizeSide({ closed, paced, residentBytes }: Measured): SideCost {
  return {
    cpuUs: spread(cpuUsOf(closed)),
    throughputPerS: spread(closed.map(({ count, seconds }) => count / seconds)),
    pacedCpuUs: spread(cpuUsOf(paced)),
    p50Us: median(paced.map(({ latencyUs }) => latencyUs?.p50 ?? Number.NaN)),
    p99Us: median(paced.map(({ latencyUs }) => latencyUs?.p99 ?? Number.NaN)),
    residentBytes,
  };
}

function summarize(cell: CostCell, [first, second]: Pair<Measured>): CostResult {
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
    ratePerS: DRIVE[cell.bodyBytes]?.ratePerS ?? 0,
    company: median([...first.closed, ...second.closed].map(({ company }) => company)),
    slicesUs,
  };
}

function progress(cell: CostCell, [first, second]: Pair<Measured>, round: number, rounds: number): string {
  const [alone, other] = [Math.min(...cpuUsOf(first.closed)), Math.min(...cpuUsOf(second.closed))];
  const figures = `${alone.toFixed(1)} → ${other.toFixed(1)} µs (${(other - alone).toFixed(1)})`;
  return `${cell.name.padEnd(16)} round ${round + 1} of ${rounds}   ${figures}`;
}
