// Envoy and the agent as one job. `pointsman up` runs it in the foreground; the demo, the benchmark
// and the end-to-end tests start it from code.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Place } from "../control/scheduling/labels.ts";
import type { AccessOptions } from "../control/scrape/access.ts";
import { type Address, formatAddress } from "../envoy/address.ts";
import { type BootstrapOptions, bootstrap, type FilterConfig } from "../envoy/bootstrap.ts";
import { type Child, startChild } from "../envoy/child.ts";
import { type Envoy, startEnvoy } from "../envoy/process.ts";
import { drain, fetchReport, waitingIn } from "./control-socket.ts";
import type { LogLevel } from "./log-level.ts";
import { ENTRY_PATH } from "./paths.ts";
import { type Prepared, preflight } from "./preflight.ts";
import { present } from "./present.ts";
import { scrapeArguments } from "./scrape-flags.ts";

export interface UpOptions {
  readonly objectsDir: string;
  /** Port 0 everywhere: the operating system picks, `Up` tells. Default 127.0.0.1:0. */
  readonly listen?: Address;
  readonly admin?: Address;
  readonly agent?: Address;
  /** Default: control.sock in the run directory. */
  readonly socketPath?: string;
  readonly concurrency?: number;
  readonly envoyPath?: string;
  readonly filterPath?: string;
  readonly configPath?: string;
  /** Where the gateway is. */
  readonly topology?: Place;
  readonly filter?: FilterConfig;
  readonly bufferBytes?: number;
  readonly retryBufferBytes?: number;
  readonly accessLogPath?: string;
  readonly scrapeIntervalMs?: number;
  /** How the agent asks for metrics. */
  readonly metrics?: Partial<AccessOptions>;
  readonly logLevel?: LogLevel;
  /** Ends what has been started so far and makes startUp reject, when it aborts before all is up. */
  readonly signal?: AbortSignal;
  /** Each line that Envoy or the agent writes. */
  readonly onLine?: (line: string, from: Part) => void;
}

export type Part = "envoy" | "agent";

export interface Up {
  readonly listen: Address;
  readonly admin: Address;
  readonly agent: Address;
  readonly socketPath: string;
  readonly runDir: string;
  readonly envoyPid: () => number;
  readonly agentPid: () => number;
  /** Ends Envoy (by SIGTERM unless told otherwise) and starts it again on the same ports. */
  readonly restartEnvoy: (signal?: NodeJS.Signals) => Promise<void>;
  readonly stopEnvoy: (signal?: NodeJS.Signals) => Promise<void>;
  readonly startEnvoy: () => Promise<void>;
  /** Ends the agent, by SIGKILL unless told otherwise; Envoy goes on. */
  readonly killAgent: (signal?: NodeJS.Signals) => Promise<void>;
  readonly startAgent: () => Promise<void>;
  /** Waits until the filter has acknowledged what the agent has to say. */
  readonly ready: (timeoutMs?: number) => Promise<void>;
  /** Resolves, with a sentence, when Envoy ended without being told to. An agent that does is started again. */
  readonly broken: Promise<string>;
  /** Ends both and removes the run directory. Can be called more than once. */
  readonly stop: () => Promise<void>;
}

const LOG_LEVEL_DEFAULT: LogLevel = "warning";
const LOCAL: Address = { host: "127.0.0.1", port: 0 };
const READY_TIMEOUT_MS = 20_000;
const AGENT_START_TIMEOUT_MS = 15_000;
/** An agent that ended is started again after this, twice as long after each failure to start it. */
const AGENT_RESTART_MS = 500;
const AGENT_RESTART_MS_MAX = 30_000;
const POLL_MS = 10;

/**
 * Starts the agent and Envoy; resolves when Envoy is LIVE and the filter has acknowledged the first
 * snapshot. Rejects with a sentence for the user when one of them cannot start.
 */
export async function startUp(options: UpOptions): Promise<Up> {
  const job = new Job(options, await preflight(options));
  const abort = () => void job.stop();
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    options.signal?.throwIfAborted();
    await job.startAgent();
    await job.startEnvoy();
    await job.ready();
    return job.up();
  } catch (error) {
    await job.stop();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
}

/** The two processes and what they share. */
class Job {
  readonly #options: UpOptions;
  readonly #prepared: Prepared;
  readonly #runDir: string;
  readonly #socketPath: string;
  readonly #broken = Promise.withResolvers<string>();
  #envoy: Envoy | undefined;
  #agent: Child | undefined;
  #listen: Address;
  #admin: Address;
  #agentAddress: Address;
  #stopped: Promise<void> | undefined;
  readonly #stopping = new AbortController();

  constructor(options: UpOptions, prepared: Prepared) {
    this.#options = options;
    this.#prepared = prepared;
    this.#listen = options.listen ?? LOCAL;
    this.#admin = options.admin ?? LOCAL;
    this.#agentAddress = options.agent ?? LOCAL;
    this.#runDir = mkdtempSync(join(tmpdir(), "pointsman-"));
    this.#socketPath = resolve(options.socketPath ?? join(this.#runDir, "control.sock"));
    mkdirSync(join(this.#runDir, "xds"));
  }

  up(): Up {
    return {
      listen: this.#listen,
      admin: this.#admin,
      agent: this.#agentAddress,
      socketPath: this.#socketPath,
      runDir: this.#runDir,
      envoyPid: () => this.#envoy?.child.pid ?? 0,
      agentPid: () => this.#agent?.pid ?? 0,
      restartEnvoy: async (signal) => {
        await this.stopEnvoy(signal);
        await this.startEnvoy();
      },
      stopEnvoy: (signal) => this.stopEnvoy(signal),
      startEnvoy: () => this.startEnvoy(),
      killAgent: (signal) => this.killAgent(signal),
      startAgent: () => this.startAgent(),
      ready: (timeoutMs) => this.ready(timeoutMs),
      broken: this.#broken.promise,
      stop: () => this.stop(),
    };
  }

  async startEnvoy(): Promise<void> {
    this.#expectRunning();
    const { concurrency, onLine, logLevel } = this.#options;
    // A socket that a killed Envoy left behind would make the next bind fail.
    rmSync(this.#socketPath, { force: true });
    const envoy = await startEnvoy({
      envoyPath: this.#prepared.envoyPath,
      config: bootstrap(this.#bootstrapOptions()),
      runDir: this.#runDir,
      logLevel: logLevel ?? LOG_LEVEL_DEFAULT,
      signal: this.#stopping.signal,
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(onLine === undefined ? {} : { onLine: (line: string) => onLine(line, "envoy") }),
    });
    if (this.#stopped !== undefined) await envoy.child.stop();
    this.#expectRunning();
    this.#envoy = envoy;
    // What the system picked is kept, so that a restarted Envoy is found where the first one was.
    this.#listen = envoy.listen;
    this.#admin = envoy.admin;
    void envoy.child.ended.then((reason) => {
      if (this.#envoy === envoy) this.#broken.resolve(this.#epitaph("Envoy", reason, envoy.child));
    });
  }

  async stopEnvoy(signal?: NodeJS.Signals): Promise<void> {
    const envoy = this.#envoy;
    this.#envoy = undefined;
    await envoy?.child.stop(signal);
  }

  async startAgent(): Promise<void> {
    this.#expectRunning();
    const { onLine } = this.#options;
    const listening = Promise.withResolvers<Address>();
    const agent = startChild({
      command: process.execPath,
      args: [ENTRY_PATH, "agent", ...this.#agentArgs()],
      onMessage: (message) => listening.resolve((message as { readonly agent: Address }).agent),
      ...(onLine === undefined ? {} : { onLine: (line: string) => onLine(line, "agent") }),
    });
    this.#agent = agent;
    const started = await Promise.race([
      listening.promise,
      agent.ended,
      sleep(AGENT_START_TIMEOUT_MS, "no answer in time", { ref: false }),
    ]);
    if (typeof started === "string") {
      await this.killAgent();
      throw new Error(this.#epitaph("The agent", started, agent));
    }
    this.#agentAddress = started;
    void agent.ended.then((reason) => {
      if (this.#agent === agent) void this.#startAgentAgain(this.#epitaph("The agent", reason, agent));
    });
  }

  /** Requests go on without the agent, so its end is no reason to end Envoy. */
  async #startAgentAgain(why: string): Promise<void> {
    this.#agent = undefined;
    let delayMs = AGENT_RESTART_MS;
    for (let told = why; this.#stopped === undefined; delayMs = Math.min(2 * delayMs, AGENT_RESTART_MS_MAX)) {
      this.#options.onLine?.(`pointsman: ${told}; requests go on, it is started again`, "agent");
      await sleep(delayMs, undefined, { ref: false });
      try {
        return await this.startAgent();
      } catch (error) {
        told = (error as Error).message;
      }
    }
  }

  async killAgent(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.stop(signal);
  }

  async ready(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    // The agent may not have noticed yet that Envoy was restarted: Envoy is asked too.
    while ((await statusOf(this.#agentAddress, "/readyz")) !== 200 || !(await this.#hasTopology())) {
      this.#expectRunning();
      if (performance.now() > deadline) {
        throw new Error(`the filter acknowledged no snapshot within ${timeoutMs / 1000} s`);
      }
      await sleep(POLL_MS);
    }
  }

  stop(): Promise<void> {
    this.#stopping.abort(new Error("stopped"));
    this.#stopped ??= this.#endWaiting()
      .then(() => Promise.all([this.killAgent("SIGTERM"), this.stopEnvoy()]))
      .then(() => {
        rmSync(this.#socketPath, { force: true });
        rmSync(this.#runDir, { recursive: true, force: true });
      });
    return this.#stopped;
  }

  /** Who waits for a place is told that there will be none, before Envoy closes the connection. */
  async #endWaiting(): Promise<void> {
    try {
      if (waitingIn(await fetchReport(this.#socketPath)) > 0) await drain(this.#socketPath);
    } catch {
      // Envoy is not there, so nobody waits.
    }
  }

  async #hasTopology(): Promise<boolean> {
    try {
      return (await fetchReport(this.#socketPath)).topologyEpoch > 0;
    } catch {
      return false;
    }
  }

  #expectRunning(): void {
    if (this.#stopped !== undefined) throw new Error("stopped");
  }

  #bootstrapOptions(): BootstrapOptions {
    const { filter, bufferBytes, accessLogPath } = this.#options;
    return {
      listen: this.#listen,
      admin: this.#admin,
      socketPath: this.#socketPath,
      xdsDir: join(this.#runDir, "xds"),
      filterPath: this.#prepared.filterPath,
      ...present({ filter, bufferBytes, accessLogPath }),
    };
  }

  #agentArgs(): string[] {
    const { objectsDir, configPath, topology, filter, retryBufferBytes, scrapeIntervalMs, metrics, logLevel } =
      this.#options;
    const flags: Readonly<Record<string, string | undefined>> = {
      objects: objectsDir,
      socket: this.#socketPath,
      agent: formatAddress(this.#agentAddress),
      xds: join(this.#runDir, "xds"),
      config: configPath,
      topology: topology === undefined ? undefined : placeArgument(topology),
      "default-pool": filter?.defaultPool,
      "retry-buffer": retryBufferBytes === undefined ? undefined : String(retryBufferBytes),
      "scrape-interval": scrapeIntervalMs === undefined ? undefined : `${scrapeIntervalMs}ms`,
      "log-level": logLevel ?? LOG_LEVEL_DEFAULT,
    };
    const args = Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
    return [...args, ...(metrics === undefined ? [] : scrapeArguments(metrics))];
  }

  #epitaph(who: string, reason: string, child: Child): string {
    const last = child.tail().at(-1);
    return `${who} ended unexpectedly (${reason})${last === undefined ? "" : `: ${last}`}`;
  }
}

/** As --topology takes it. */
function placeArgument(place: Place): string {
  return Object.entries(place)
    .map(([level, name]) => `${level}=${name}`)
    .join(",");
}

function statusOf(address: Address, path: string): Promise<number | undefined> {
  return new Promise((done) => {
    const call = request({ host: address.host, port: address.port, path, agent: false, timeout: 2_000 }, (response) => {
      response.resume().on("close", () => done(response.statusCode));
    });
    call.on("timeout", () => call.destroy()).on("error", () => done(undefined));
    call.end();
  });
}
