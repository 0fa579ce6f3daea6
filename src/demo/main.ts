// The demo: one workload sent at the same time through Pointsman and through a plain round robin, to
// two equal sets of simulated model servers, and a table of what comes of it.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startUp } from "../cli/up.ts";
import { type Address, formatAddress } from "../envoy/address.ts";
import { HEADER_SERVED } from "../wire/names.ts";
import { askAgent, figuresOf, type Known } from "./figures.ts";
import { startLoad } from "./load.ts";
import { poolYaml } from "./objects.ts";
import { startPlainEnvoy } from "./plain-envoy.ts";
import { Screen } from "./screen.ts";
import { FIRST_SET, MODEL, SECOND_SET, SPEEDS, startServers } from "./servers.ts";
import { PATIENCE_MS, Side } from "./side.ts";
import { type Figures, logLine, table } from "./table.ts";
import { Workload } from "./workload.ts";

export interface DemoOptions {
  /** Ends by itself after so long; without it only `signal` ends it. */
  readonly seconds?: number;
  readonly signal: AbortSignal;
  readonly out: NodeJS.WriteStream;
  /** Where Pointsman's Envoy listens; default 127.0.0.1:8080. */
  readonly listen?: Address;
}

/** About two thirds of what one set of servers can do; test/sim/demo/workload.test.ts holds it to that. */
export const RATE_PER_S = 24;
const SEED = 20_251;
/** Worker threads of each Envoy. */
const WORKERS = 2;
const DRAW_MS = 500;
const LOG_MS = 5_000;

/**
 * Runs until the time is up or the signal comes, then stops everything it started. Resolves to the exit
 * status; rejects with a sentence for the user when something can't start or ends on its own.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const undo: (() => unknown)[] = [];
  try {
    const stage = await build(options, undo);
    if (options.signal.aborted) return 0;
    const problem = await play(stage, options);
    if (problem === undefined) return 0;
    throw new Error(problem);
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

/** Everything that runs, and how to look at it. */
interface Stage {
  readonly screen: Screen;
  readonly listen: Address;
  readonly agent: Address;
  readonly sides: readonly Side[];
  /** Resolves, with a sentence, when a part ends on its own. */
  readonly broken: Promise<string>;
  readonly figures: (known: Known) => Figures;
}

async function build(options: DemoOptions, undo: (() => unknown)[]): Promise<Stage> {
  const screen = new Screen(options.out);
  screen.print("Starting two sets of four simulated model servers, and an Envoy in front of each …");
  const dir = mkdtempSync(join(tmpdir(), "pointsman-demo-"));
  undo.push(() => rmSync(dir, { recursive: true, force: true }));
  const servers = await startServers(FIRST_SET);
  undo.push(() => Promise.all(servers.map((sim) => sim.stop())));
  const others = await startServers(SECOND_SET);
  undo.push(() => Promise.all(others.map((sim) => sim.stop())));

  const roundRobin = await startPlainEnvoy({
    servers: others.map(({ address }) => address),
    policy: "ROUND_ROBIN",
    dir: join(dir, "round-robin"),
    workers: WORKERS,
  });
  undo.push(() => roundRobin.stop());
  const objectsDir = join(dir, "objects");
  mkdirSync(objectsDir);
  writeFileSync(join(objectsDir, "pool.yaml"), poolYaml(servers.map(({ address }) => address)));
  const listen = options.listen ?? { host: "127.0.0.1", port: 8080 };
  const up = await startUp({ objectsDir, listen, concurrency: WORKERS, logLevel: "warning" });
  undo.push(() => up.stop());

  const picked = new Side(up.listen, HEADER_SERVED);
  const turns = new Side(roundRobin.listen, "x-sim-name");
  undo.push(() => {
    picked.stop();
    turns.stop();
  });
  return {
    screen,
    listen: up.listen,
    agent: up.agent,
    sides: [picked, turns],
    broken: Promise.race([up.broken, roundRobin.ended.then((reason) => `The round-robin Envoy ended (${reason})`)]),
    figures: (known) => figuresOf(picked, known, servers, turns, others),
  };
}

/** Sends and shows. Resolves to what broke, if anything did. */
async function play(stage: Stage, options: DemoOptions): Promise<string | undefined> {
  const { screen } = stage;
  screen.print(...introduction(stage, options));
  const startMs = performance.now();
  const endMs = options.seconds === undefined ? Number.POSITIVE_INFINITY : startMs + options.seconds * 1000;
  let problem: string | undefined;
  void stage.broken.then((reason) => {
    problem = reason;
  });
  const stopLoad = startLoad(new Workload(MODEL, SEED), RATE_PER_S, stage.sides);
  let known: Known = new Map();
  let logMs = startMs + LOG_MS;
  let nowMs = startMs;
  while (nowMs < endMs && !options.signal.aborted && problem === undefined) {
    const pauseMs = Math.min(DRAW_MS, endMs - nowMs);
    await sleep(pauseMs, undefined, { signal: options.signal }).catch(() => {});
    known = (await askAgent(stage.agent)) ?? known;
    nowMs = performance.now();
    if (screen.live) screen.draw(table(stage.figures(known), screen.columns));
    else if (nowMs >= logMs) screen.print(logLine((nowMs - startMs) / 1000, stage.figures(known)));
    if (nowMs >= logMs) logMs += LOG_MS;
  }
  stopLoad();
  const figures = stage.figures(known);
  screen.print(
    ...(screen.live ? [] : table(figures, screen.columns)),
    "",
    conclusion((nowMs - startMs) / 1000, figures),
  );
  return problem;
}

function introduction(stage: Stage, options: DemoOptions): string[] {
  const body = { model: MODEL, messages: [{ role: "user", content: "Hello" }], max_tokens: 20, stream: true };
  const end = options.seconds === undefined ? "Ctrl-C ends it." : `It ends after ${options.seconds} s.`;
  return [
    `The same ${RATE_PER_S} requests a second go to both sets, of speed ${SPEEDS.join(", ")}: about two thirds of what`,
    `a set can do. Who has no first token after ${PATIENCE_MS / 1000} s gives up.`,
    "p50, p90: of the time to first token.",
    end,
    "",
    `Try it: curl -iN http://${formatAddress(stage.listen)}/v1/chat/completions -H 'content-type: application/json' \\`,
    `          -d '${JSON.stringify(body)}'`,
    `What the agent knows: curl http://${formatAddress(stage.agent)}/snapshot`,
    "",
  ];
}

function conclusion(seconds: number, { sides }: Figures): string {
  const means = sides.map(({ name, meanMs, waiting }) => {
    const mean = meanMs === undefined ? "–" : `${Math.round(meanMs)} ms`;
    return `${name} ${mean}${waiting === 0 ? "" : ` (and ${waiting} still without one)`}`;
  });
  return `Mean time to first token over ${Math.round(seconds)} s: ${means.join(", ")}.`;
}
