// A large cluster: 5,000 pods in ten pools, of which a rolling update replaces 1,000 within a minute. What the agent
// takes for it is measured and bounded. The agent is that of the image, one file, as it runs in a cluster.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PoolView } from "../../src/control/snapshot.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";
import { type ClusterGateway, type ClusterGatewayOptions, startGateway } from "./support/gateway.ts";
import { collectionOf, pathOf, pod, podStatus, pool } from "./support/objects.ts";

const POOLS = 10;
const PODS = 5_000;
const REPLACED = 1_000;
const ROLLOUT_MS = 60_000;
const MEMORY_MB_MAX = 250;
const PUSH_INTERVAL_MS = 50;
/** Three times what was measured on two cores: 1.3 s. */
const CONVERGENCE_MS_MAX = 4_000;
const LOOK_MS = 250;
const LOOK_LIMIT_MS = 30_000;
/** Calls at a time. */
const WRITERS = 16;
const ROOT = join(import.meta.dirname, "..", "..");
/** Of a kernel that counts processor time in hundredths of a second. */
const TICKS_PER_SECOND = 100;

let cluster: Cluster;
let gateway: ClusterGateway;
let metrics: Server;
let image: string;
const figures: Record<string, number> = {};

beforeAll(async () => {
  image = mkdtempSync(join(tmpdir(), "pointsman-image-"));
  execFileSync(join(ROOT, "scripts/image-steps"), [image], { stdio: "pipe" });
  metrics = await answerEverywhere();
  cluster = await startCluster();
  for (let i = 0; i < POOLS; ++i) await cluster.admin.apply(pool(`pool-${i}`));
  await inTurn(Array.from({ length: PODS }, (_, i) => () => create(i, "old")));
  const beganMs = performance.now();
  gateway = await startGateway({
    cluster,
    agentArgs: ["--all-pools", "--namespace=default", "--default-pool=default/pool-0", "--log-level=error"],
    ...asInImage(),
  });
  figures.startMs = Math.round(performance.now() - beganMs);
}, 240_000);

afterAll(async () => {
  console.log(`at ${PODS} pods in ${POOLS} pools: ${JSON.stringify(figures)}`);
  await gateway?.stop();
  await cluster?.stop();
  await new Promise((resolve) => metrics.close(resolve));
  rmSync(image, { recursive: true });
});

test("all pods are endpoints, in bounded memory", async () => {
  await until(addresses, (found) => found.size === PODS);
  // Every endpoint has been asked for its metrics, some of them twice.
  await sleep(5_000);
  figures.idleMemoryMb = memoryMb();
  const beforeS = processorSeconds();
  await sleep(5_000);
  figures.idleProcessorPercent = Math.round(((processorSeconds() - beforeS) / 5) * 100);
  expect(figures.idleMemoryMb).toBeLessThan(MEMORY_MB_MAX);
}, 60_000);

test("a rolling update comes to at most one push per 50 ms, and is over when it is over", async () => {
  const before = await pushes();
  const beforeS = processorSeconds();
  const beganMs = performance.now();
  let peakMb = 0;
  const watching = setInterval(() => {
    peakMb = Math.max(peakMb, memoryMb());
  }, 250);
  await inTurn(
    Array.from({ length: REPLACED }, (_, i) => async () => {
      await sleep(Math.max(0, beganMs + (i * ROLLOUT_MS) / REPLACED - performance.now()));
      await replace(i);
    }),
  );
  const doneMs = performance.now();
  const isNew = (found: ReadonlySet<string>) =>
    found.size === PODS && Array.from({ length: REPLACED }, (_, i) => found.has(`new-${i}`)).every(Boolean);
  await until(addresses, isNew);
  clearInterval(watching);
  const tookMs = performance.now() - beganMs;
  figures.convergenceMs = Math.round(performance.now() - doneMs);
  figures.rolloutMs = Math.round(doneMs - beganMs);
  figures.pushes = (await pushes()) - before;
  figures.rolloutMemoryMb = peakMb;
  figures.rolloutProcessorPercent = Math.round(((processorSeconds() - beforeS) / tookMs) * 100_000);
  expect(figures.pushes).toBeGreaterThan(0);
  expect(figures.pushes).toBeLessThanOrEqual(tookMs / PUSH_INTERVAL_MS);
  expect(figures.convergenceMs).toBeLessThan(CONVERGENCE_MS_MAX);
  expect(peakMb).toBeLessThan(MEMORY_MB_MAX);
}, 150_000);

/** The agent's process as the Dockerfile has it, but for the place of its file. */
function asInImage(): Pick<ClusterGatewayOptions, "entry" | "env"> {
  const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  const [, ...args] = JSON.parse(/^ENTRYPOINT (.+)$/m.exec(dockerfile)![1]!) as readonly string[];
  const variables = /^ENV (.+)$/m
    .exec(dockerfile)![1]!
    .split(" ")
    .map((pair) => pair.split("="));
  return { entry: [...args.slice(0, -1), join(image, basename(args.at(-1)!))], env: Object.fromEntries(variables) };
}

/** Looks now and then: what shows 5,000 endpoints costs the agent more than what is measured here. */
async function until<T>(look: () => Promise<T>, isReached: (found: T) => boolean): Promise<void> {
  const endMs = performance.now() + LOOK_LIMIT_MS;
  while (!isReached(await look())) {
    if (performance.now() > endMs) throw new Error(`not reached within ${LOOK_LIMIT_MS} ms`);
    await sleep(LOOK_MS);
  }
}

/** Pods by the filter's snapshot, once every worker goes by what was sent last. */
async function addresses(): Promise<ReadonlySet<string>> {
  const { text } = await gateway.page("/snapshot");
  const { pools, epochs } = JSON.parse(text) as {
    readonly pools: readonly PoolView[];
    readonly epochs: { readonly sent: number; readonly applied: number };
  };
  if (epochs.sent !== epochs.applied) return new Set();
  return new Set(pools.flatMap(({ endpoints }) => endpoints.map(({ pod }) => pod)));
}

function addressOf(i: number, isNew: boolean): string {
  return `10.77.${(isNew ? 100 : 10) + Math.floor(i / 250)}.${(i % 250) + 1}`;
}

/** A pod with as much in it as one of vLLM has: some 8 KB. */
async function create(i: number, generation: "old" | "new"): Promise<void> {
  const name = `${generation}-${i}`;
  const app = `pool-${i % POOLS}`;
  const labels = {
    app,
    "pod-template-hash": "5d8f6c7b9f",
    "llm-d.ai/role": "decode",
    "app.kubernetes.io/name": "vllm",
  };
  const bare = pod(name, { labels });
  const env = Array.from({ length: 60 }, (_, at) => ({ name: `VLLM_SETTING_${at}`, value: "x".repeat(60) }));
  const containers = [{ name: "vllm", image: "vllm/vllm-openai:v0.32.0", env }];
  const { admin } = cluster;
  await admin.call("POST", collectionOf("v1", "Pod"), { body: { ...bare, spec: { containers } } });
  const status = podStatus(addressOf(i, generation === "new"), true);
  await admin.call("PATCH", `${pathOf(bare)}/status`, { body: { status }, type: "merge-patch+json" });
}

async function replace(i: number): Promise<void> {
  await create(i, "new");
  const old = pod(`old-${i}`, {});
  await cluster.admin.call("DELETE", pathOf(old), { query: { gracePeriodSeconds: "0" } });
}

/** Some at a time, in their order. */
async function inTurn(jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const waiting = jobs.values();
  const worker = async () => {
    for (const job of waiting) await job();
  };
  await Promise.all(Array.from({ length: WRITERS }, worker));
}

async function pushes(): Promise<number> {
  return (await gateway.agentMetrics()).sum("pointsman_agent_pushes_total", { blob: "topology" });
}

/** Resident memory of the agent, in MB. */
function memoryMb(): number {
  const status = readFileSync(`/proc/${gateway.agent.pid}/status`, "utf8");
  return Math.round((Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1_024) / 1e6);
}

/** Used by the agent since its start. */
function processorSeconds(): number {
  const stat = readFileSync(`/proc/${gateway.agent.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Answers every request to port 8000 of any address with the metrics of an idle vLLM. */
async function answerEverywhere(): Promise<Server> {
  const page = [
    'vllm:num_requests_running{engine="0",model_name="m"} 0.0',
    'vllm:num_requests_waiting{engine="0",model_name="m"} 0.0',
    'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.0',
    "",
  ].join("\n");
  const answer = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${page.length}\r\n\r\n${page}`;
  const server = createServer((socket) => {
    socket.on("data", () => socket.write(answer)).on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(8_000, "0.0.0.0", resolve));
  return server;
}
