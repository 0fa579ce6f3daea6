// An Envoy of its own and `pointsman agent --kube` that feeds it, as they run side by side in a pod.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ENTRY_PATH, USAGE_FILTER_PATH } from "../../../src/cli/paths.ts";
import { type Address, formatAddress } from "../../../src/envoy/address.ts";
import { bootstrap, type FilterConfig } from "../../../src/envoy/bootstrap.ts";
import { type Child, startChild } from "../../../src/envoy/child.ts";
import { locateEnvoy } from "../../../src/envoy/locate.ts";
import { type Envoy, startEnvoy } from "../../../src/envoy/process.ts";
import { eventually } from "../../e2e/support/eventually.ts";
import { Running } from "../../e2e/support/gateway.ts";
import { Statistics } from "../../e2e/support/statistics.ts";
import { type Cluster, CONTEXT } from "./cluster.ts";
import { podEnvironment } from "./service-account.ts";

export interface ClusterGatewayOptions {
  readonly cluster: Cluster;
  /** Beside those that say where the API server, the Envoy and its files are, as `--pool=chat`. */
  readonly agentArgs: readonly string[];
  /** The administrator's when it is not given. */
  readonly kubeconfig?: string;
  /** The agent has no kubeconfig: it finds what is mounted into a pod, and the API server at this address. */
  readonly inPod?: { readonly server: string };
  readonly filter?: FilterConfig;
  /** What node is started with: flags, and the command line's file. That of the sources when it is not given. */
  readonly entry?: readonly string[];
  /** Of the agent, beside that of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

const LOCAL: Address = { host: "127.0.0.1", port: 0 };
const AGENT_START_LIMIT_MS = 15_000;
const READY_LIMIT_MS = 15_000;
const WORKERS = 2;

/** An agent: a process that can be ended and started again, in the same place. */
export class AgentProcess {
  readonly #args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #onLine: (line: string) => void;
  #child: Child | undefined;
  #address = LOCAL;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv, onLine: (line: string) => void) {
    this.#args = args;
    this.#env = { ...process.env, ...env };
    this.#onLine = onLine;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get address(): Address {
    return this.#address;
  }

  /** Resolves when its status server listens; with the objects' first state it need not be done yet. */
  async start(): Promise<void> {
    const listening = Promise.withResolvers<Address>();
    const child = startChild({
      command: process.execPath,
      args: [...this.#args, `--agent=${formatAddress(this.#address)}`],
      env: this.#env,
      onMessage: (message) => listening.resolve((message as { readonly agent: Address }).agent),
      onLine: this.#onLine,
    });
    this.#child = child;
    const late = sleep(AGENT_START_LIMIT_MS, "no word in time", { ref: false });
    const started = await Promise.race([listening.promise, child.ended, late]);
    if (typeof started === "string") {
      await child.stop("SIGKILL");
      throw new Error(`the agent did not start (${started}):\n${child.tail().join("\n")}`);
    }
    this.#address = started;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await child?.stop(signal);
  }
}

export class ClusterGateway extends Running {
  readonly agent: AgentProcess;
  readonly #envoy: Envoy;
  readonly #dir: string;

  constructor(envoy: Envoy, agent: AgentProcess, dir: string, lines: readonly string[]) {
    const { listen, admin } = envoy;
    super({ listen, admin, agent: agent.address, socketPath: socketIn(dir) }, lines);
    this.#envoy = envoy;
    this.agent = agent;
    this.#dir = dir;
  }

  get envoyPid(): number {
    return this.#envoy.child.pid;
  }

  /** A page of the agent's status server. */
  async page(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const answer = await fetch(`http://${formatAddress(this.agent.address)}${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  async agentMetrics(): Promise<Statistics> {
    return new Statistics((await this.page("/metrics")).text);
  }

  /** How many of the agent's watches there are, and how many of them the API server serves at present. */
  async watches(): Promise<{ readonly all: number; readonly up: number }> {
    const { samples } = await this.agentMetrics();
    const found = samples.filter(({ name }) => name === "pointsman_agent_watch_up");
    return { all: found.length, up: found.filter(({ value }) => value === 1).length };
  }

  /** Waits until the agent says that the filter holds what the API server has. */
  async ready(limitMs = READY_LIMIT_MS): Promise<void> {
    await eventually(
      () => this.page("/readyz"),
      ({ status }) => status === 200,
      limitMs,
    );
  }

  async stop(): Promise<void> {
    this.closeClients();
    await Promise.all([this.agent.stop(), this.#envoy.child.stop()]);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Starts both; resolves when the filter holds what the API server has. */
export async function startGateway(options: ClusterGatewayOptions): Promise<ClusterGateway> {
  const dir = mkdtempSync(join(tmpdir(), "pointsman-gateway-"));
  const lines: string[] = [];
  const agent = agentOf(options, dir, lines);
  let envoy: Envoy | undefined;
  try {
    mkdirSync(xdsIn(dir));
    await agent.start();
    envoy = await startBareEnvoy(options, dir, lines);
    const gateway = new ClusterGateway(envoy, agent, dir, lines);
    await gateway.ready();
    return gateway;
  } catch (error) {
    console.error(lines.join("\n"));
    await Promise.all([agent.stop(), envoy?.child.stop()]);
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

function agentOf(options: ClusterGatewayOptions, dir: string, lines: string[]): AgentProcess {
  const { cluster, agentArgs, kubeconfig, inPod, entry = [ENTRY_PATH], env = {} } = options;
  const args = ["--kube", `--socket=${socketIn(dir)}`, `--xds=${xdsIn(dir)}`, ...agentArgs];
  const onLine = (line: string) => lines.push(`agent: ${line}`);
  if (inPod !== undefined) return new AgentProcess([...entry, "agent", ...args], podEnvironment(inPod.server), onLine);
  const environment = { ...env, KUBECONFIG: kubeconfig ?? cluster.kubeconfig() };
  return new AgentProcess([...entry, "agent", `--context=${CONTEXT}`, ...args], environment, onLine);
}

function startBareEnvoy({ filter }: ClusterGatewayOptions, dir: string, lines: string[]): Promise<Envoy> {
  const found = locateEnvoy(undefined);
  if ("problem" in found) throw new Error(found.problem);
  const config = bootstrap({
    listen: LOCAL,
    admin: LOCAL,
    socketPath: socketIn(dir),
    xdsDir: xdsIn(dir),
    filterPath: USAGE_FILTER_PATH,
    ...(filter === undefined ? {} : { filter }),
  });
  const onLine = (line: string) => lines.push(`envoy: ${line}`);
  return startEnvoy({ envoyPath: found.path, config, runDir: dir, concurrency: WORKERS, logLevel: "warning", onLine });
}

function socketIn(dir: string): string {
  return join(dir, "control.sock");
}

function xdsIn(dir: string): string {
  return join(dir, "xds");
}
