// What is created, changed and deleted in the API server is in force for a real Envoy's requests within a second, and
// whether a pod is ready within half of one.

import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { HEADER_OBJECTIVE } from "../../src/wire/names.ts";
import type { Backend } from "../e2e/support/backend.ts";
import type { Client } from "../e2e/support/client.ts";
import { eventually } from "../e2e/support/eventually.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";
import { type ClusterGateway, startGateway } from "./support/gateway.ts";
import { leastMs, type Step } from "./support/least.ts";
import {
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
import { explained, POOL_HEADER, served, startServers } from "./support/served.ts";
import { showWhenTestsFail } from "./support/told.ts";

const CHANGE_MS_MAX = 1_000;
const READINESS_MS_MAX = 500;
const CONFIG_MAP = "picker";

let cluster: Cluster;
let servers: readonly Backend[] = [];
let gateway: ClusterGateway;
let client: Client;

showWhenTestsFail(() => [...cluster.lines, ...gateway.lines]);

beforeAll(async () => {
  [cluster, servers] = await Promise.all([
    startCluster(),
    startServers("10.77.1.1:8000", "10.77.1.2:8000", "10.77.1.2:8001", "10.77.1.3:8000"),
  ]);
  await cluster.admin.apply(pool("chat"));
  await cluster.admin.apply(configMap("queue-scorer"));
  await cluster.admin.pod("chat-1", { ip: "10.77.1.1", labels: { app: "chat" } });
  gateway = await startGateway({
    cluster,
    agentArgs: ["--all-pools", "--namespace=default", "--default-pool=default/chat", `--config-map=${CONFIG_MAP}`],
    filter: { explain: true, poolHeader: POOL_HEADER, defaultPool: "default/chat" },
  });
  client = gateway.client();
});

afterAll(async () => {
  await gateway?.stop();
  await cluster?.stop();
  for (const server of servers) await server.stop();
});

/** Schedules by one scorer. */
function configMap(scorer: string): KubeObject {
  const document = {
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins: [{ type: scorer }],
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: scorer }] }],
  };
  const data = { "config.yaml": stringify(document) };
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: CONFIG_MAP, namespace: "default" }, data };
}

/** What is told is shown beside the test's result. */
type Annotate = (text: string) => Promise<unknown>;

async function expectWithin(limitMs: number, steps: readonly Step[], annotate: Annotate): Promise<void> {
  const least = await leastMs(steps);
  await annotate(`in force after, ms: ${JSON.stringify(Object.fromEntries(least))}`);
  for (const [what, ms] of least) expect(ms, what).toBeLessThan(limitMs);
}

/** What a request is answered with, or the explanation of its pick, has these fields. */
function has(found: () => Promise<object>, wanted: object): Step["isReached"] {
  return async () => {
    const all = new Map(Object.entries(await found()));
    return Object.entries(wanted).every(([name, value]) => isDeepStrictEqual(all.get(name), value));
  };
}

describe.each([
  ["InferencePool", pool],
  ["InferencePool of the older group", olderPool],
])("%s", (_, poolOf) => {
  test("created, changed, deleted", async ({ annotate }) => {
    const { admin } = cluster;
    await admin.pod("other-1", { ip: "10.77.1.2", labels: { app: "other" } });
    const answer = () => served(client, { pool: "default/other" });
    const steps: readonly Step[] = [
      {
        what: "created",
        change: () => admin.apply(poolOf("other")),
        isReached: has(answer, { by: "10.77.1.2:8000" }),
      },
      {
        what: "another port",
        change: () => admin.apply(poolOf("other", { port: 8001 })),
        isReached: has(answer, { by: "10.77.1.2:8001" }),
      },
      // Its requests are for the default pool then.
      {
        what: "deleted",
        change: () => admin.remove(poolOf("other")),
        isReached: has(answer, { by: "10.77.1.1:8000" }),
      },
    ];
    await expectWithin(CHANGE_MS_MAX, steps, annotate);
    await admin.remove(pod("other-1", {}));
  });
});

describe("Pod", () => {
  const lone = { ip: "10.77.1.3", labels: { app: "lone" } };
  const answer = () => served(client, { pool: "default/lone" });
  const isServed = has(answer, { by: "10.77.1.3:8000" });
  const isRefused = has(answer, { status: 503 });

  beforeAll(async () => {
    await cluster.admin.apply(pool("lone"));
    await eventually(() => isRefused(1), Boolean);
  });

  test("created, moved, deleted, and about to be deleted", async ({ annotate }) => {
    const { admin } = cluster;
    const finalizers = ["example.com/hold"];
    const steps: readonly Step[] = [
      { what: "created", change: () => admin.pod("lone-1", lone), isReached: isServed },
      {
        what: "another address",
        change: () => admin.setReady("lone-1", { ip: "10.77.1.1", ready: true }),
        isReached: has(answer, { by: "10.77.1.1:8000" }),
      },
      { what: "deleted", change: () => admin.remove(pod("lone-1", {})), isReached: isRefused },
      {
        what: "created with a finalizer",
        change: () => admin.pod("held", { ...lone, finalizers }),
        isReached: isServed,
      },
      { what: "about to be deleted", change: () => admin.remove(pod("held", {})), isReached: isRefused },
      {
        what: "gone",
        change: () => admin.patch(pod("held", {}), { metadata: { finalizers: null } }),
        isReached: async () => (await admin.list("v1", "Pod")).every(({ metadata }) => metadata.name !== "held"),
      },
    ];
    await expectWithin(CHANGE_MS_MAX, steps, annotate);
  });

  test("ready and not", async ({ annotate }) => {
    const { admin } = cluster;
    await admin.pod("lone-1", { ...lone, ready: false });
    const flip = (ready: boolean) => () => admin.setReady("lone-1", { ip: lone.ip, ready });
    const steps: readonly Step[] = [
      { what: "ready", change: flip(true), isReached: isServed },
      { what: "not ready", change: flip(false), isReached: isRefused },
    ];
    await expectWithin(READINESS_MS_MAX, steps, annotate);
  });

  test("its label no longer, or again, what the pool selects by", async ({ annotate }) => {
    const { admin } = cluster;
    const label = (app: string) => () => admin.apply(pod("lone-2", { labels: { app } }));
    await admin.pod("lone-2", { ...lone, labels: { app: "none" } });
    const steps: readonly Step[] = [
      { what: "selected", change: label("lone"), isReached: isServed },
      { what: "not selected", change: label("none"), isReached: isRefused },
    ];
    await expectWithin(CHANGE_MS_MAX, steps, annotate);
  });
});

describe.each([GROUP_LLM_D, GROUP_OLDER])("%s", (apiVersion) => {
  const of = { apiVersion, poolName: "chat" };

  test("InferenceObjective: created, changed, deleted", async ({ annotate }) => {
    const { admin } = cluster;
    const headers = { [HEADER_OBJECTIVE]: "urgent" };
    const priority = async () => ({ priority: (await explained(client, { headers })).priority ?? 0 });
    const steps: readonly Step[] = [
      {
        what: "created",
        change: () => admin.apply(objective("urgent", 5, of)),
        isReached: has(priority, { priority: 5 }),
      },
      {
        what: "another priority",
        change: () => admin.apply(objective("urgent", -7, of)),
        isReached: has(priority, { priority: -7 }),
      },
      {
        what: "deleted",
        change: () => admin.remove(objective("urgent", 5, of)),
        isReached: has(priority, { priority: 0 }),
      },
    ];
    await expectWithin(CHANGE_MS_MAX, steps, annotate);
  });

  test("InferenceModelRewrite: created, changed, deleted", async ({ annotate }) => {
    const { admin } = cluster;
    const answer = () => served(client, { model: "food" });
    const to = (target: string) => rewrite("rollout", "food", target, of);
    const steps: readonly Step[] = [
      { what: "created", change: () => admin.apply(to("food-v1")), isReached: has(answer, { model: "food-v1" }) },
      {
        what: "another target",
        change: () => admin.apply(to("food-v2")),
        isReached: has(answer, { model: "food-v2" }),
      },
      { what: "deleted", change: () => admin.remove(to("food-v2")), isReached: has(answer, { model: "food" }) },
    ];
    await expectWithin(CHANGE_MS_MAX, steps, annotate);
  });
});

test("InferenceModel: created, changed, deleted", async ({ annotate }) => {
  const { admin } = cluster;
  const answer = async () => {
    const { priority = 0 } = await explained(client, { model: "chatty" });
    return { ...(await served(client, { model: "chatty" })), priority };
  };
  const chatty = (target: string, criticality: "Critical" | "Sheddable") =>
    model("chatty", { poolName: "chat", target, criticality });
  const steps: readonly Step[] = [
    {
      what: "created",
      change: () => admin.apply(chatty("chatty-v1", "Critical")),
      isReached: has(answer, { model: "chatty-v1", priority: 1 }),
    },
    {
      what: "another target and criticality",
      change: () => admin.apply(chatty("chatty-v2", "Sheddable")),
      isReached: has(answer, { model: "chatty-v2", priority: -1 }),
    },
    {
      what: "deleted",
      change: () => admin.remove(chatty("chatty-v2", "Sheddable")),
      isReached: has(answer, { model: "chatty", priority: 0 }),
    },
  ];
  await expectWithin(CHANGE_MS_MAX, steps, annotate);
});

test("ConfigMap: changed; deleted it stays in force, and created again it counts", async ({ annotate }) => {
  const { admin } = cluster;
  const scorers = async () => {
    const { steps } = await explained(client);
    return { scorers: steps.flatMap((step) => ("scorer" in step ? step.scorer : [])) };
  };
  expect(await scorers()).toEqual({ scorers: ["queue-scorer"] });
  const steps: readonly Step[] = [
    {
      what: "changed",
      change: () => admin.apply(configMap("kv-cache-utilization-scorer")),
      isReached: has(scorers, { scorers: ["kv-cache-utilization-scorer"] }),
    },
    {
      what: "created again",
      change: async () => {
        await admin.remove(configMap("queue-scorer"));
        // The agent says that it is gone, and goes on by what it said.
        await eventually(async () => (await gateway.page("/snapshot")).text.includes("not found"), Boolean);
        expect(await scorers()).toEqual({ scorers: ["kv-cache-utilization-scorer"] });
        await admin.apply(configMap("queue-scorer"));
      },
      isReached: has(scorers, { scorers: ["queue-scorer"] }),
    },
  ];
  await expectWithin(CHANGE_MS_MAX, steps, annotate);
});
