// Pick quality: how long clients wait for the first token, and how much of their prompts servers have
// cached, with Envoy's round robin, its least request, and the filter, over the same simulated servers.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { USAGE_FILTER_PATH } from "../src/cli/paths.ts";
import { locateEnvoy } from "../src/envoy/locate.ts";
import { withFolder } from "./bench.ts";
import type { ClientAnswer, ClientQuestion } from "./quality/client.ts";
import { jsonOf, type Result, resultOf, table } from "./quality/report.ts";
import type { ServersAnswer, ServersQuestion } from "./quality/servers.ts";
import { SIDES, type SideName, startSide } from "./quality/sides.ts";
import { SERVERS, SPEED } from "./quality/speed.ts";
import { WORKLOADS, type WorkloadName, workloads } from "./quality/workloads.ts";
import { machine, recordName, versions, writeRecord } from "./record.ts";
import { startWorker, type Worker } from "./worker.ts";

const HELP = `node bench/quality.ts [--quick] [--seconds N] [--rounds N] [--config FILE] [--out FILE]

  --quick         one short round: about 4 minutes in place of 27
  --seconds N     how long requests count, each round (default 60; 12 with --quick)
  --rounds N      each with servers, Envoys and requests of its own (default 3; 1 with --quick)
  --config FILE   an EndpointPickerConfig for the filter (default: the default profile)
  --out FILE      where the record goes; without it a full run writes bench/record/<date>-<machine>-quality.json
`;

/** Envoy's. */
const WORKERS = 4;
const WARM_UP_SECONDS = 25;
const SEED = 4_711;
/** Beyond the time that a workload runs: for answers that are late. */
const MARGIN_MS = 60_000;

type Options = {
  readonly seconds: number;
  readonly rounds: number;
  readonly configPath: string | undefined;
  readonly out: string | undefined;
};

type Processes = {
  readonly client: Worker<ClientQuestion, ClientAnswer>;
  readonly servers: Worker<ServersQuestion, ServersAnswer>;
};

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === "number") return options;
  const envoy = locateEnvoy(undefined);
  if ("problem" in envoy) return refuse(envoy.problem);
  if (!existsSync(USAGE_FILTER_PATH)) return refuse(`no ${USAGE_FILTER_PATH}: run \`make build\``);
  const began = new Date();
  const processes: Processes = { client: startWorker("quality/client.ts"), servers: startWorker("quality/servers.ts") };
  // What is under way fails when the client goes, and cleans up after itself.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void processes.client.stop());
  try {
    const results = await measure(processes, options);
    console.log(`\n${table(results)}\n`);
    if (options.out !== undefined) {
      writeRecord(options.out, recordOf(began, envoy.path, options, results));
      console.error(`record: ${options.out}`);
    }
    return 0;
  } catch (error) {
    return refuse((error as Error).message, 1);
  } finally {
    await Promise.all([processes.client.stop(), processes.servers.stop()]);
  }
}

function refuse(problem: string, status = 2): number {
  console.error(`bench/quality: ${problem}`);
  return status;
}

function readOptions(): Options | number {
  const text = { type: "string" } as const;
  const flags = { quick: { type: "boolean" }, seconds: text, rounds: text, config: text, out: text } as const;
  let values: { quick?: boolean; seconds?: string; rounds?: string; config?: string; out?: string; help?: boolean };
  try {
    ({ values } = parseArgs({ options: { ...flags, help: { type: "boolean", short: "h" } } }));
  } catch (error) {
    return refuse((error as Error).message);
  }
  if (values.help === true) {
    console.log(HELP);
    return 0;
  }
  const quick = values.quick === true;
  const seconds = Number(values.seconds ?? (quick ? 12 : 60));
  const rounds = Number(values.rounds ?? (quick ? 1 : 3));
  if (!(seconds >= 5 && seconds <= 3600)) return refuse(`--seconds ${values.seconds}: expected 5 to 3600`);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) {
    return refuse(`--rounds ${values.rounds}: expected a whole number from 1 to 100`);
  }
  const configPath = values.config === undefined ? undefined : resolve(values.config);
  if (configPath !== undefined && !existsSync(configPath)) return refuse(`--config ${configPath}: no such file`);
  const whole = !quick && configPath === undefined && values.seconds === undefined && values.rounds === undefined;
  const name = recordName(new Date(), machine()).replace(/\.json$/, "-quality.json");
  const record = whole ? join(import.meta.dirname, "record", name) : undefined;
  return { seconds, rounds, configPath, out: values.out === undefined ? record : resolve(values.out) };
}

/** Sides take turns within a round, another one first each time: the machine changes over the minutes. */
async function measure(processes: Processes, options: Options): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const workload of WORKLOADS) {
    const answers = new Map<SideName, ClientAnswer[]>(SIDES.map((side) => [side, []]));
    for (let round = 0; round < options.rounds; round += 1) {
      for (let turn = 0; turn < SIDES.length; turn += 1) {
        const side = SIDES[(round + turn) % SIDES.length]!;
        const answer = await runOnce(processes, options, workload, side, round);
        answers.get(side)!.push(answer);
        const { firstTokenMs, cachedShare } = resultOf(workload, side, [answer]);
        const found = `${firstTokenMs.mean.toFixed(0)} ms, ${(100 * cachedShare).toFixed(1)} % from cache`;
        console.error(`${workload}, round ${round + 1}, ${side}: ${found}`);
      }
    }
    for (const [side, all] of answers) results.push(resultOf(workload, side, all));
  }
  return results;
}

/** All sides of a round get the same requests. */
function runOnce(
  { client, servers }: Processes,
  { seconds, configPath }: Options,
  workload: WorkloadName,
  name: SideName,
  round: number,
): Promise<ClientAnswer> {
  return withFolder(async (dir) => {
    const { servers: addresses } = await servers.ask({ kind: "start" }, 10_000);
    const side = await startSide(name, { servers: addresses, dir, workers: WORKERS, configPath });
    try {
      const { host, port } = side.listen;
      const times = { warmUpSeconds: WARM_UP_SECONDS, seconds };
      const limitMs = (WARM_UP_SECONDS + seconds) * 1000 + MARGIN_MS;
      return await client.ask({ workload, to: { host, port }, seed: SEED + 1_000 * round, ...times }, limitMs);
    } finally {
      await side.stop();
    }
  });
}

function recordOf(began: Date, envoyPath: string, options: Options, results: readonly Result[]): string {
  return jsonOf({
    date: began.toISOString(),
    machine: machine(),
    versions: versions(envoyPath),
    method: {
      warmUpSeconds: WARM_UP_SECONDS,
      seconds: options.seconds,
      rounds: options.rounds,
      config: options.configPath ?? "the default profile",
      envoyWorkers: WORKERS,
      servers: { count: SERVERS, ...SPEED },
      workloads: Object.fromEntries(WORKLOADS.map((name) => [name, workloads[name].what])),
    },
    results,
  });
}
