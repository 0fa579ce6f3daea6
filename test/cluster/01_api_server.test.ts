// The cluster that the other files test against.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { WatchEvent } from "../../src/control/kube/client.ts";
import { Backend } from "../e2e/support/backend.ts";
import { Client } from "../e2e/support/client.ts";
import { eventually } from "../e2e/support/eventually.ts";
import { type Cluster, definitions, startCluster } from "./support/cluster.ts";
import { collectionOf, type KubeObject, model, objective, olderPool, pool, rewrite } from "./support/objects.ts";
import { showWhenTestsFail } from "./support/told.ts";

let cluster: Cluster;

showWhenTestsFail(() => cluster.lines);

beforeAll(async () => {
  cluster = await startCluster();
});

afterAll(async () => {
  await cluster?.stop();
});

test("every kind is served, and the server keeps objects of it", async () => {
  expect(definitions().length).toBe(7);
  const poolName = "chat";
  const objects = [
    pool(poolName),
    olderPool(poolName),
    objective("urgent", 5, { poolName }),
    rewrite("rollout", "food", "food-v1", { poolName }),
    model("chatty", { poolName, criticality: "Critical", target: "chatty-v7" }),
  ];
  for (const object of objects) {
    const { spec, kind, metadata } = await cluster.admin.apply(object);
    expect({ kind, name: metadata.name, spec }).toMatchObject({ kind, name: object.metadata.name, spec: object.spec });
    await cluster.admin.remove(object);
  }
});

test("a pod's addresses can be listened on", async () => {
  const backend = await Backend.start({ host: "10.77.3.4", port: 8000 });
  const client = new Client(backend.address);
  expect((await client.call()).json()).toMatchObject({ by: "10.77.3.4:8000" });
  client.close();
  await backend.stop();
});

test("a watch tells of a pod and of its status, breaks when the server is killed, and can be begun again", async () => {
  const client = cluster.client();
  let ready: readonly string[] = [];
  const onEvent = ({ object }: WatchEvent) => {
    const { status } = object as { readonly status?: { readonly podIP?: string } };
    if (status?.podIP !== undefined) ready = [...ready, status.podIP];
  };
  /** Resolves with why it ended. */
  const watch = (signal: AbortSignal) =>
    client.watch(collectionOf("v1", "Pod"), {}, { onEvent, silenceMs: 60_000, signal }).catch(String);
  const isTold = () => eventually(() => ready.includes("10.77.0.9"), Boolean);

  const first = watch(new AbortController().signal);
  await cluster.admin.pod("one", { ip: "10.77.0.9", labels: { app: "chat" } });
  await isTold();
  await cluster.server.kill();
  expect(await first).toContain("does not answer");

  ready = [];
  await cluster.server.start();
  const watching = new AbortController();
  const second = watch(watching.signal);
  await isTold();
  watching.abort();
  await second;
});

test("a service account's token is believed until tokens are forgotten", async () => {
  const account: KubeObject = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "agent" } };
  await cluster.admin.apply(account);
  const client = cluster.client({ token: await cluster.admin.token("default", "agent") });
  await client.get(collectionOf("v1", "Pod"));
  cluster.forgetTokens();
  await cluster.server.kill();
  await cluster.server.start();
  await expect(client.get(collectionOf("v1", "Pod"))).rejects.toThrow("401");
});
