// `make bench`: measures what the filter costs over Envoy alone. See README.md for the method.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { LEAN_FILTER_PATH } from "../src/cli/paths.ts";
import { locateEnvoy } from "../src/envoy/locate.ts";
import { measureAdmission } from "./admission.ts";
import { measureAgent } from "./agent.ts";
import type { BackendAnswer, BackendQuestion } from "./backend.ts";
import { type Bench, NO_METRICS } from "./bench.ts";
import { allCells, type Cell, type CostCell, cellsMatching, hasLikeSides, isQuick } from "./cells.ts";
import { measureCosts } from "./cost.ts";
import { measureDispatch } from "./dispatch.ts";
import type { LoadAnswer, LoadQuestion } from "./load.ts";
import { machine, recordName, recordOf, writeRecord } from "./record.ts";
import { type Result, tables } from "./report.ts";
import { measureStreams } from "./streams.ts";
import { measureWaiting } from "./waiting.ts";
import { startWorker } from "./worker.ts";

const HELP = `make bench, or node bench/run.ts [--quick] [--cells LIST] [--seconds N] [--repeats N] [--out FILE]

  --quick         8 endpoints, 1 worker, fewer slices: about 100 seconds
  --cells LIST    only these, comma-separated, * for anything: "1KB-*-1w,streams"
  --seconds N     length of a slice (default 1)
  --repeats N     slices per side and cell (default 12; 3 with --quick)
  --note TEXT     kept in the record: what else the machine did, say
  --out FILE      where the record goes; without it a full run writes bench/record/<date>-<machine>.json

Cells:
`;

/** Of blocks that were warmed up; the rest went to an endpoint that did not hold them, as load scorers want it. */
const WARM_SHARE = 0.9;

type Options = {
  readonly cells: readonly Cell[];
  readonly seconds: number;
  readonly repeats: number;
  readonly rounds: number;
  readonly out: string | undefined;
  readonly note: string | undefined;
};

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === "number") return options;
  const envoy = locateEnvoy(undefined);
  if ("problem" in envoy) return refuse(envoy.problem);
  if (!existsSync(LEAN_FILTER_PATH) && options.cells.some(needsFilter))
    return refuse(`no ${LEAN_FILTER_PATH}: run \`make build\``);
  const began = new Date();
  const load = startWorker<LoadQuestion, LoadAnswer>("load.ts");
  const backend = startWorker<BackendQuestion, BackendAnswer>("backend.ts");
  // Whatever is under way fails when the load generator goes, and cleans up after itself.
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
    void load.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  try {
    const { port } = await backend.ask({ kind: "serve", reply: "json", metricsPage: NO_METRICS }, 5_000);
    const { seconds, repeats, rounds, cells, out, note } = options;
    const say = (line: string) => console.error(line);
    const paths = { envoyPath: envoy.path, filterPath: LEAN_FILTER_PATH };
    const bench: Bench = { ...paths, load, backend, backendPort: port, seconds, repeats, rounds, say };
    const results = await measure(bench, cells);
    console.log(`\n${tables(results)}\n`);
    noteCompany(results);
    noteSurprises(results);
    if (out !== undefined) {
      writeRecord(out, recordOf({ began, note }, bench, results));
      console.error(`record: ${out}`);
    }
    return 0;
  } catch (error) {
    if (interrupted) return 130;
    console.error(`bench: ${(error as Error).message}`);
    return 1;
  } finally {
    await Promise.all([load.stop(), backend.stop()]);
  }
}

function refuse(problem: string): number {
  console.error(`bench: ${problem}`);
  return 2;
}

function needsFilter(cell: Cell): boolean {
  return cell.kind !== "cost" || cell.second === "filter";
}

type Flags = { readonly quick: boolean; readonly help: boolean };

function readOptions(): Options | number {
  const cells = allCells();
  let values: Partial<Record<"cells" | "seconds" | "repeats" | "note" | "out", string>> & Partial<Flags>;
  try {
    ({ values } = parseArgs({
      options: {
        quick: { type: "boolean" },
        cells: { type: "string" },
        seconds: { type: "string" },
        repeats: { type: "string" },
        note: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (error) {
    return refuse((error as Error).message);
  }
  if (values.help === true) {
    console.log(HELP + cells.map(({ name }) => `  ${name}`).join("\n"));
    return 0;
  }
  const quick = values.quick === true;
  const seconds = Number(values.seconds ?? (quick ? 0.8 : 1));
  const repeats = Number(values.repeats ?? (quick ? 3 : 12));
  if (!(seconds >= 0.2 && seconds <= 60)) return refuse(`--seconds ${values.seconds}: expected 0.2 to 60`);
  if (!Number.isInteger(repeats) || repeats < 1 || repeats > 1000) {
    return refuse(`--repeats ${values.repeats}: expected a whole number from 1 to 1000`);
  }
  const offered = quick ? cells.filter(isQuick) : cells;
  const chosen = values.cells === undefined ? offered : cellsMatching(cells, values.cells);
  if ("problem" in chosen) return refuse(`--cells: ${chosen.problem}; --help lists them`);
  const whole = !quick && values.cells === undefined;
  const name = join(import.meta.dirname, "record", recordName(new Date(), machine()));
  const out = values.out === undefined ? (whole ? name : undefined) : resolve(values.out);
  return { cells: chosen, seconds, repeats, rounds: Math.min(repeats, quick ? 1 : 3), out, note: values.note };
}

/** Cells in order; neighbours with the same Envoys share them. */
async function measure(bench: Bench, cells: readonly Cell[]): Promise<readonly Result[]> {
  const results: Result[] = [];
  const left = [...cells];
  for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
    if (cell.kind === "streams") results.push(await measureStreams(bench, cell));
    else if (cell.kind === "agent") results.push(await measureAgent(bench, cell));
    else if (cell.kind === "waiting") results.push(await measureWaiting(bench, cell));
    else if (cell.kind === "dispatch") results.push(await measureDispatch(cell, bench.say));
    else if (cell.kind === "admission") results.push(await measureAdmission(cell, bench.say));
    else {
      const group = [cell];
      while (left[0] !== undefined && sharesEnvoys(left[0], cell)) group.push(left.shift() as CostCell);
      results.push(...(await measureCosts(bench, group)));
    }
  }
  return results;
}

function sharesEnvoys(other: Cell, cell: CostCell): boolean {
  return (
    other.kind === "cost" &&
    other.endpoints === cell.endpoints &&
    other.workers === cell.workers &&
    hasLikeSides(other, cell)
  );
}

/** Says when other processes took so much that the figures are in doubt. */
function noteCompany(results: readonly Result[]): void {
  const busy = results.filter((result) => result.kind === "cost" && result.company > 0.1);
  for (const result of busy) {
    const { company } = result as { company: number };
    console.error(`${result.cell.name}: other processes used ${company.toFixed(2)} of a core meanwhile; run it again`);
  }
}

/** Says when prompts were not cached, or were, against what the cell is about. */
function noteSurprises(results: readonly Result[]): void {
  for (const result of results) {
    if (result.kind !== "cost" || result.knowledge === undefined) continue;
    const { cachedShare } = result.knowledge;
    const isExpected = result.cell.prompts === "cold" ? cachedShare <= 1 - WARM_SHARE : cachedShare >= WARM_SHARE;
    if (!isExpected)
      console.error(`${result.cell.name}: ${(cachedShare * 100).toFixed(1)} % of the blocks were cached`);
  }
}
