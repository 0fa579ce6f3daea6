// What thousands of open event streams cost: memory of the proxy, and CPU per event.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BackendAnswer, BackendQuestion } from "./backend.ts";
import { type Bench, NO_METRICS, withFolder } from "./bench.ts";
import type { StreamsCell } from "./cells.ts";
import { startFeed } from "./feed.ts";
import { pin } from "./pin.ts";
import { residentBytes } from "./process.ts";
import { endpointsAt, type SideName, startSide } from "./sides.ts";
import { startWorker } from "./worker.ts";

export type SideStreams = {
  /** Before the first stream, with all of them open, and after they are closed. */
  readonly residentBytes: readonly [number, number, number];
  readonly bytesPerStream: number;
  readonly cpuUsPerEvent: number;
  readonly eventsPerS: number;
};

export type StreamsResult = {
  readonly kind: "streams";
  readonly cell: StreamsCell;
  readonly sides: readonly [SideStreams, SideStreams];
};

const OPEN_LIMIT_MS = 60_000;
const WATCH_SECONDS = 5;
/** Until memory is what the open (or closed) streams need, and no more. */
const SETTLE_MS = 2_000;
const ENDPOINTS = 8;

export async function measureStreams(bench: Bench, cell: StreamsCell): Promise<StreamsResult> {
  const backend = startWorker<BackendQuestion, BackendAnswer>("backend.ts");
  try {
    const { port } = await backend.ask({ kind: "serve", reply: "events", metricsPage: NO_METRICS }, 5_000);
    const measure = (name: SideName) => measureSide(bench, cell, name, { pid: backend.pid, port });
    return { kind: "streams", cell, sides: [await measure("alone"), await measure("filter")] };
  } finally {
    await backend.stop();
  }
}

function measureSide(
  bench: Bench,
  cell: StreamsCell,
  name: SideName,
  backend: { readonly pid: number; readonly port: number },
): Promise<SideStreams> {
  return withFolder(async (root) => {
    const dir = join(root, name);
    mkdirSync(dir);
    const endpoints = endpointsAt(backend.port, ENDPOINTS);
    const side = await startSide({ ...bench, name, dir, endpoints, workers: 1 });
    const feed = name === "filter" ? await startFeed(side, endpoints) : undefined;
    try {
      pin([side.pid], [bench.load.pid, backend.pid, process.pid], 1);
      await sleep(SETTLE_MS);
      const before = residentBytes(side.pid);
      await bench.load.ask({ kind: "openStreams", port: side.port, count: cell.streams }, OPEN_LIMIT_MS);
      await sleep(SETTLE_MS);
      const window = { pid: side.pid, friends: [backend.pid, process.pid], seconds: WATCH_SECONDS };
      const watched = await bench.load.ask({ kind: "watchStreams", ...window }, OPEN_LIMIT_MS);
      const open = residentBytes(side.pid);
      await bench.load.ask({ kind: "closeStreams" }, OPEN_LIMIT_MS);
      await sleep(SETTLE_MS);
      feed?.check();
      const result: SideStreams = {
        residentBytes: [before, open, residentBytes(side.pid)],
        bytesPerStream: (open - before) / cell.streams,
        cpuUsPerEvent: watched.cpuNs / watched.count / 1000,
        eventsPerS: watched.count / watched.seconds,
      };
      bench.say(`${cell.name.padEnd(16)} ${name}: ${(result.bytesPerStream / 1000).toFixed(1)} KB per stream`);
      return result;
    } finally {
      feed?.stop();
      await side.stop();
    }
  });
}
