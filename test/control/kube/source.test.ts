// The API server as the source of objects: what is handed on, and when.

import { expect, onTestFinished, test } from "vitest";
import { type ConfigObject, objectKey } from "../../../src/control/kinds/object.ts";
import { KubeClient } from "../../../src/control/kube/client.ts";
import type { SeenModel } from "../../../src/control/kube/seen-model.ts";
import { KubeSource, type ObjectProblem } from "../../../src/control/source/kube.ts";
import type { Scope } from "../../../src/control/source/scope.ts";
import { until } from "../until.ts";
import { type FakeApiServer, fakeApiServer } from "./fake-api-server.ts";

const V1 = "/apis/inference.networking.k8s.io/v1";
const OLDER = "/apis/inference.networking.x-k8s.io/v1alpha2";
const LLM_D = "/apis/llm-d.ai/v1alpha2";
const PODS = "/api/v1/namespaces/default/pods";
const POOLS = `${V1}/namespaces/default/inferencepools`;
const MODELS = `${OLDER}/namespaces/default/inferencemodels`;
const EVERYTHING: Scope = { namespace: undefined, pool: undefined, picker: undefined, poolsWithoutPicker: false };

test("hands on nothing before everything has been listed, and then all of it, sorted", async () => {
  const api = await cluster();
  api.put(POOLS, pool("b"));
  api.put(POOLS, pool("a"));
  api.put(PODS, pod("y", { app: "a" }));
  api.put(PODS, pod("x", { app: "b" }));
  api.put(MODELS, model("m", "a"));
  api.fail({ status: 500, times: 1_000, when: ({ path, query }) => path === PODS && query.labelSelector === "app=b" });
  const { handed, source } = start(api);
  await until("the pods of one pool are refused", () => source.notReady()?.includes("app=b"));
  expect(handed).toEqual([]);
  expect(source.notReady()).toMatch(/^waiting for pods of namespace default, app=b: .*told so/);
  api.heal();
  await until("objects are handed on", () => handed.length > 0);
  expect(handed[0]!.map(objectKey)).toEqual([
    "InferenceModel/default/m",
    "InferencePool/default/a",
    "InferencePool/default/b",
    "Pod/default/x",
    "Pod/default/y",
  ]);
  expect(source.notReady()).toBeUndefined();
});

test("asks for pods by the selectors of the pools only", async () => {
  const api = await cluster();
  api.put(POOLS, pool("a"));
  api.put(PODS, pod("mine", { app: "a" }));
  api.put(PODS, pod("other", { app: "something else" }));
  const { latest } = start(api);
  await until("the pod of the pool is there", () => latest().includes("Pod/default/mine"));
  expect(latest()).not.toContain("Pod/default/other");
  const asked = api.requests.filter(({ path }) => path.endsWith("/pods"));
  expect(asked.every(({ query }) => query.labelSelector === "app=a")).toBe(true);
});

test("keeps a pool as it was until the pods of its new selector are known", async () => {
  const api = await cluster();
  api.put(POOLS, pool("a"));
  api.put(PODS, pod("old", { app: "a" }));
  api.put(PODS, pod("new", { app: "z" }));
  const { latest, handed, source } = start(api);
  await until("the first pod is there", () => latest().includes("Pod/default/old"));
  api.fail({ status: 503, times: 1_000, when: ({ query }) => query.labelSelector === "app=z" });
  api.put(POOLS, pool("a", { app: "z" }));
  await until("the new selector is watched", () => source.watches().some(({ scope }) => scope.includes("app=z")));
  api.put(MODELS, model("m", "a"));
  await until("something else is handed on", () => latest().includes("InferenceModel/default/m"));
  expect(latest()).toContain("Pod/default/old");
  expect(poolIn(handed.at(-1)!).matchLabels).toEqual({ app: "a" });
  api.heal();
  await until("the new pod is there", () => latest().includes("Pod/default/new"), 5_000);
  expect(latest()).not.toContain("Pod/default/old");
  expect(poolIn(handed.at(-1)!).matchLabels).toEqual({ app: "z" });
  await until(
    "the old selector is no longer watched",
    () => !source.watches().some(({ scope }) => /app=a/.test(scope)),
  );
});

test("lets an annotation that cannot be read change nothing but keeps on looking at readiness", async () => {
  const api = await cluster();
  api.put(POOLS, pool("a"));
  const annotated = (ports: string, ready = true) => pod("p", { app: "a" }, { ready, ports });
  api.put(PODS, annotated("8000"));
  const { handed, latest, problems, source } = start(api);
  await until("the pod is there", () => latest().includes("Pod/default/p"));
  const last = () => handed.at(-1)!.find(({ kind }) => kind === "Pod");
  api.put(PODS, annotated("eight thousand"));
  await until("the problem is seen", () => source.problems().length === 1);
  expect(problems[0]).toMatchObject({ kind: "Pod", name: "p", inForce: "what it said before stays" });
  expect(problems[0]!.reason).toMatch(/active-ports: expected port numbers.*found "eight thousand"/);
  api.put(PODS, annotated("eight thousand", false));
  await until("it is no longer ready", () => last()?.kind === "Pod" && !(last() as { ready: boolean }).ready);
  expect(last()).toMatchObject({ activePorts: [8000] });
  expect(problems).toHaveLength(1);
  api.put(PODS, annotated("8000"));
  await until("the problem is gone", () => source.problems().length === 0);
  api.put(PODS, pod("bad", { app: "a" }, { ports: "x" }));
  await until("a new pod that is wrong is told of", () => problems.length === 2);
  expect(problems[1]!.inForce).toBe("it does not count until that is mended");
  expect(latest()).not.toContain("Pod/default/bad");
});

test("takes a pod that is being deleted out at once, whatever its annotations say", async () => {
  const api = await cluster();
  api.put(POOLS, pool("a"));
  api.put(PODS, pod("p", { app: "a" }));
  const { latest } = start(api);
  await until("the pod is there", () => latest().includes("Pod/default/p"));
  const dying = pod("p", { app: "a" }, { ports: "x" });
  api.put(PODS, { ...dying, metadata: { ...dying.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });
  await until("the pod is gone", () => !latest().includes("Pod/default/p"));
});

test("does not wait for ever for a kind that it may not read", async () => {
  const api = await cluster();
  api.put(POOLS, pool("a"));
  api.fail({
    status: 403,
    message: "cannot list",
    times: 1_000,
    when: ({ path }) => path.endsWith("/inferencemodels"),
  });
  const { latest, source } = start(api);
  await until("the missing right is told", () => source.notReady()?.includes("cannot list"));
  // An API server that has just started may say so, too.
  expect(latest()).toEqual([]);
  await until("the pool is there", () => latest().includes("InferencePool/default/a"), 15_000);
  const watch = source.watches().find(({ resource }) => resource.startsWith("inferencemodels"));
  expect(watch?.problem).toContain("cannot list");
}, 20_000);

test.each<[string, Partial<Scope>, readonly string[]]>([
  ["all pools", {}, ["none", "other", "us"]],
  ["one pool", { namespace: "default", pool: "other" }, ["other"]],
  ["pools that name us", { picker: "pointsman" }, ["us"]],
  ["pools that name us or nobody", { picker: "pointsman", poolsWithoutPicker: true }, ["none", "us"]],
])("scope: %s, with the models of those only", async (_, scope, expected) => {
  const api = await cluster();
  for (const [name, picker] of [["none"], ["other", "somebody"], ["us", "pointsman"]] as const) {
    api.put(POOLS, pool(name, { app: name }, picker));
    api.put(MODELS, model(`of-${name}`, name));
  }
  const { latest } = start(api, { ...EVERYTHING, ...scope });
  await until("objects are handed on", () => latest().length > 0);
  const names = (kind: string) => latest().flatMap((key) => (key.startsWith(kind) ? key.split("/")[2]! : []));
  expect(names("InferencePool")).toEqual(expected);
  expect(names("InferenceModel")).toEqual(expected.map((name) => `of-${name}`));
});

test("tells of models that cannot be read, with what counts in their place; of those for our pools only", async () => {
  const api = await cluster();
  api.put(POOLS, pool("us", { app: "us" }, "pointsman"));
  api.put(POOLS, pool("other", { app: "other" }, "somebody"));
  api.put(MODELS, model("was-right", "us"));
  const { seen, latest } = start(api, { ...EVERYTHING, picker: "pointsman" });
  await until("the model is there", () => latest().includes("InferenceModel/default/was-right"));
  expect(seen.map(({ name, problem }) => [name, problem])).toEqual([["was-right", undefined]]);
  for (const [name, of] of [
    ["was-right", "us"],
    ["new", "us"],
    ["not-ours", "other"],
  ] as const) {
    const right = model(name, of);
    api.put(MODELS, { ...right, spec: { ...right.spec, modelName: "" } });
  }
  await until("problems are told", () => seen.length > 1 && seen.every(({ problem }) => problem !== undefined));
  expect(seen.map(({ name, problem }) => [name, problem]).sort()).toEqual([
    ["new", expect.stringMatching(/^spec.modelName: expected .*; it does not count until that is mended$/)],
    ["was-right", expect.stringMatching(/^spec.modelName: expected .*; what it said before stays$/)],
  ]);
  expect(latest()).toContain("InferenceModel/default/was-right");
});

test("hands on what changes in a burst at most every 50 ms", async () => {
  const api = await cluster();
  api.put(POOLS, pool("a"));
  const { latest, times } = start(api);
  await until("the pool is there", () => latest().length > 0);
  for (let i = 0; i < 200; ++i) {
    api.put(PODS, pod(`p${i}`, { app: "a" }));
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await until("the last pod is there", () => latest().includes("Pod/default/p199"));
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  expect(gaps.length).toBeGreaterThan(1);
  expect(Math.min(...gaps)).toBeGreaterThan(45);
});

test("goes on with the rest when a group is not served", async () => {
  const api = await cluster();
  api.pages.delete(OLDER);
  api.pages.delete(LLM_D);
  api.put(POOLS, pool("a"));
  const { latest, source } = start(api);
  await until("the pool is there", () => latest().includes("InferencePool/default/a"));
  expect(source.watches().map(({ resource }) => resource)).toEqual([
    "inferencepools.inference.networking.k8s.io",
    "pods",
  ]);
});

/** An API server with discovery of every kind. */
async function cluster(): Promise<FakeApiServer> {
  const api = await fakeApiServer();
  const list = (...kinds: readonly string[]) => ({
    kind: "APIResourceList",
    resources: kinds.flatMap((kind) => {
      const name = `${kind.toLowerCase()}s`;
      return [
        { name, kind, verbs: ["get", "list", "patch", "watch"] },
        { name: `${name}/status`, kind, verbs: ["get", "patch"] },
      ];
    }),
  });
  api.pages.set(V1, list("InferencePool"));
  api.pages.set(OLDER, list("InferencePool", "InferenceModel", "InferenceObjective", "InferenceModelRewrite"));
  api.pages.set(LLM_D, list("InferenceObjective", "InferenceModelRewrite"));
  return api;
}

function start(api: FakeApiServer, scope: Scope = EVERYTHING) {
  const handed: (readonly ConfigObject[])[] = [];
  const times: number[] = [];
  const problems: ObjectProblem[] = [];
  const seen: SeenModel[] = [];
  const client = new KubeClient(api.config());
  const source = new KubeSource({
    client,
    scope,
    log: () => {},
    onObjects: (objects) => {
      times.push(performance.now());
      handed.push(objects);
    },
    onModels: (models) => void seen.splice(0, seen.length, ...models),
    onProblem: (problem) => problems.push(problem),
  });
  onTestFinished(async () => {
    source.stop();
    await client.stop();
  });
  const latest = (): readonly string[] => (handed.at(-1) ?? []).map(objectKey);
  return { handed, times, latest, problems, seen, source };
}

function poolIn(objects: readonly ConfigObject[]) {
  const found = objects.find(({ kind }) => kind === "InferencePool");
  if (found?.kind !== "InferencePool") throw new Error("no pool");
  return found;
}

function pool(name: string, matchLabels: Readonly<Record<string, string>> = { app: name }, picker?: string) {
  const endpointPickerRef = picker === undefined ? undefined : { name: picker, port: { number: 9002 } };
  return {
    apiVersion: "inference.networking.k8s.io/v1",
    kind: "InferencePool",
    metadata: { name },
    spec: { selector: { matchLabels }, targetPorts: [{ number: 8000 }], endpointPickerRef },
  };
}

function pod(
  name: string,
  labels: Readonly<Record<string, string>>,
  { ready = true, ports }: { readonly ready?: boolean; readonly ports?: string } = {},
) {
  const annotations = ports === undefined ? undefined : { "llm-d.ai/active-ports": ports };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels, annotations },
    status: { podIP: "10.0.0.1", conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

function model(name: string, pool: string) {
  return {
    apiVersion: "inference.networking.x-k8s.io/v1alpha2",
    kind: "InferenceModel",
    metadata: { name },
    spec: { modelName: name, poolRef: { name: pool } },
  };
}
