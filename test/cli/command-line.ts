// `pointsman …` as a child process of a test.

import { type ChildProcess, spawn } from "node:child_process";
import { ENTRY_PATH } from "../../src/cli/paths.ts";

export interface Running {
  readonly pid: number;
  /** Resolves when a line of stdout matches. Rejects when the process ends before. */
  readonly line: (pattern: RegExp) => Promise<string>;
  readonly kill: (signal?: NodeJS.Signals) => void;
  readonly done: Promise<Result>;
}

export interface Result {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Those that still run. A test that fails half way leaves none behind. */
const live = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of live) child.kill("SIGTERM");
});

/** Starts the command line; `done` never rejects. */
export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [ENTRY_PATH, ...args], { env: { ...process.env, ...env } });
  live.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const done = new Promise<Result>((resolve) => {
    child.once("close", (status, signal) => {
      live.delete(child);
      resolve({ status, signal, stdout, stderr });
    });
  });
  return {
    pid: child.pid ?? 0,
    done,
    kill: (signal) => child.kill(signal),
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = `${stdout}\n${stderr}`.split("\n").find((line) => pattern.test(line));
          if (found !== undefined) resolve(found);
        };
        child.stdout.on("data", look);
        child.stderr.on("data", look);
        look();
        void done.then(() => reject(new Error(`ended without ${pattern}: ${stderr}`)));
      }),
  };
}

/** Runs the command line to its end. */
export function run(...args: readonly string[]): Promise<Result> {
  return start(args).done;
}
