// What thousands of waiting requests cost of memory: the filter holds them, against Envoy's own fault filter, which
// delays them. Each in an Envoy of its own that has held none before; then again and again, for what stays behind.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fetchReport, waitingIn } from "../src/cli/control-socket.ts";
import { adminGet } from "../src/envoy/process.ts";
import type { BackendAnswer, BackendQuestion } from "./backend.ts";
import { type Bench, NO_METRICS, withFolder } from "./bench.ts";
import type { WaitingCell } from "./cells.ts";
import { type Feed, startFeed } from "./feed.ts";
import { oneAtATime } from "./flow-programs.ts";
import { pin } from "./pin.ts";
import { residentBytes } from "./process.ts";
import { endpointsAt, type Side, type SideName, startSide } from "./sides.ts";
import { startWorker } from "./worker.ts";

/** Of one Envoy, in bytes. */
export type Memory = {
  readonly resident: number;
  /** What Envoy's allocator has given out. */
  readonly allocated: number;
  /** Resident and not the allocator's: the VM's memory, V8's own, code and stacks. */
  readonly outside: number;
};

/** One time that all wait, and go. */
export type Fill = { readonly held: Memory; readonly drained: Memory };

export type SideWaiting = {
  /** Before the first fill. */
  readonly before: Memory;
  readonly fills: readonly Fill[];
  /** Of the first fill: RSS with all of them waiting less RSS before. */
  readonly bytesPerRequest: number;
};

export type WaitingResult = {
  readonly kind: "waiting";
  readonly cell: WaitingCell;
  readonly delay: SideWaiting;
  readonly filter: SideWaiting;
};

const ENDPOINTS = 8;
/** Longer than all of this takes. */
const HOLD_MS = 600_000;
const SEND_LIMIT_MS = 60_000;
const ARRIVE_LIMIT_MS = 30_000;
/** Until memory is what those that wait (or are gone) need, and no more. */
const SETTLE_MS = 2_000;
const POLL_MS = 100;

export async function measureWaiting(bench: Bench, cell: WaitingCell): Promise<WaitingResult> {
  const backend = startWorker<BackendQuestion, BackendAnswer>("backend.ts");
  try {
    const { port } = await backend.ask({ kind: "serve", reply: "events", metricsPage: NO_METRICS }, 5_000);
    const servers = { pid: backend.pid, port };
    const delay = await measureSide(bench, cell, "delay", servers);
    const filter = await measureSide(bench, cell, "filter", servers);
    return { kind: "waiting", cell, delay, filter };
  } finally {
    await backend.stop();
  }
}

function measureSide(
  bench: Bench,
  cell: WaitingCell,
  name: SideName,
  backend: { readonly pid: number; readonly port: number },
): Promise<SideWaiting> {
  return withFolder(async (root) => {
    const dir = join(root, name);
    mkdirSync(dir);
    const endpoints = endpointsAt(backend.port, ENDPOINTS);
    const side = await startSide({ ...bench, name, dir, endpoints, workers: 1, longestWaitMs: HOLD_MS });
    let feed: Feed | undefined;
    try {
      pin([side.pid], [bench.load.pid, backend.pid, process.pid], 1);
      if (name === "filter") {
        feed = await startFeed(side, endpoints, oneAtATime(HOLD_MS, cell.requests));
        // They take all places, and keep them.
        await bench.load.ask({ kind: "openStreams", port: side.port, count: ENDPOINTS }, SEND_LIMIT_MS);
      }
      await sleep(SETTLE_MS);
      const result = await fillAndDrain(bench, cell, side);
      feed?.check();
      const kilobytes = (result.bytesPerRequest / 1000).toFixed(1);
      const drained = result.fills.map((fill) => (fill.drained.resident / 1e6).toFixed(0)).join(", ");
      bench.say(`${cell.name.padEnd(16)} ${name}: ${kilobytes} KB each; drained ${drained} MB`);
      return result;
    } finally {
      feed?.stop();
      await bench.load.ask({ kind: "closeStreams" }, SEND_LIMIT_MS);
      await side.stop();
    }
  });
}

async function fillAndDrain(bench: Bench, cell: WaitingCell, side: Side): Promise<SideWaiting> {
  const before = await memoryOf(side);
  const fills: Fill[] = [];
  for (let n = 0; n < cell.fills; n++) {
    const { requests: count, bodyBytes } = cell;
    await bench.load.ask({ kind: "sendHeld", port: side.port, count, bodyBytes }, SEND_LIMIT_MS);
    await untilHeld(side, count);
    await sleep(SETTLE_MS);
    const held = await memoryOf(side);
    await bench.load.ask({ kind: "abandonHeld" }, SEND_LIMIT_MS);
    await untilHeld(side, 0);
    await sleep(SETTLE_MS);
    const drained = await memoryOf(side);
    fills.push({ held, drained });
  }
  const bytesPerRequest = ((fills[0]?.held.resident ?? Number.NaN) - before.resident) / cell.requests;
  return { before, fills, bytesPerRequest };
}

async function memoryOf({ pid, admin }: Side): Promise<Memory> {
  const text = (await adminGet(admin, "/memory")) ?? "{}";
  const said = JSON.parse(text) as { readonly allocated?: string; readonly total_physical_bytes?: string };
  const resident = residentBytes(pid);
  return { resident, allocated: Number(said.allocated), outside: resident - Number(said.total_physical_bytes) };
}

/** Until so many requests are held; throws when that takes too long. */
async function untilHeld(side: Side, count: number): Promise<void> {
  const deadline = performance.now() + ARRIVE_LIMIT_MS;
  for (;;) {
    const held = await heldOn(side);
    if (held === count) return;
    if (performance.now() > deadline) throw new Error(`${side.name} holds ${held} requests, expected ${count}`);
    await sleep(POLL_MS);
  }
}

async function heldOn({ name, admin, socketPath }: Side): Promise<number> {
  if (name === "filter") return waitingIn(await fetchReport(socketPath));
  const line = await adminGet(admin, "/stats?filter=fault.active_faults");
  return Number(/: (\d+)/.exec(line ?? "")?.[1] ?? Number.NaN);
}
