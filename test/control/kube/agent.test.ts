// The whole agent with an API server: what it waits for, what it shows, what it writes.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { KubeOptions } from "../../../src/control/kube/cluster.ts";
import { type Agent, startAgent } from "../../../src/control/main.ts";
import { FakeIngest } from "../fake-ingest.ts";
import { logLines } from "../log-lines.ts";
import { temporaryDir, until } from "../until.ts";
import { type FakeApiServer, fakeApiServer } from "./fake-api-server.ts";

const V1 = "/apis/inference.networking.k8s.io/v1";
const OLDER = "/apis/inference.networking.x-k8s.io/v1alpha2";
const PODS = "/api/v1/namespaces/default/pods";
const MODELS = `${OLDER}/namespaces/default/inferencemodels`;
const CONFIG_MAPS = "/api/v1/namespaces/default/configmaps";
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/pointsman";
const EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events";

async function cluster(): Promise<FakeApiServer> {
  const api = await fakeApiServer();
  const served = (kind: string) => ({ name: `${kind.toLowerCase()}s`, kind, verbs: ["list", "watch"] });
  api.pages.set(V1, { resources: [served("InferencePool")] });
  api.pages.set(OLDER, { resources: [served("InferenceModel")] });
  api.put(`${V1}/namespaces/default/inferencepools`, {
    apiVersion: "inference.networking.k8s.io/v1",
    kind: "InferencePool",
    metadata: { name: "chat" },
    spec: { selector: { matchLabels: { app: "chat" } }, targetPorts: [{ number: 8000 }] },
  });
  return api;
}

async function started(api: FakeApiServer, kube: Partial<KubeOptions> = {}) {
  const dir = temporaryDir();
  process.env.KUBECONFIG = join(dir, "kubeconfig");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: api.url, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: {} }],
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    "current-context": "c",
  };
  writeFileSync(process.env.KUBECONFIG, JSON.stringify(config));
  const ingest = new FakeIngest(join(dir, "s"));
  await ingest.start();
  const { log, lines } = logLines();
  const agent = await startAgent({
    kube: { allPools: false, poolsWithoutPicker: false, ...kube },
    socketPath: ingest.socketPath,
    listen: { host: "127.0.0.1", port: 0 },
    scrapeIntervalMs: 50,
    log,
  });
  onTestFinished(async () => {
    await agent.stop();
    await ingest.stop();
  });
  return { agent, ingest, lines };
}

async function page(agent: Agent, path: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${agent.address!.port}${path}`);
  return `${answer.status} ${await answer.text()}`;
}

function pod(name: string, ports?: string) {
  const annotations = ports === undefined ? undefined : { "llm-d.ai/active-ports": ports };
  const status = { podIP: "10.0.0.1", conditions: [{ type: "Ready", status: "True" }] };
  return { apiVersion: "v1", kind: "Pod", metadata: { name, labels: { app: "chat" }, annotations }, status };
}

function configMap(document: string) {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "conf" }, data: { "config.yaml": document } };
}

const DOCUMENT = `apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: queue-scorer}]
schedulingProfiles: [{name: default, plugins: [{pluginRef: queue-scorer}]}]
`;

test("waits for the API server and says so, then shows how old each watch is", async () => {
  const api = await cluster();
  await api.stop();
  const { agent, ingest } = await started(api);
  expect(await page(agent, "/healthz")).toBe("200 ok\n");
  const why = () => agent.notReady()?.match(/^waiting for the API server: .* does not answer: /);
  await until("the agent says what it waits for", why);
  expect(await page(agent, "/readyz")).toMatch(/^503 waiting for the API server: /);
  expect(ingest.taken("topology")).toEqual([]);
  await api.start();
  await until("the agent is ready", () => agent.notReady() === undefined, 8_000);
  const ready = await page(agent, "/readyz");
  expect(ready).toMatch(
    /^200 ready\nwatch inferencepools\.inference\.networking\.k8s\.io of namespace default: current /,
  );
  expect(ready).toMatch(/\nwatch pods of namespace default, app=chat: current \d\.\d s ago\n/);
  const metrics = await page(agent, "/metrics");
  const labels = 'resource="pods",scope="namespace default, app=chat"';
  expect(metrics).toMatch(new RegExp(`\npointsman_agent_watch_age_seconds{${labels}} 0\\.\\d+\n`));
  expect(metrics).toContain(`\npointsman_agent_watch_up{${labels}} 1\n`);
}, 20_000);

test("is not less ready for a watch that is lost, and says since when it is", async () => {
  const api = await cluster();
  api.put(PODS, pod("a"));
  const { agent } = await started(api);
  await until("the agent is ready", () => agent.notReady() === undefined);
  await api.stop();
  const lost = async () =>
    /^200 ready\n[\s\S]*app=chat: current \d\.\d s ago; .*does not answer/.test(await page(agent, "/readyz"));
  for (const endMs = performance.now() + 3_000; !(await lost()); )
    if (performance.now() > endMs) throw new Error(await page(agent, "/readyz"));
  expect(await page(agent, "/snapshot")).toContain('"10.0.0.1:8000"');
});

test("leads, writes whether a model counts, and tells by an Event what is wrong with a pod", async () => {
  const api = await cluster();
  api.put(PODS, pod("a", "eight thousand"));
  api.put(MODELS, {
    apiVersion: "inference.networking.x-k8s.io/v1alpha2",
    kind: "InferenceModel",
    metadata: { name: "m", generation: 1 },
    spec: { modelName: "m", poolRef: { name: "chat" } },
  });
  const { agent } = await started(api);
  await until("the lease is ours", () => api.read(LEASE), 5_000);
  const condition = () => (api.read(`${MODELS}/m`)?.status as { conditions?: readonly object[] })?.conditions?.[0];
  await until("the status is written", condition, 5_000);
  expect(condition()).toMatchObject({ type: "Accepted", status: "True", reason: "Accepted", observedGeneration: 1 });
  const event = await until("an Event", () =>
    api.requests.find(({ method, path }) => method === "POST" && path === EVENTS),
  );
  expect(event.body).toMatchObject({
    regarding: { kind: "Pod", namespace: "default", name: "a" },
    type: "Warning",
    note: expect.stringMatching(/active-ports: expected port numbers.*it does not count until that is mended/),
  });
  expect(await page(agent, "/metrics")).toContain("\npointsman_agent_leader 1\n");
});

test("waits for a ConfigMap that is not there, and keeps what it said when it goes wrong", async () => {
  const api = await cluster();
  const { agent, ingest, lines } = await started(api, { configMap: { namespace: undefined, name: "conf" } });
  await until("the agent says what is missing", () => agent.notReady()?.includes("ConfigMap default/conf: not found"));
  expect(ingest.taken("topology")).toEqual([]);
  api.put(CONFIG_MAPS, configMap(DOCUMENT));
  await until("the agent is ready", () => agent.notReady() === undefined);
  const profiles = () => JSON.stringify((agent.snapshot() as { config: { profiles: unknown } }).config.profiles);
  expect(profiles()).toContain("queue-scorer");
  api.put(CONFIG_MAPS, configMap(DOCUMENT.replace("queue-scorer", "queue-scorrer")));
  const place = "ConfigMap default/conf, key config.yaml:3:18: ";
  await until("the error is told", () =>
    lines.some(({ level, message }) => level === "error" && message.startsWith(place)),
  );
  expect(profiles()).toContain("queue-scorer");
  expect(agent.notReady()).toBeUndefined();
  const told = ({ body }: { body: unknown }) =>
    JSON.stringify(body ?? "").includes("what it said before stays in force");
  await until("an Event beside the ConfigMap", () =>
    api.requests.find((request) => request.path === EVENTS && told(request)),
  );
});
