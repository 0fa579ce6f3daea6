// A gateway whose requests may have to wait: servers that keep what they get until the test lets them answer,
// objectives, and the settings of flow control, which a test may change while all is running.

import { stringify } from "yaml";
import { PATH_REPORT } from "../../../src/wire/names.ts";
import { type BandEntry, decodeReport } from "../../host/column.ts";
import { Backend, type Exchange } from "./backend.ts";
import { chat } from "./bodies.ts";
import type { Answer, Call, Client } from "./client.ts";
import { ConfigMap } from "./config-map.ts";
import { eventually } from "./eventually.ts";
import { type Gateway, type GatewayOptions, POOL, startGateway } from "./gateway.ts";
import { onOnePort } from "./pod-addresses.ts";

export const CHAT = "/v1/chat/completions";
const OBJECTIVE = "x-llm-d-inference-objective";
const FAIRNESS = "x-llm-d-inference-fairness-id";

/** Objectives of the pool; their names are what requests ask for. */
export const PRIORITIES = { critical: 10, standard: 0, sheddable: -1 } as const;
export type Objective = keyof typeof PRIORITIES;

export interface Settings {
  /** The feature gate. */
  readonly queues: boolean;
  /** Of each server. */
  readonly maxConcurrency: number;
  /** Further fields of the section flowControl. */
  readonly flowControl?: object;
  /** Further plugins. */
  readonly plugins?: readonly object[];
}

/** The document that says so. Endpoints are picked by requests in flight alone. */
export function queueingDocument({ queues, maxConcurrency, flowControl = {}, plugins = [] }: Settings): string {
  return stringify({
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    ...(queues ? { featureGates: ["flowControl"] } : {}),
    plugins: [
      { type: "active-request-scorer" },
      { name: "full", type: "concurrency-detector", parameters: { concurrencyMode: "requests", maxConcurrency } },
      ...plugins,
    ],
    flowControl: { saturationDetector: { pluginRef: "full" }, ...flowControl },
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "active-request-scorer", weight: 1 }] }],
  });
}

/** An InferenceObjective of POOL. */
function objective(name: string, priority: number): string {
  return stringify({
    apiVersion: "inference.networking.x-k8s.io/v1alpha2",
    kind: "InferenceObjective",
    metadata: { name, namespace: "default" },
    spec: { priority, poolRef: { name: POOL } },
  });
}

export interface QueueingOptions extends Omit<GatewayOptions, "servers"> {
  readonly settings: Settings;
  /** Servers that the test answers for; 1 if left out. */
  readonly held?: number;
  /** In their place: others. */
  readonly servers?: GatewayOptions["servers"];
}

/** What a request asks for beside its body. */
export interface Wish {
  readonly objective?: Objective;
  readonly flow?: string;
}

export function wishes({ objective, flow }: Wish): Readonly<Record<string, string>> {
  return {
    ...(objective === undefined ? {} : { [OBJECTIVE]: objective }),
    ...(flow === undefined ? {} : { [FAIRNESS]: flow }),
  };
}

export class Queueing {
  readonly gateway: Gateway;
  readonly servers: readonly Backend[];
  /** What the servers have got and not answered, in the order in which it came. */
  readonly running: Exchange[];
  /** Called with each request that comes to a server. */
  onCome: (exchange: Exchange) => void = () => {};
  readonly #config: ConfigMap;

  private constructor(gateway: Gateway, servers: readonly Backend[], running: Exchange[], config: ConfigMap) {
    this.gateway = gateway;
    this.servers = servers;
    this.running = running;
    this.#config = config;
  }

  static async start({ settings, held = 1, servers: others, ...options }: QueueingOptions): Promise<Queueing> {
    const running: Exchange[] = [];
    let come: (exchange: Exchange) => void = () => {};
    const handler = async (exchange: Exchange) => {
      // Whoever leaves gives its place back.
      exchange.response.once("close", () => {
        const at = running.indexOf(exchange);
        if (at >= 0) running.splice(at, 1);
      });
      running.push(exchange);
      come(exchange);
    };
    const servers = others === undefined ? await onOnePort(held, (listen) => Backend.start(listen, { handler })) : [];
    const config = new ConfigMap(queueingDocument(settings));
    const gateway = await startGateway({ servers: others ?? servers, configPath: config.path, ...options });
    const queueing = new Queueing(gateway, servers, running, config);
    come = (exchange) => queueing.onCome(exchange);
    await queueing.inForce(() => {
      for (const [name, priority] of Object.entries(PRIORITIES)) queueing.putObjective(name, priority);
    });
    return queueing;
  }

  async stop(): Promise<void> {
    for (const { response } of this.running.splice(0)) response.destroy();
    await this.gateway.stop();
    await Promise.all(this.servers.map((server) => server.stop()));
    this.#config.delete();
  }

  /** An objective's priority; in force later. */
  putObjective(name: string, priority: number): void {
    this.gateway.objects.put(`objective-${name}`, objective(name, priority));
  }

  /** Puts other settings in force. */
  async use(settings: Settings): Promise<void> {
    await this.inForce(() => this.#config.replace(queueingDocument(settings)));
  }

  /** Makes a change that leads to a new topology, and waits until the filter goes by it. */
  async inForce(change: () => void): Promise<void> {
    const before = (await this.gateway.snapshot()).epochs.sent;
    change();
    await eventually(
      async () => (await this.gateway.snapshot()).epochs,
      ({ sent, applied }) => sent !== before && applied === sent,
    );
  }

  /** Sends a chat that is unlike every other unless `call` says what to send. */
  ask(client: Client, wish: Wish = {}, call: Call = {}): Promise<Answer> {
    return client.call({
      path: CHAT,
      body: chat(),
      limitMs: 60_000,
      ...call,
      headers: { ...call.headers, ...wishes(wish) },
    });
  }

  /** The servers answer the oldest request they have. */
  async answerOne(): Promise<void> {
    const exchange = this.running.shift();
    if (exchange === undefined) throw new Error("no server has a request");
    const received = await exchange.read();
    exchange.response.setHeader("content-type", "application/json");
    exchange.response.end(JSON.stringify(received));
  }

  /** Answers whatever comes until `done`. Resolves to how many it answered. */
  async answerAll(done: Promise<unknown>): Promise<number> {
    let [answered, isDone] = [0, false];
    void done.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      while (this.running.length > 0) {
        await this.answerOne();
        answered += 1;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    return answered;
  }

  async bands(): Promise<readonly BandEntry[]> {
    const { body } = await this.gateway.control("GET", PATH_REPORT);
    return decodeReport(body).columns.flatMap((column) => column.bands);
  }

  /** Requests that wait, on all workers; of one priority if one is named. */
  async waiting(priority?: number): Promise<number> {
    const bands = (await this.bands()).filter((band) => priority === undefined || band.priority === priority);
    return bands.reduce((sum, band) => sum + band.waiting, 0);
  }

  /** Waits until so many wait. */
  async expectWaiting(count: number, limitMs?: number): Promise<void> {
    await eventually(
      () => this.waiting(),
      (waiting) => waiting === count,
      limitMs,
    );
  }

  /** Waits until the servers have so many requests. */
  async expectRunning(count: number): Promise<void> {
    await eventually(
      () => this.running.length,
      (running) => running === count,
    );
  }

  /**
   * Waits until so many requests ended so (ADMITTED_AT_ONCE and others of src/wire/report.ts), on the workers that
   * live. They tell it with their next tick.
   */
  async expectOutcomes(outcome: number, count: number): Promise<void> {
    await eventually(
      async () => (await this.bands()).reduce((sum, band) => sum + (band.outcomes[outcome] ?? 0), 0),
      (sum) => sum === count,
    );
  }

  /** Nothing waits and nothing is in flight. */
  async expectEmpty(limitMs?: number): Promise<void> {
    await eventually(
      async () => [await this.waiting(), await this.gateway.inFlight()],
      (counts) => counts.every((count) => count === 0),
      limitMs,
    );
  }
}

/** What came of an exchange, whatever it was. */
export function cameOf(answer: Promise<Answer>): Promise<Answer | Error> {
  return answer.catch((error: Error) => error);
}
