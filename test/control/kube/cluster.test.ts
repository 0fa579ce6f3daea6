// Which Lease agents hold that are for different pools.

import { expect, onTestFinished, test } from "vitest";
import { KubeClient } from "../../../src/control/kube/client.ts";
import { Cluster } from "../../../src/control/kube/cluster.ts";
import type { Scope } from "../../../src/control/source/scope.ts";
import { until } from "../until.ts";
import { fakeApiServer } from "./fake-api-server.ts";

const LEASES = "/apis/coordination.k8s.io/v1/namespaces";

test.each<[string, Partial<Scope>, string]>([
  ["all pools", {}, "own/leases/pointsman"],
  ["all pools of a namespace", { namespace: "ns" }, "ns/leases/pointsman"],
  ["one pool", { namespace: "ns", pool: "chat" }, "ns/leases/pointsman-chat"],
  ["the pools of a picker", { picker: "chat" }, "own/leases/pointsman-picker-chat"],
])("an agent for %s has a Lease with others for the same", async (_, scope, expected) => {
  const server = await fakeApiServer();
  const all: Scope = { namespace: undefined, pool: undefined, picker: undefined, poolsWithoutPicker: false };
  const client = new KubeClient(server.config());
  const cluster = new Cluster({
    found: { client, ownNamespace: "own", scope: { ...all, ...scope }, configMap: undefined },
    log: () => {},
    onObjects: () => {},
    onConfigMap: () => {},
  });
  onTestFinished(() => cluster.stop());
  await until("the Lease is held", () => cluster.leading);
  expect(server.read(`${LEASES}/${expected}`)).toBeDefined();
});
