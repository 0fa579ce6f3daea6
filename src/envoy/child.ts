// A child process as `up` needs it: its last lines at hand for error messages, one promise for its
// end, and a stop that always comes back.

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Receives each line that the child writes to its stdout or stderr. */
  readonly onLine?: (line: string) => void;
  /** Opens a channel: messages of the child reach `onMessage`, and it notices when this process is gone. */
  readonly onMessage?: (message: unknown) => void;
  /** Ends it also when this process is gone without a word: killed outright, or crashed. */
  readonly isGuarded?: boolean;
}

export interface Child {
  readonly pid: number;
  /** Resolves when it has ended, with the reason in words: "exit status 1", "SIGKILL". */
  readonly ended: Promise<string>;
  readonly hasEnded: () => boolean;
  /** The last lines it wrote, newest last. */
  readonly tail: () => readonly string[];
  /** Sends the signal (SIGTERM by default), SIGKILL after `graceMs`, and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
}

const TAIL_LINES = 50;
const GRACE_MS = 5_000;

/** Starts a process. An error to start it (no such file) shows as its end. */
export function startChild(options: ChildOptions): Child {
  const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...(options.onMessage ? (["ipc"] as const) : [])];
  // In a process group of its own, so that a Ctrl-C in the terminal reaches this process only, which
  // then ends its children in order.
  const child = spawn(options.command, options.args, { stdio, env: options.env ?? process.env, detached: true });
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      tail.push(line);
      if (tail.length > TAIL_LINES) tail.shift();
      options.onLine?.(line);
    });
  }
  if (options.onMessage) child.on("message", options.onMessage);
  const guard = options.isGuarded && child.pid !== undefined ? startGuard(child.pid) : undefined;
  let over = false;
  const ended = endOf(child).then(async (reason) => {
    over = true;
    await dismiss(guard);
    return reason;
  });
  return {
    pid: child.pid ?? 0,
    ended,
    hasEnded: () => over,
    tail: () => tail,
    stop: async (signal = "SIGTERM") => {
      if (over) return;
      child.kill(signal);
      const force = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
      await ended;
      clearTimeout(force);
    },
  };
}

/** A shell that waits for its input to close, which only the end of this process does, and then ends `pid`. */
function startGuard(pid: number): ChildProcess {
  const script = 'read -r _; kill "$1"';
  const guard = spawn("/bin/sh", ["-c", script, "guard", String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // Without a shell there is no guard, and no harm.
  guard.once("error", () => {});
  guard.stdin?.once("error", () => {});
  guard.unref();
  (guard.stdin as Socket | null)?.unref();
  return guard;
}

async function dismiss(guard: ChildProcess | undefined): Promise<void> {
  if (guard?.pid === undefined || guard.exitCode !== null || guard.signalCode !== null) return;
  guard.ref();
  guard.kill("SIGKILL");
  await once(guard, "exit");
}

/** "close" and not "exit": by then its last lines have been read. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? `exit status ${code}`));
  });
}
