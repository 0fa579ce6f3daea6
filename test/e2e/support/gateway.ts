// The whole of it for one test file: Envoy with the filter, the agent, the folder of objects, clients.

import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { startUp, type Up, type UpOptions } from "../../../src/cli/up.ts";
import { decodeSnapshot } from "../../../src/control/decode.ts";
import { decodeReport, type Report } from "../../../src/control/report.ts";
import type { PoolView } from "../../../src/control/snapshot.ts";
import type { Address } from "../../../src/envoy/address.ts";
import { adminGet } from "../../../src/envoy/process.ts";
import { PATH_METRICS, PATH_REPORT } from "../../../src/wire/names.ts";
import { Client, type Protocol } from "./client.ts";
import { eventually } from "./eventually.ts";
import { Objects, type PoolSpec } from "./objects.ts";
import { type Labels, Statistics } from "./statistics.ts";

export const POOL = "chat";

export interface GatewayOptions extends Omit<UpOptions, "objectsDir"> {
  /** The pods of the pool, all on one port. None: the folder of objects begins empty. */
  readonly servers: readonly { readonly address: Address }[];
  readonly pool?: Partial<PoolSpec>;
}

/** What GET /snapshot of the agent answers. */
export interface SnapshotView {
  readonly pools: readonly PoolView[];
  readonly epochs: { readonly sent: number | null; readonly applied: number | null };
}

type Places = Pick<Up, "listen" | "admin" | "agent" | "socketPath">;

/** An Envoy with the filter and the agent that feeds it, asked over the places where they listen. */
export class Running {
  readonly #places: Places;
  /** What Envoy and the agent have written. */
  readonly lines: readonly string[];
  readonly #clients: Client[] = [];

  constructor(places: Places, lines: readonly string[]) {
    this.#places = places;
    this.lines = lines;
  }

  /** A client that is closed with the gateway. */
  client(protocol: Protocol = "h1", connections?: number): Client {
    const client = new Client(this.#places.listen, protocol, connections);
    this.#clients.push(client);
    return client;
  }

  async statistics(): Promise<Statistics> {
    return new Statistics((await adminGet(this.#places.admin, "/stats/prometheus")) ?? "");
  }

  /** Waits until the samples of a statistic add up to `value`: workers tell what they counted in batches. */
  async counted(name: string, labels: Labels, value: number): Promise<void> {
    await eventually(
      async () => (await this.statistics()).sum(name, labels),
      (sum) => sum === value,
    );
  }

  /** What the agent says is in force. */
  async snapshot(): Promise<SnapshotView> {
    return JSON.parse((await ask(this.#places.agent, "GET", "/snapshot")).body.toString()) as SnapshotView;
  }

  /** A call on the control socket. */
  control(method: string, path: string, body?: Buffer): Promise<{ readonly status: number; readonly body: Buffer }> {
    return ask(this.#places.socketPath, method, path, body);
  }

  /** What the workers know. */
  async report(): Promise<Report> {
    const decoded = decodeReport((await this.control("GET", PATH_REPORT)).body);
    if (!decoded.ok) throw new Error(decoded.error.message);
    return decoded.value;
  }

  /**
   * Waits until so many workers are told what the others learn: each from the first tick after its first request.
   * What was learned before that, it does not know.
   */
  async joined(workers: number): Promise<void> {
    await eventually(
      async () => (await this.report()).workers.length,
      (count) => count === workers,
    );
  }

  /** Requests in flight on all endpoints, as the workers report them. */
  async inFlight(): Promise<number> {
    const { workers } = await this.report();
    return workers.flatMap(({ entries }) => entries).reduce((sum, entry) => sum + entry.inFlight, 0);
  }

  /**
   * Waits until no worker counts a request that is over. A worker hears of the end of another one's request some
   * milliseconds after the client does, and until then the endpoint is a little less welcome to it.
   */
  async settled(): Promise<void> {
    await eventually(
      () => this.inFlight(),
      (count) => count === 0,
    );
    await sleep(HEARD_WITHIN_MS);
  }

  /** Waits until what every endpoint of the objects says of itself is in force for the filter. */
  async measured(): Promise<void> {
    await eventually(async () => {
      const { pools, epochs } = await this.snapshot();
      const endpoints = pools.flatMap((pool) => pool.endpoints);
      const { status, body } = await this.control("GET", PATH_METRICS);
      const decoded = decodeSnapshot(body);
      if (status !== 200 || !decoded.ok || decoded.value.kind !== "metrics") return false;
      const { epoch, rows } = decoded.value.metrics;
      const isOfObjects = endpoints.length > 0 && rows.length === endpoints.length && epoch === epochs.sent;
      return isOfObjects && rows.every(({ waiting }) => waiting !== undefined);
    }, Boolean);
  }

  /** Connections of clients that Envoy has accepted, by worker. */
  async connectionsByWorker(): Promise<readonly number[]> {
    const page = (await adminGet(this.#places.admin, "/stats?filter=downstream_cx_total")) ?? "";
    const pattern = /^listener\.127\.0\.0\.1_\d+\.worker_\d+\.downstream_cx_total: (\d+)$/gm;
    return [...page.matchAll(pattern)].map(([, count]) => Number(count));
  }

  /** HTTP/2 clients, each over one connection: `perWorker` of them on each worker, in the order of the workers. */
  async clientsByWorker(perWorker = 1): Promise<readonly (readonly Client[])[]> {
    const byWorker: Client[][] = (await this.connectionsByWorker()).map(() => []);
    for (let tried = 0; byWorker.some((clients) => clients.length < perWorker); ++tried) {
      if (tried === CONNECTIONS_TRIED_MAX) throw new Error("the connections do not reach every worker");
      const before = await this.connectionsByWorker();
      const client = new Client(this.#places.listen, "h2");
      await client.call({ path: "/v1/completions", body: "no json" });
      const after = await this.connectionsByWorker();
      const worker = after.findIndex((count, n) => count > before[n]!);
      const clients = byWorker[worker];
      if (clients === undefined || clients.length === perWorker) {
        client.close();
        continue;
      }
      clients.push(client);
      this.#clients.push(client);
    }
    return byWorker;
  }

  closeClients(): void {
    for (const client of this.#clients) client.close();
  }
}

export class Gateway extends Running {
  readonly up: Up;
  readonly objects: Objects;

  constructor(up: Up, objects: Objects, lines: readonly string[]) {
    super(up, lines);
    this.up = up;
    this.objects = objects;
  }

  async stop(): Promise<void> {
    this.closeClients();
    await this.up.stop();
    this.objects.delete();
  }
}

/** Starts it with one pool, named POOL, of ready pods named pod-1, pod-2, … */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { servers, pool, ...up } = options;
  const objects = new Objects();
  const port = servers[0]?.address.port;
  if (port !== undefined) objects.putPool({ name: POOL, port, ...pool });
  servers.forEach(({ address }, index) => {
    objects.putPod({ name: `pod-${index + 1}`, ip: address.host, pool: POOL });
  });
  const lines: string[] = [];
  try {
    const started = await startUp({
      objectsDir: objects.dir,
      concurrency: 2,
      onLine: (line) => lines.push(line),
      ...up,
    });
    return new Gateway(started, objects, lines);
  } catch (error) {
    objects.delete();
    throw error;
  }
}

/** The kernel deals connections out to workers; that 100 all miss one of two has odds of 1 in 10³⁰. */
const CONNECTIONS_TRIED_MAX = 100;
const ASK_LIMIT_MS = 5_000;
/** Some ticks of a worker. */
const HEARD_WITHIN_MS = 50;

function ask(
  where: Address | string,
  method: string,
  path: string,
  body?: Buffer,
): Promise<{ readonly status: number; readonly body: Buffer }> {
  const to = typeof where === "string" ? { socketPath: where } : { host: where.host, port: where.port };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...to, method, path, agent: false, timeout: ASK_LIMIT_MS }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces) }));
      response.on("error", reject);
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path}: no answer in ${ASK_LIMIT_MS} ms`)));
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
