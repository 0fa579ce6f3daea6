// etcd and kube-apiserver as child processes, with settings for a machine that is thrown away.

import { generateKeyPairSync } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { locateClusterTools } from "../../../scripts/cluster-tools.ts";
import { type Child, startChild } from "../../../src/envoy/child.ts";

export const ADMIN_TOKEN = "of-the-admin";
/** May do nothing by itself: tests bind roles to it. */
export const USER_TOKEN = "of-the-user";
export const USER_NAME = "user";

/** Who wrote or asked for what, without the bodies; once, when it is over or, for a watch, has begun too. */
const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata" }],
};

export interface ApiServerOptions {
  readonly authorization: "AlwaysAllow" | "RBAC";
  readonly audit: boolean;
  /** Further arguments. */
  readonly args?: readonly string[];
}

/** Writes into `dir` what API servers that share it have in common: keys, users, the audit policy. */
export function prepareApiServers(dir: string): void {
  writeServiceAccountKey(dir);
  const users = [`${ADMIN_TOKEN},admin,1,system:masters`, `${USER_TOKEN},${USER_NAME},2`];
  writeFileSync(join(dir, "users.csv"), `${users.join("\n")}\n`);
  writeFileSync(join(dir, "audit-policy.json"), JSON.stringify(AUDIT_POLICY));
}

/** Tokens that were signed with the key before are refused by the next API server that starts. */
export function writeServiceAccountKey(dir: string): void {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  writeFileSync(join(dir, "service-account.key"), privateKey.export({ type: "sec1", format: "pem" }));
}

export function startEtcd(dir: string, port: number, peerPort: number, onLine: (line: string) => void): Child {
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  // biome-ignore format: one option and its value per line
  const args = [
    "--data-dir", join(dir, "etcd"),
    "--listen-client-urls", client,
    "--advertise-client-urls", client,
    "--listen-peer-urls", peer,
    "--initial-advertise-peer-urls", peer,
    "--initial-cluster", `default=${peer}`,
    "--unsafe-no-fsync",
    "--log-level", "warn",
  ];
  return startChild({ command: tools().etcd, args, isGuarded: true, onLine });
}

export function startKubeApiServer(
  dir: string,
  { port, etcdPort }: { readonly port: number; readonly etcdPort: number },
  { authorization, audit, args: more = [] }: ApiServerOptions,
  onLine: (line: string) => void,
): Child {
  const key = join(dir, "service-account.key");
  const auditArgs = ["--audit-policy-file", join(dir, "audit-policy.json"), "--audit-log-path", auditLog(dir)];
  // biome-ignore format: one option and its value per line
  const args = [
    "--bind-address", "127.0.0.1",
    "--secure-port", String(port),
    "--etcd-servers", `http://127.0.0.1:${etcdPort}`,
    // It signs a certificate for itself and keeps it there; the file holds the authority's too.
    "--cert-dir", certDir(dir),
    "--service-account-key-file", key,
    "--service-account-signing-key-file", key,
    "--service-account-issuer", "https://kubernetes.default.svc",
    "--service-cluster-ip-range", "10.78.0.0/24",
    // Without it the server looks for a default route, and there is none.
    "--advertise-address", "10.77.0.1",
    "--endpoint-reconciler-type", "none",
    "--token-auth-file", join(dir, "users.csv"),
    "--authorization-mode", authorization,
    // Nobody makes the accounts that this would give to pods.
    "--disable-admission-plugins", "ServiceAccount",
    ...(audit ? auditArgs : []),
    ...more,
  ];
  return startChild({ command: tools().kubeApiServer, args, isGuarded: true, onLine });
}

export function crdsDir(): string {
  return tools().crds;
}

export function auditLog(dir: string): string {
  return join(dir, "audit.log");
}

/** The certificate of the authority that API servers with this folder have; undefined before the first has started. */
export function caFile(dir: string): string | undefined {
  const path = join(certDir(dir), "apiserver.crt");
  return existsSync(path) ? path : undefined;
}

/** Ports that nobody listens on. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((listening) => server.once("listening", listening))));
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

function certDir(dir: string): string {
  return join(dir, "certificates");
}

function tools() {
  const found = locateClusterTools();
  if (found === undefined) throw new Error("no API server: run `make test-cluster`");
  return found;
}
