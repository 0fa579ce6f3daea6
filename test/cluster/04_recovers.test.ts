// Whatever happens to the agent's ties with the API server, it comes back to them by itself, and until then what was in
// force stays so. The agent runs as in a pod, and reaches the API server over a wire that the tests cut.

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { HEADER_OBJECTIVE } from "../../src/wire/names.ts";
import type { Backend } from "../e2e/support/backend.ts";
import type { Client } from "../e2e/support/client.ts";
import { eventually } from "../e2e/support/eventually.ts";
import { type Cluster, definitions, startCluster } from "./support/cluster.ts";
import { type ClusterGateway, startGateway } from "./support/gateway.ts";
import { collectionOf, type KubeObject, model, objective, pod, pool } from "./support/objects.ts";
import { explained, served, startServers } from "./support/served.ts";
import { mountServiceAccount, renewToken } from "./support/service-account.ts";
import { showWhenTestsFail } from "./support/told.ts";
import { Wire } from "./support/wire.ts";

/** Ten seconds are the longest that the agent waits between tries. */
const RECOVERED_MS_MAX = 15_000;
const MODELS = "inferencemodels.inference.networking.x-k8s.io";
const FIRST = "10.77.4.1:8000";
const SECOND = "10.77.4.2:8000";

let cluster: Cluster;
let servers: readonly Backend[] = [];
let wire: Wire;
let gateway: ClusterGateway;
let client: Client;

showWhenTestsFail(() => [...cluster.lines, ...gateway.lines]);

beforeAll(async () => {
  [cluster, servers] = await Promise.all([
    startCluster({ isLeftOut: (name) => name === MODELS }),
    startServers(FIRST, SECOND),
  ]);
  wire = await Wire.start(cluster.server.url);
  await mountServiceAccount(cluster, "default", "agent");
  await cluster.admin.apply(pool("chat"));
  for (const n of [1, 2]) await cluster.admin.pod(`chat-${n}`, { ip: `10.77.4.${n}`, labels: { app: "chat" } });
  const agentArgs = ["--pool=chat"];
  gateway = await startGateway({ cluster, agentArgs, inPod: { server: wire.url }, filter: { explain: true } });
  client = gateway.client();
});

beforeEach(async () => {
  await setSecondReady(true);
  await candidatesAre(FIRST, SECOND);
  await eventually(
    () => gateway.watches(),
    ({ all, up }) => all > 0 && up === all,
    RECOVERED_MS_MAX,
  );
});

afterAll(async () => {
  await gateway?.stop();
  wire?.stop();
  await cluster?.stop();
  for (const server of servers) await server.stop();
});

async function candidates(): Promise<readonly string[]> {
  return (await explained(client)).candidates.map(({ endpoint }) => endpoint).sort();
}

async function candidatesAre(...wanted: readonly string[]): Promise<void> {
  await eventually(candidates, (found) => found.join() === wanted.join(), RECOVERED_MS_MAX);
}

const setSecondReady = (ready: boolean) => cluster.admin.setReady("chat-2", { ip: "10.77.4.2", ready });

/** What is changed now arrives. */
async function expectChangesToArrive(): Promise<void> {
  await setSecondReady(false);
  await candidatesAre(FIRST);
}

/** Of the watch of the pool's pods. */
async function ofPods(metric: string): Promise<number> {
  return (await gateway.agentMetrics()).sum(metric, { resource: "pods" });
}

async function readyPage(): Promise<string> {
  return (await gateway.page("/readyz")).text;
}

function definition(name: string): KubeObject {
  return definitions().find(({ metadata }) => metadata.name === name)!;
}

test("a token that is not believed any more: a renewed one is found", async () => {
  cluster.forgetTokens();
  await cluster.server.kill();
  await cluster.server.start();
  await eventually(readyPage, (text) => text.includes("401"), RECOVERED_MS_MAX);
  await setSecondReady(false);
  expect(await candidates()).toEqual([FIRST, SECOND]);
  renewToken(await cluster.admin.token("default", "agent"));
  await candidatesAre(FIRST);
}, 60_000);

test("watches that the server ends, as when it is restarted in order", async () => {
  await cluster.server.kill("SIGTERM");
  await cluster.server.start();
  await expectChangesToArrive();
}, 60_000);

test("connections that break", async () => {
  wire.cut();
  await expectChangesToArrive();
});

test("a network over which nothing comes for some seconds", async () => {
  wire.silence();
  await setSecondReady(false);
  await eventually(
    () => ofPods("pointsman_agent_watch_age_seconds"),
    (age) => age > 2,
  );
  expect(await candidates()).toEqual([FIRST, SECOND]);
  wire.heal();
  await candidatesAre(FIRST);
});

test("410 Gone: what was missed while the server forgot it is listed", async () => {
  // Without its cache the server asks etcd for what came since, and etcd says that it was compacted.
  await cluster.server.kill();
  await cluster.server.start(["--watch-cache=false"]);
  await expectChangesToArrive();
  await setSecondReady(true);
  await candidatesAre(FIRST, SECOND);
  const restarts = await ofPods("pointsman_agent_watch_restarts_total");
  const { resourceVersion } = (await cluster.admin.get(pod("chat-2", {}))).metadata;
  wire.refuse();
  await setSecondReady(false);
  await cluster.compact();
  wire.heal();
  expect(await errorOfWatchFrom(String(resourceVersion))).toMatchObject({ code: 410 });
  await candidatesAre(FIRST);
  // Once for the broken connection, and once for what the server had forgotten.
  expect(await ofPods("pointsman_agent_watch_restarts_total")).toBe(restarts + 2);
  await setSecondReady(true);
  await candidatesAre(FIRST, SECOND);
  await cluster.server.kill();
  await cluster.server.start();
}, 60_000);

/** What a watch of pods begins with. */
async function errorOfWatchFrom(resourceVersion: string): Promise<unknown> {
  const watching = new AbortController();
  let first: unknown;
  const onEvent = ({ object }: { readonly object: unknown }) => {
    first ??= object;
    watching.abort();
  };
  const how = { onEvent, silenceMs: 5_000, signal: watching.signal };
  await cluster
    .client()
    .watch(collectionOf("v1", "Pod"), { resourceVersion }, how)
    .catch(() => {});
  return first;
}

test("the definition of objectives is deleted and created again", async () => {
  const crd = definition("inferenceobjectives.llm-d.ai");
  const urgent = objective("urgent", 5, { poolName: "chat" });
  const priority = async () => (await explained(client, { headers: { [HEADER_OBJECTIVE]: "urgent" } })).priority ?? 0;
  const priorityIs = (wanted: number) => eventually(priority, (found) => found === wanted, RECOVERED_MS_MAX);
  await cluster.admin.apply(urgent);
  await priorityIs(5);
  await cluster.admin.undefine(crd);
  await priorityIs(0);
  await eventually(readyPage, (text) => text.includes("404"), RECOVERED_MS_MAX);
  expect(await candidates()).toEqual([FIRST, SECOND]);
  await cluster.admin.define(crd);
  await cluster.admin.apply(urgent);
  await priorityIs(5);
}, 60_000);

test("the definition of pools is deleted, which deletes the pool, and both are created again", async () => {
  const crd = definition("inferencepools.inference.networking.k8s.io");
  await cluster.admin.undefine(crd);
  await eventually(
    () => served(client),
    ({ status }) => status !== 200,
  );
  await cluster.admin.define(crd);
  await cluster.admin.apply(pool("chat"));
  await eventually(
    () => served(client),
    ({ status }) => status === 200,
    RECOVERED_MS_MAX,
  );
  await expectChangesToArrive();
}, 60_000);

test("a kind that is installed later is picked up", async () => {
  await cluster.admin.define(definition(MODELS));
  await cluster.admin.apply(model("chatty", { poolName: "chat", target: "chatty-v7" }));
  await eventually(
    async () => (await served(client, { model: "chatty" })).model,
    (found) => found === "chatty-v7",
    RECOVERED_MS_MAX,
  );
}, 60_000);
