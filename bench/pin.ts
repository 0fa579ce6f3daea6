// Keeps Envoy and everything else on cores of their own where there are enough: without it the
// scheduler moves threads about, and slices of one second differ by 10 % instead of 3 %.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** The cores this process may use, before it pins anything. */
const CORES = allowedCores();

function allowedCores(): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** Whether Envoy's workers can have cores to themselves and leave one for the rest. */
export function canPin(workers: number): boolean {
  return workers < CORES.length && spawnSync("taskset", ["--version"], { stdio: "ignore" }).status === 0;
}

/** Puts `envoys` on the first `workers` cores and `others` on the rest; all on all when that cannot be. */
export function pin(envoys: readonly number[], others: readonly number[], workers: number): void {
  const separate = canPin(workers);
  for (const pid of envoys) setCores(pid, separate ? CORES.slice(0, workers) : CORES);
  for (const pid of others) setCores(pid, separate ? CORES.slice(workers) : CORES);
}

/** Gives processes all cores again, and with this process those that it starts from now on. */
export function unpin(pids: readonly number[]): void {
  for (const pid of pids) setCores(pid, CORES);
}

function setCores(pid: number, cores: readonly number[]): void {
  spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", cores.join(","), String(pid)], { stdio: "ignore" });
}
