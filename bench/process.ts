// What the kernel says about a process.

import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time of all threads of a process since it started, user and system, in ns. Threads that have
 * ended are not counted: fine for Envoy, whose threads live as long as it does.
 */
export function cpuNs(pid: number): number {
  let total = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) total += threadNs(`/proc/${pid}/task/${task}/schedstat`);
  return total;
}

function threadNs(path: string): number {
  try {
    return Number(readFileSync(path, "latin1").split(" ", 1)[0]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return 0; // ended since readdir
    throw error;
  }
}

/** Memory of a process that is resident, in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  if (line === null) throw new Error(`/proc/${pid}/status has no VmRSS`);
  return Number(line[1]) * 1024;
}

/** /proc/stat counts in these. */
const TICK_NS = 10_000_000;

/** CPU time of the whole machine since it started, what the host took away included, in ns. */
export function busyNs(): number {
  const line = /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "latin1"))?.[1] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(" ").map(Number);
  return (user + nice + system + irq + softirq + steal) * TICK_NS;
}
