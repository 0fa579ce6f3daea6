// The record of a run: everything needed to compare it with another one later.

import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { dirname } from "node:path";
import type { Bench } from "./bench.ts";
import { CLOSED_PER_PACED } from "./cells.ts";
import { canPin } from "./pin.ts";
import type { Result } from "./report.ts";
import { rounded } from "./statistics.ts";

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
};

export function machine(): Machine {
  return {
    cpu: (cpus()[0]?.model ?? "unknown").trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
  };
}

/** "2026-11-20-2x-amd-epyc.json" */
export function recordName(date: Date, { cores, cpu }: Machine): string {
  const model = cpu
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return `${date.toISOString().slice(0, 10)}-${cores}x-${model}.json`;
}

function said(command: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", cwd: import.meta.dirname });
  return status === 0 ? stdout.trim() : "";
}

export function versions(envoyPath: string): object {
  return {
    envoy: said(envoyPath, ["--version"]).replace(/^.*version: /, ""),
    node: process.version,
    revision: said("git", ["rev-parse", "HEAD"]),
    /** Files of the working tree that differ from that revision. */
    changed: said("git", ["status", "--porcelain"])
      .split("\n")
      .filter((line) => line !== "").length,
  };
}

export type RecordHead = {
  readonly began: Date;
  /** In the words of who ran it. */
  readonly note: string | undefined;
};

/** The run as JSON, numbers to three decimals. */
export function recordOf({ began, note }: RecordHead, bench: Bench, results: readonly Result[]): string {
  const record = {
    date: began.toISOString(),
    note,
    machine: machine(),
    versions: versions(bench.envoyPath),
    method: {
      sliceSeconds: bench.seconds,
      slicesPerSide: bench.repeats,
      rounds: bench.rounds,
      pinnedWithOneWorker: canPin(1),
      pacedSlicesPerSide: bench.rounds * Math.ceil(Math.ceil(bench.repeats / bench.rounds) / CLOSED_PER_PACED),
      loadAverageAtEnd: loadavg(),
      feed: "snapshots pushed by the benchmark every 50 ms, rows changing; the agent's own CPU only in its cells",
    },
    results,
  };
  return `${JSON.stringify(record, (_, value) => (typeof value === "number" ? rounded(value) : value), 1)}\n`;
}

export function writeRecord(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
