// What thousands of open event streams cost: memory of the proxy, and CPU per event.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { USAGE_FILTER_PATH } from "../src/cli/paths.ts";
import type { BackendAnswer, BackendQuestion } from "./backend.ts";
import { type Bench, NO_METRICS, withFolder } from "./bench.ts";
import type { StreamsCell } from "./cells.ts";
import { startFeed } from "./feed.ts";
import type { LoadAnswer } from "./load.ts";
import { pin } from "./pin.ts";
import { residentBytes } from "./process.ts";
import { endpointsAt, type SideName, startSide } from "./sides.ts";
import { median, type Spread, spread } from "./statistics.ts";
import { startWorker } from "./worker.ts";

export type SideStreams = {
  readonly build: StreamsBuild;
  /** Before the first stream, with all of them open, and after they are closed. */
  readonly residentBytes: readonly [number, number, number];
  readonly bytesPerStream: number;
  /** In each window of WATCH_SECONDS, in the order they ran. */
  readonly windowsUs: readonly number[];
  readonly cpuUsPerEvent: Spread;
  readonly eventsPerS: number;
  /** CPU that processes outside the benchmark used meanwhile, in cores. */
  readonly company: number;
};

export type StreamsResult = {
  readonly kind: "streams";
  readonly cell: StreamsCell;
  readonly sides: readonly SideStreams[];
};

/** Envoy alone, with filter.wasm, with filter-usage.wasm. */
export type StreamsBuild = "alone" | "lean" | "usage";
const BUILDS: readonly StreamsBuild[] = ["alone", "lean", "usage"];

/** How often each side is started afresh: alone, lean, usage, alone, … */
const ROUNDS = 2;
const OPEN_LIMIT_MS = 60_000;
const WATCH_SECONDS = 2;
const WINDOWS = 5;
/** Until memory is what the open (or closed) streams need, and no more. */
const SETTLE_MS = 2_000;
const ENDPOINTS = 8;

export async function measureStreams(bench: Bench, cell: StreamsCell): Promise<StreamsResult> {
  const backend = startWorker<BackendQuestion, BackendAnswer>("backend.ts");
  try {
    const { port } = await backend.ask({ kind: "serve", reply: "events", metricsPage: NO_METRICS }, 5_000);
    const all: SideStreams[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const build of BUILDS) all.push(await measureSide(bench, cell, build, { pid: backend.pid, port }));
    }
    return { kind: "streams", cell, sides: BUILDS.map((build) => merged(all.filter((side) => side.build === build))) };
  } finally {
    await backend.stop();
  }
}

/** One side over all rounds: memory is that of the first. */
function merged(rounds: readonly SideStreams[]): SideStreams {
  const windowsUs = rounds.flatMap((round) => round.windowsUs);
  return { ...(rounds[0] as SideStreams), windowsUs, cpuUsPerEvent: spread(windowsUs) };
}

function measureSide(
  bench: Bench,
  cell: StreamsCell,
  build: StreamsBuild,
  backend: { readonly pid: number; readonly port: number },
): Promise<SideStreams> {
  return withFolder(async (root) => {
    const dir = join(root, build);
    mkdirSync(dir);
    const endpoints = endpointsAt(backend.port, ENDPOINTS);
    const name: SideName = build === "alone" ? "alone" : "filter";
    const filterPath = build === "usage" ? USAGE_FILTER_PATH : bench.filterPath;
    const side = await startSide({ ...bench, filterPath, name, dir, endpoints, workers: 1 });
    const feed = name === "filter" ? await startFeed(side, endpoints) : undefined;
    try {
      pin([side.pid], [bench.load.pid, backend.pid, process.pid], 1);
      await sleep(SETTLE_MS);
      const before = residentBytes(side.pid);
      await bench.load.ask({ kind: "openStreams", port: side.port, count: cell.streams }, OPEN_LIMIT_MS);
      await sleep(SETTLE_MS);
      const window = { pid: side.pid, friends: [backend.pid, process.pid], seconds: WATCH_SECONDS };
      const watched: LoadAnswer[] = [];
      for (let n = 0; n < WINDOWS; n++) {
        watched.push(await bench.load.ask({ kind: "watchStreams", ...window }, OPEN_LIMIT_MS));
      }
      const open = residentBytes(side.pid);
      await bench.load.ask({ kind: "closeStreams" }, OPEN_LIMIT_MS);
      await sleep(SETTLE_MS);
      feed?.check();
      const windowsUs = watched.map(({ cpuNs, count }) => cpuNs / count / 1000);
      const result: SideStreams = {
        build,
        residentBytes: [before, open, residentBytes(side.pid)],
        bytesPerStream: (open - before) / cell.streams,
        windowsUs,
        cpuUsPerEvent: spread(windowsUs),
        eventsPerS: median(watched.map(({ count, seconds }) => count / seconds)),
        company: median(watched.map(({ company }) => company)),
      };
      const kilobytes = (result.bytesPerStream / 1000).toFixed(1);
      const figures = `${kilobytes} KB, ${result.cpuUsPerEvent.min.toFixed(1)} µs an event`;
      bench.say(`${cell.name.padEnd(16)} ${build}: ${figures}`);
      return result;
    } finally {
      feed?.stop();
      await side.stop();
    }
  });
}
