// What every cell is measured with.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BackendAnswer, BackendQuestion } from "./backend.ts";
import type { LoadAnswer, LoadQuestion } from "./load.ts";
import type { Worker } from "./worker.ts";

export type Backend = Worker<BackendQuestion, BackendAnswer>;
export type Load = Worker<LoadQuestion, LoadAnswer>;

/** For backends that nobody scrapes. */
export const NO_METRICS = { atWork: false, bytes: 0 };

export type Bench = {
  readonly envoyPath: string;
  readonly filterPath: string;
  readonly load: Load;
  /** A backend that answers completions. */
  readonly backend: Backend;
  readonly backendPort: number;
  /** Length of one slice. */
  readonly seconds: number;
  /** Slices per side and cell, over all rounds. */
  readonly repeats: number;
  /** How often both Envoys are started afresh within a cell. */
  readonly rounds: number;
  /** One line of progress. */
  readonly say: (line: string) => void;
};

/** Runs `use` with a folder of its own that is gone afterwards. */
export async function withFolder<Result>(use: (dir: string) => Promise<Result>): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), "pointsman-bench-"));
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
