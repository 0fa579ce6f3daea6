// A cluster without nodes: etcd and a kube-apiserver with the CRDs of the kinds that Pointsman reads. No controllers
// run, so what they would write the tests write.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { parse, stringify } from "yaml";
import { KubeClient } from "../../../src/control/kube/client.ts";
import type { Child } from "../../../src/envoy/child.ts";
import type { Admin } from "./admin.ts";
import { ApiServer } from "./api-server.ts";
import type { KubeObject } from "./objects.ts";
import {
  ADMIN_TOKEN,
  type ApiServerOptions,
  auditLog,
  crdsDir,
  freePorts,
  prepareApiServers,
  startEtcd,
  writeServiceAccountKey,
} from "./processes.ts";

export interface ClusterOptions {
  /** Default: everyone may do everything. */
  readonly authorization?: ApiServerOptions["authorization"];
  readonly audit?: boolean;
  /** Of a CRD's name, as `inferencepools.inference.networking.k8s.io`; all are there when it is not given. */
  readonly isLeftOut?: (name: string) => boolean;
}

/** An event of the audit log, as far as tests look at it. */
export interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code: number };
}

export interface KubeconfigOptions {
  readonly token?: string;
  /** A file that holds the token and may be written again. */
  readonly tokenFile?: string;
  readonly namespace?: string;
  /** Where the server is reached; the cluster's own address when it is not given. */
  readonly server?: string;
}

/** Name of the context that kubeconfig files have. */
export const CONTEXT = "test";

export class Cluster {
  readonly dir = mkdtempSync(join(tmpdir(), "pointsman-cluster-"));
  readonly #options: ApiServerOptions;
  readonly #lines: string[] = [];
  #etcd: Child | undefined;
  #etcdPort = 0;
  #server: ApiServer | undefined;
  #others: ApiServer[] = [];
  #clients: KubeClient[] = [];
  #kubeconfigs = 0;

  constructor({ authorization = "AlwaysAllow", audit = false }: ClusterOptions) {
    this.#options = { authorization, audit };
    prepareApiServers(this.dir);
  }

  /** The API server that agents are told of. */
  get server(): ApiServer {
    return this.#server!;
  }

  get admin(): Admin {
    return this.server.admin;
  }

  async start(crds: readonly KubeObject[]): Promise<void> {
    const [etcdPort, peerPort, port] = (await freePorts(3)) as [number, number, number];
    this.#etcdPort = etcdPort;
    this.#etcd = startEtcd(this.dir, etcdPort, peerPort, this.#keep("etcd"));
    this.#server = this.#apiServer(port);
    await this.#server.start();
    await Promise.all(crds.map((crd) => this.admin.define(crd)));
  }

  /** Starts another API server on the same objects. */
  async another(): Promise<ApiServer> {
    const [port] = (await freePorts(1)) as [number];
    const server = this.#apiServer(port);
    this.#others.push(server);
    await server.start();
    return server;
  }

  /** Tokens of service accounts that were given so far will not be believed after the API server's next start. */
  forgetTokens(): void {
    writeServiceAccountKey(this.dir);
  }

  /** Takes from etcd all but what is true now: who asks for what changed since earlier gets 410 Gone. */
  async compact(): Promise<void> {
    // One more revision: of the last one etcd still knows what changed, but not from what.
    const { header } = await this.#etcdCall("/v3/kv/put", { key: btoa("compacted"), value: "" });
    await this.#etcdCall("/v3/kv/compaction", { revision: header.revision, physical: true });
  }

  /** A client of the agent's kind, the administrator's unless a token is given. */
  client(options: KubeconfigOptions = {}): KubeClient {
    const config = new KubeConfig();
    config.loadFromFile(this.kubeconfig(options));
    const client = new KubeClient(config);
    this.#clients.push(client);
    return client;
  }

  /** Writes a kubeconfig file with one context, CONTEXT; returns its path. */
  kubeconfig({ token, tokenFile, namespace = "default", server = this.server.url }: KubeconfigOptions = {}): string {
    const user = tokenFile === undefined ? { token: token ?? ADMIN_TOKEN } : { tokenFile };
    this.#kubeconfigs += 1;
    const path = join(this.dir, `kubeconfig-${this.#kubeconfigs}.yaml`);
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster: { server, "certificate-authority": this.server.caFile } }],
      users: [{ name: "test", user }],
      contexts: [{ name: CONTEXT, context: { cluster: "test", user: "test", namespace } }],
      "current-context": CONTEXT,
    };
    writeFileSync(path, stringify(config));
    return path;
  }

  /** What was asked of the API servers so far. */
  auditEvents(): readonly AuditEvent[] {
    const lines = readFileSync(auditLog(this.dir), "utf8").split("\n");
    return lines.filter(Boolean).map((line) => JSON.parse(line) as AuditEvent);
  }

  /** What etcd and the API servers have written. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
    // Nothing is to be saved.
    await Promise.all([...this.#others, this.#server].map((server) => server?.kill()));
    await this.#etcd?.stop("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }

  #apiServer(port: number): ApiServer {
    const place = { dir: this.dir, port, etcdPort: this.#etcdPort };
    return new ApiServer(place, this.#options, this.#keep(`kube-apiserver:${port}`));
  }

  #keep(who: string): (line: string) => void {
    return (line) => this.#lines.push(`${who}: ${line}`);
  }

  #etcdCall(path: string, body: object): Promise<{ readonly header: { readonly revision: string } }> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ host: "127.0.0.1", port: this.#etcdPort, method: "POST", path }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => {
          text += piece;
        });
        response.on("end", () => {
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`etcd: ${path}: ${response.statusCode} ${text}`));
        });
      });
      outgoing.on("error", reject).end(JSON.stringify(body));
    });
  }
}

/** Starts it and waits until every kind is served. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(options);
  try {
    await cluster.start(definitions().filter(({ metadata }) => !options.isLeftOut?.(metadata.name)));
    return cluster;
  } catch (error) {
    console.error(cluster.lines.join("\n"));
    await cluster.stop();
    throw error;
  }
}

/** The CRDs. */
export function definitions(): readonly KubeObject[] {
  const files = readdirSync(crdsDir()).map((name) => readFileSync(join(crdsDir(), name), "utf8"));
  return files.map((text) => parse(text) as KubeObject);
}
