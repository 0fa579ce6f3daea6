// An Envoy whose configuration a test may change, with a topology that the test writes itself: pools of one or
// more servers and what objects say about their models. There is no agent.

import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { USAGE_FILTER_PATH } from "../../../src/cli/paths.ts";
import { RETRY_BUFFER_BYTES, XdsFiles } from "../../../src/control/xds.ts";
import { bootstrap, type FilterConfig } from "../../../src/envoy/bootstrap.ts";
import { locateEnvoy } from "../../../src/envoy/locate.ts";
import { type Envoy, startEnvoy } from "../../../src/envoy/process.ts";
import { PATH_METRICS, PATH_TOPOLOGY } from "../../../src/wire/names.ts";
import type { ModelsSpec } from "../../host/models.ts";
import { encodeMetrics, encodeTopology } from "../../host/snapshot.ts";
import type { Backend } from "./backend.ts";
import { Client, type Protocol } from "./client.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const NAMESPACE = "ns";

export interface ServedPool {
  /** In the namespace "ns". */
  readonly name: string;
  readonly servers: readonly Backend[];
  readonly models?: ModelsSpec;
  readonly failOpen?: boolean;
}

export interface PoolsOptions {
  readonly pools: readonly ServedPool[];
  readonly filter?: FilterConfig;
  readonly concurrency?: number;
  /** HTTP filters before ours. */
  readonly filters?: readonly object[];
  /** Routes before those that the agent would write. */
  readonly routes?: readonly object[];
}

export class Pools {
  readonly #envoy: Envoy;
  readonly #dir: string;
  readonly #clients: Client[] = [];
  #epoch = 0;

  private constructor(envoy: Envoy, dir: string) {
    this.#envoy = envoy;
    this.#dir = dir;
  }

  static async start(options: PoolsOptions): Promise<Pools> {
    const found = locateEnvoy(undefined);
    if ("problem" in found) throw new Error(found.problem);
    const dir = mkdtempSync(join(tmpdir(), "pointsman-pools-"));
    try {
      writeXds(dir, options);
      const { filter = {}, concurrency = 2 } = options;
      const config = bootstrap({
        listen: LOCAL,
        admin: LOCAL,
        socketPath: join(dir, "control.sock"),
        xdsDir: join(dir, "xds"),
        filterPath: USAGE_FILTER_PATH,
        filter,
      });
      httpFilters(config).unshift(...(options.filters ?? []));
      const envoy = await startEnvoy({ envoyPath: found.path, config, runDir: dir, concurrency, logLevel: "warning" });
      const pools = new Pools(envoy, dir);
      await pools.serve(options.pools);
      return pools;
    } catch (error) {
      rmSync(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Puts a topology in force. A worker hears of it with its next request. */
  async serve(pools: readonly ServedPool[]): Promise<void> {
    const specs = pools.map(({ name, servers, ...more }) => ({
      ...more,
      name: `${NAMESPACE}/${name}`,
      endpoints: servers.map((server) => ({ address: server.name })),
    }));
    this.#epoch += 1;
    await this.#put(PATH_TOPOLOGY, encodeTopology(this.#epoch, specs));
    const rows = specs.flatMap(({ endpoints }) => endpoints.map(() => ({ waiting: 0, running: 0, kvUsage: 0 })));
    await this.#put(PATH_METRICS, encodeMetrics(this.#epoch, 1, rows));
  }

  /** A client that is closed with the rest. */
  client(protocol: Protocol = "h1", connections?: number): Client {
    const client = new Client(this.#envoy.listen, protocol, connections);
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.#envoy.child.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #put(path: string, body: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const to = { socketPath: join(this.#dir, "control.sock"), method: "PUT", path, agent: false, timeout: 5_000 };
      const outgoing = request(to, (response) => {
        response.resume();
        if (response.statusCode === 200) response.on("end", resolve);
        else reject(new Error(`${path}: ${response.statusCode}`));
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${path}: no answer`)));
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }
}

/** Envoy's files, as the agent writes them but for the routes of the test. */
function writeXds(dir: string, { pools, filter = {}, routes = [] }: PoolsOptions): void {
  const xdsDir = join(dir, "xds");
  const members = pools.map(({ name, servers }) => ({
    pool: { namespace: NAMESPACE, name, appProtocol: "http" as const },
    endpoints: servers.map(({ address: { host, port } }) => ({ ip: host, port })),
  }));
  const files = new XdsFiles({ dir: xdsDir, defaultPool: filter.defaultPool, retryBufferBytes: RETRY_BUFFER_BYTES });
  files.write(members, members);
  const path = join(xdsDir, "rds.yaml");
  const written = JSON.parse(readFileSync(path, "utf8"));
  written.resources[0].virtual_hosts[0].routes.unshift(...routes);
  writeFileSync(`${path}.test`, JSON.stringify(written));
  renameSync(`${path}.test`, path);
}

/** Of the listener that clients use. */
function httpFilters(config: object): object[] {
  const { static_resources: resources } = config as {
    readonly static_resources: {
      readonly listeners: readonly {
        readonly filter_chains: readonly { readonly filters: readonly { readonly typed_config: object }[] }[];
      }[];
    };
  };
  const { typed_config: manager } = resources.listeners[0]!.filter_chains[0]!.filters[0]!;
  return (manager as { readonly http_filters: object[] }).http_filters;
}
