// Two agents, each with its Envoy. Both feed theirs; one of them writes, the holder of the Lease, and another one when
// that one has gone.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Backend } from "../e2e/support/backend.ts";
import { eventually } from "../e2e/support/eventually.ts";
import { type AuditEvent, type Cluster, startCluster } from "./support/cluster.ts";
import { type ClusterGateway, startGateway } from "./support/gateway.ts";
import { type Condition, conditionOf } from "./support/model-conditions.ts";
import { GROUP_OLDER, type KubeObject, model, pod, pool } from "./support/objects.ts";
import { served, startServers } from "./support/served.ts";
import { showWhenTestsFail } from "./support/told.ts";

/** What a Lease says that nobody renews. */
const LEASE_MS = 15_000;
/** The others look at it every two seconds; then the status is written. */
const LOOK_MS = 3_000;
const QUIET_MS = 5_000;
const ADDRESS = "10.77.7.1";
const TO = { poolName: "chat" };

/** An agent with an account of its own, by which the audit log knows it. */
interface Replica {
  readonly account: string;
  readonly gateway: ClusterGateway;
}

let cluster: Cluster;
let servers: readonly Backend[] = [];
let replicas: readonly Replica[] = [];

showWhenTestsFail(() => [...cluster.lines, ...replicas.flatMap(({ gateway }) => gateway.lines)]);

beforeAll(async () => {
  [cluster, servers] = await Promise.all([startCluster({ audit: true }), startServers(`${ADDRESS}:8000`)]);
  await cluster.admin.apply(pool("chat"));
  await cluster.admin.pod("chat-1", { ip: ADDRESS, labels: { app: "chat" } });
  replicas = await Promise.all(["one", "two"].map(startReplica));
});

afterAll(async () => {
  await Promise.all(replicas.map(({ gateway }) => gateway.stop()));
  await cluster?.stop();
  for (const server of servers) await server.stop();
});

async function startReplica(account: string): Promise<Replica> {
  await cluster.admin.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: account } });
  const kubeconfig = cluster.kubeconfig({ token: await cluster.admin.token("default", account) });
  return { account, gateway: await startGateway({ cluster, agentArgs: ["--all-pools"], kubeconfig }) };
}

async function lease(): Promise<{ readonly holderIdentity: string; readonly leaseDurationSeconds: number }> {
  const metadata = { name: "pointsman" };
  return (await cluster.admin.get({ apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata })).spec as never;
}

/** The replica that the Lease names, and the other one. */
async function byLease(): Promise<{ readonly leader: Replica; readonly other: Replica }> {
  const { holderIdentity } = await eventually(lease, (found) => found.holderIdentity !== "");
  const holds = ({ gateway }: Replica) => holderIdentity.includes(`-${gateway.agent.pid}-`);
  return { leader: replicas.find(holds)!, other: replicas.find((replica) => !holds(replica))! };
}

/** Which replica wrote, once for each write, whatever became of it. By the Lease they find out who may. */
function writers({ but = [] as readonly string[] } = {}): readonly string[] {
  const others = ["leases", ...but];
  const isWrite = ({ verb, objectRef }: AuditEvent) =>
    !["get", "list", "watch"].includes(verb) && !others.includes(objectRef?.resource ?? "");
  return cluster.auditEvents().flatMap((event) => {
    const [, account] = /^system:serviceaccount:default:(.*)$/.exec(event.user.username) ?? [];
    return account !== undefined && isWrite(event) ? account : [];
  });
}

/** An Event that one leader wrote the next one may write again, if it was found within half a minute. */
function statusWriters(): readonly string[] {
  return writers({ but: ["events"] });
}

/** Those since there were `already`. The audit log is a little behind what was answered. */
function statusWritersAfter(already: number, count: number): Promise<readonly string[]> {
  return eventually(
    () => statusWriters().slice(already),
    ({ length }) => length >= count,
  );
}

async function condition(name: string): Promise<Condition | undefined> {
  return conditionOf(await cluster.admin.get(model(name, TO)));
}

/** Which ones of the Envoys send requests for a model on as ones for `target`. */
async function serve(target: string, name = "chatty"): Promise<readonly boolean[]> {
  const answers = replicas.map(({ gateway }) => served(gateway.client(), { model: name }));
  return (await Promise.all(answers)).map((answer) => answer.by === `${ADDRESS}:8000` && answer.model === target);
}

function bothServe(target: string, name?: string): Promise<unknown> {
  return eventually(
    () => serve(target, name),
    (each) => each.every(Boolean),
  );
}

/** Creates an InferenceModel; resolves to how long after `sinceMs` its status says that it counts. */
async function acceptedAfterMs(object: KubeObject, sinceMs: number, limitMs: number): Promise<number> {
  await cluster.admin.apply(object);
  await eventually(
    () => condition(object.metadata.name),
    (found) => found?.reason === "Accepted",
    limitMs,
  );
  return Math.round(performance.now() - sinceMs);
}

test("both feed their Envoys, and the one that holds the Lease writes", async () => {
  const { admin } = cluster;
  await admin.apply(model("chatty", { ...TO, target: "chatty-v1" }));
  await bothServe("chatty-v1");
  await admin.apply(model("chatty", { ...TO, target: "chatty-v2" }));
  await bothServe("chatty-v2");
  await admin.apply(model("late", { ...TO, modelName: "chatty" }));
  await admin.apply(model("lost", { poolName: "missing" }));
  await admin.apply(pod("chat-2", { labels: { app: "chat" }, annotations: { "llm-d.ai/active-ports": "none" } }));
  const conditions = () => Promise.all(["chatty", "late", "lost"].map(condition));
  expect(await eventually(conditions, (all) => all.every((each) => each !== undefined))).toMatchObject([
    { status: "True", reason: "Accepted" },
    { status: "False", reason: "ModelNameInUse", message: expect.stringContaining("chatty") },
    { status: "Unknown", reason: "Pending", message: expect.stringContaining("default/missing") },
  ]);
  await eventually(
    async () => (await condition("chatty"))?.observedGeneration,
    (generation) => generation === 2,
  );
  const events = () => admin.list("events.k8s.io/v1", "Event");
  expect(await eventually(events, ({ length }) => length > 0)).toMatchObject([{ regarding: { name: "chat-2" } }]);
  const { leader } = await byLease();
  expect(new Set(writers())).toEqual(new Set([leader.account]));
});

test.each([
  {
    form: "means the same",
    change: { criticality: "Standard" },
    reason: "Accepted",
    message: /is that of this object$/,
  },
  {
    form: "cannot be read",
    change: { targetModels: [{ name: "" }] },
    reason: "Pending",
    message: /said before stays$/,
  },
  {
    form: "is mended",
    change: { targetModels: [{ name: "v2" }] },
    reason: "Accepted",
    message: /is that of this object$/,
  },
])("the status is of the newest form of a model, also of one that $form", async ({ change, reason, message }) => {
  const formed = model("formed", TO);
  await cluster.admin.apply(formed);
  await eventually(() => condition("formed"), Boolean);
  const { metadata } = await cluster.admin.patch(formed, { spec: change });
  const found = await eventually(
    () => condition("formed"),
    (each) => each?.observedGeneration === metadata.generation,
  );
  expect(found).toMatchObject({ reason, message: expect.stringMatching(message) });
});

test("nothing is written while nothing changes", async () => {
  const versions = async () => {
    const models = await cluster.admin.list(GROUP_OLDER, "InferenceModel");
    return models.map(({ metadata }) => [metadata.name, metadata.resourceVersion]);
  };
  const statuses = statusWriters().length;
  const before = { versions: await versions(), writes: writers().length };
  const { renewTime } = (await lease()) as { readonly renewTime?: string };
  await sleep(QUIET_MS);
  expect({ versions: await versions(), writes: writers().length }).toEqual(before);
  expect(await lease()).not.toMatchObject({ renewTime });
  // Of a label, which is no business of its status.
  await cluster.admin.patch(model("chatty", TO), { metadata: { labels: { team: "a" } } });
  await cluster.admin.apply(model("other", { ...TO, target: "other-v1" }));
  await eventually(() => condition("other"), Boolean);
  expect(await statusWritersAfter(statuses, 1)).toHaveLength(1);
});

test("the leader is killed: the other one writes when the Lease has expired", async ({ annotate }) => {
  const { leader, other } = await byLease();
  const already = statusWriters().length;
  const killedMs = performance.now();
  await leader.gateway.agent.stop("SIGKILL");
  expect((await lease()).leaseDurationSeconds * 1000).toBe(LEASE_MS);
  // Meanwhile the one that is left feeds its Envoy, and the other Envoy goes by what it has.
  await cluster.admin.apply(model("newer", { ...TO, target: "newer-v1" }));
  const seen = () => serve("newer-v1", "newer");
  const expected = replicas.map((replica) => replica === other);
  expect(await eventually(seen, (each) => each.some(Boolean))).toEqual(expected);
  expect(await serve("chatty-v2")).toEqual([true, true]);
  const tookMs = await acceptedAfterMs(model("newest", TO), killedMs, LEASE_MS + LOOK_MS);
  await annotate(`written by the other one after, ms: ${tookMs}`);
  expect(tookMs).toBeLessThan(LEASE_MS + LOOK_MS);
  await eventually(() => condition("newer"), Boolean);
  // What the first has written it leaves as it is.
  expect(await statusWritersAfter(already, 2)).toEqual([other.account, other.account]);
  expect((await byLease()).leader).toBe(other);
});

test("the leader is told to stop: the other one writes at once", async ({ annotate }) => {
  const { leader, other } = await byLease();
  await other.gateway.agent.start();
  await other.gateway.ready();
  await bothServe("newer-v1", "newer");
  const already = statusWriters().length;
  const toldMs = performance.now();
  await leader.gateway.agent.stop("SIGTERM");
  const tookMs = await acceptedAfterMs(model("last", TO), toldMs, LOOK_MS);
  await annotate(`written by the other one after, ms: ${tookMs}`);
  expect(tookMs).toBeLessThan(LOOK_MS);
  expect(await statusWritersAfter(already, 1)).toEqual([other.account]);
});
