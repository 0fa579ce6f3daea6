// The agent has the rights of the manifests under envoy/gateway/ and no others. It must do all of its work with them,
// ask for nothing that they do not allow, and use every one of them.

import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments, stringify } from "yaml";
import type { Backend } from "../e2e/support/backend.ts";
import { eventually } from "../e2e/support/eventually.ts";
import { type AuditEvent, type Cluster, startCluster } from "./support/cluster.ts";
import { type ClusterGateway, startGateway } from "./support/gateway.ts";
import { conditionOf } from "./support/model-conditions.ts";
import {
  collectionOf,
  GROUP_LLM_D,
  GROUP_OLDER,
  type KubeObject,
  model,
  objective,
  olderPool,
  pod,
  pool,
  rewrite,
} from "./support/objects.ts";
import { askedIn, isCovered, rightsIn } from "./support/rights.ts";
import { served, startServers } from "./support/served.ts";
import { showWhenTestsFail } from "./support/told.ts";

const MANIFESTS = "envoy/gateway";
const OWN_NAMESPACE = "envoy-gateway-system";
const ACCOUNT = "pointsman";
const USERNAME = `system:serviceaccount:${OWN_NAMESPACE}:${ACCOUNT}`;
const CONFIG_MAP = "pointsman-config";
const ADDRESS = "10.77.6.1";
/** The only thing beside objects that may be asked for; everybody may. */
const DISCOVERY = /^\/apis\/[^/?]+\/[^/?]+$/;

function documents(yaml: string): readonly KubeObject[] {
  return parseAllDocuments(yaml).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as KubeObject;
  });
}

function inAllNamespaces(): readonly KubeObject[] {
  return globSync(`${MANIFESTS}/*.yaml`).flatMap((path) => documents(readFileSync(path, "utf8")));
}

/** By the commands of the README, with "team" in the place of NS. */
function inOneNamespace(): readonly KubeObject[] {
  const readme = readFileSync(`${MANIFESTS}/README.md`, "utf8");
  const files = /^ +kubectl apply (-f service-account.yaml .*)$/m.exec(readme)![1]!.split("-f").slice(1);
  const sed = /^ +(sed .*) \| kubectl apply -f -$/m.exec(readme)![1]!.replace("NS", "team");
  return [
    ...files.flatMap((name) => documents(readFileSync(`${MANIFESTS}/${name.trim()}`, "utf8"))),
    ...documents(execFileSync("sh", ["-c", sed], { cwd: MANIFESTS, encoding: "utf8" })),
  ];
}

function configMap(text: string): KubeObject {
  const metadata = { name: CONFIG_MAP, namespace: OWN_NAMESPACE };
  return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "config.yaml": text } };
}

describe.each([
  { what: "all namespaces", namespace: "default", manifests: inAllNamespaces(), args: ["--all-pools"] },
  { what: "one namespace", namespace: "team", manifests: inOneNamespace(), args: ["--namespace=team"] },
])("of $what", ({ namespace, manifests, args }) => {
  let cluster: Cluster;
  let servers: readonly Backend[] = [];
  let gateway: ClusterGateway;
  let token: string;

  showWhenTestsFail(() => [...cluster.lines, ...gateway.lines]);

  beforeAll(async () => {
    [cluster, servers] = await Promise.all([
      startCluster({ authorization: "RBAC", audit: true }),
      startServers(`${ADDRESS}:8000`),
    ]);
    for (const name of [OWN_NAMESPACE, namespace])
      await cluster.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    for (const manifest of manifests) await cluster.admin.apply(manifest);
    token = await cluster.admin.token(OWN_NAMESPACE, ACCOUNT);
    const plain = {
      apiVersion: "llm-d.ai/v1alpha1",
      kind: "EndpointPickerConfig",
      plugins: [{ type: "queue-scorer" }],
    };
    await cluster.admin.apply(configMap(stringify(plain)));
    for (const object of everyKind(namespace)) await cluster.admin.apply(object);
    gateway = await startGateway({
      cluster,
      agentArgs: [...args, `--config-map=${CONFIG_MAP}`, `--default-pool=${namespace}/chat`],
      kubeconfig: cluster.kubeconfig({ token, namespace: OWN_NAMESPACE }),
    });
  });

  afterAll(async () => {
    await gateway?.stop();
    await cluster?.stop();
    for (const server of servers) await server.stop();
  });

  function events(): readonly AuditEvent[] {
    return cluster.auditEvents().filter(({ user }) => user.username === USERNAME);
  }

  async function eventOf(kind: string): Promise<KubeObject | undefined> {
    const all = await cluster.admin.list("events.k8s.io/v1", "Event", kind === "Pod" ? namespace : OWN_NAMESPACE);
    return all.find(({ regarding }) => (regarding as { readonly kind: string }).kind === kind);
  }

  async function accepted(name: string): Promise<string | undefined> {
    return conditionOf(await cluster.admin.get(model(name, { namespace, poolName: "chat" })))?.reason;
  }

  test("the agent does all of its work", async () => {
    const { admin } = cluster;
    const client = gateway.client();
    // What is new is seen by watches, whatever was there when the agent started.
    await admin.apply(pod("chat-1", { namespace, labels: { app: "chat" } }));
    await admin.setReady("chat-1", { ip: ADDRESS, ready: true, namespace });
    await eventually(
      () => served(client, { model: "chatty" }),
      ({ by, model }) => by === `${ADDRESS}:8000` && model === "chatty-v2",
    );
    await eventually(
      () => accepted("chatty"),
      (reason) => reason === "Accepted",
    );
    const annotations = { "llm-d.ai/active-ports": "eight thousand" };
    await admin.apply(pod("chat-2", { namespace, labels: { app: "chat" }, annotations }));
    await eventually(() => eventOf("Pod"), Boolean);
    await admin.apply(configMap("plugins: none"));
    await eventually(() => eventOf("ConfigMap"), Boolean);
  });

  test("it uses every right that they give", async () => {
    const unused = () => {
      const asked = events().flatMap((event) => askedIn(event) ?? []);
      return manifests.flatMap(rightsIn).filter((right) => !asked.some((each) => isCovered(each, right)));
    };
    // A Lease is renewed every two seconds.
    expect(await eventually(unused, (rights) => rights.length === 0)).toEqual([]);
  });

  test("it asks for nothing that the manifests do not allow", async () => {
    // Nor when it ends and gives up its Lease.
    await gateway.agent.stop();
    const rights = manifests.flatMap(rightsIn);
    const beyond = events().filter((event) => {
      const asked = askedIn(event);
      return asked === undefined ? !DISCOVERY.test(event.requestURI) : !rights.some((right) => isCovered(asked, right));
    });
    expect(beyond).toEqual([]);
    expect(events().filter(({ responseStatus }) => [401, 403].includes(responseStatus?.code ?? 0))).toEqual([]);
  });

  test.each(["Secret", "Service", "Lease"])("it may not list: %s", async (kind) => {
    const apiVersion = kind === "Lease" ? "coordination.k8s.io/v1" : "v1";
    const client = cluster.client({ token });
    for (const where of [OWN_NAMESPACE, namespace])
      await expect(client.get(collectionOf(apiVersion, kind, where))).rejects.toMatchObject({ status: 403 });
  });

  test("another ConfigMap than its own is not for it to see", async () => {
    const client = cluster.client({ token });
    const path = collectionOf("v1", "ConfigMap", OWN_NAMESPACE);
    await client.get(path, { fieldSelector: `metadata.name=${CONFIG_MAP}` });
    await expect(client.get(path)).rejects.toMatchObject({ status: 403 });
    await expect(client.get(`${path}/other`)).rejects.toMatchObject({ status: 403 });
  });
});

/** In every group that has it. */
function everyKind(namespace: string): readonly KubeObject[] {
  const to = { namespace, poolName: "chat" };
  return [
    pool("chat", { namespace }),
    olderPool("older", { namespace }),
    objective("urgent", 5, to),
    objective("later", -1, { ...to, apiVersion: GROUP_OLDER }),
    rewrite("small", "small", "small-v2", { ...to, apiVersion: GROUP_LLM_D }),
    rewrite("large", "large", "large-v2", { ...to, apiVersion: GROUP_OLDER }),
    model("chatty", { ...to, target: "chatty-v2" }),
  ];
}
