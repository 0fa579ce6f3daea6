// What a kubelet mounts into a pod, for an agent that runs as in one. /var/run belongs to these tests alone.

import { copyFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "./cluster.ts";

const DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Mounts a service account's token of `namespace`. The account is made. */
export async function mountServiceAccount(cluster: Cluster, namespace: string, name: string): Promise<void> {
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } };
  await cluster.admin.apply(account);
  mkdirSync(DIR, { recursive: true });
  copyFileSync(cluster.server.caFile, join(DIR, "ca.crt"));
  writeFileSync(join(DIR, "namespace"), namespace);
  renewToken(await cluster.admin.token(namespace, name));
}

/** As the kubelet does some time before the token expires. */
export function renewToken(token: string): void {
  const next = join(DIR, "..token");
  writeFileSync(next, token);
  renameSync(next, join(DIR, "token"));
}

/** Where a pod's processes are told that the API server is. */
export function podEnvironment(server: string): NodeJS.ProcessEnv {
  const { hostname, port } = new URL(server);
  return { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
}
