// A folder and an API server that hold the same documents make the same topology, byte for byte.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { stringify } from "yaml";
import { type AgentOptions, startAgent } from "../../src/control/main.ts";
import { CRC_FROM, H_CRC32, H_EPOCH } from "../../src/wire/snapshot.ts";
import { FakeIngest } from "../control/fake-ingest.ts";
import { logLines } from "../control/log-lines.ts";
import { until } from "../control/until.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";
import { GROUP_OLDER, type KubeObject, model, objective, olderPool, pool, rewrite } from "./support/objects.ts";

let cluster: Cluster;
let stored: readonly KubeObject[] = [];
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "pointsman-alike-"));
  cluster = await startCluster();
  const to = { poolName: "chat" };
  const objects = [
    pool("chat"),
    olderPool("code", { port: 8001 }),
    pool("chat", { namespace: "other", failureMode: "FailOpen" }),
    objective("urgent", 10, to),
    objective("later", -1, { ...to, apiVersion: GROUP_OLDER }),
    rewrite("b-names", "small", "small-v2", to),
    rewrite("a-names", "small", "small-v3", to),
    rewrite("older", "large", "large-v2", { ...to, apiVersion: GROUP_OLDER }),
    model("second", { ...to, modelName: "base", criticality: "Sheddable" }),
    model("first", { ...to, modelName: "base", criticality: "Critical", target: "base-v1" }),
    model("elsewhere", { poolName: "code", target: "elsewhere-v1" }),
  ];
  await cluster.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } });
  const kept: KubeObject[] = [];
  for (const object of objects) kept.push(await cluster.admin.apply(object));
  for (const [name, ip, app, more] of [
    ["z", "10.77.2.1", "chat", { annotations: { "llm-d.ai/active-ports": "8000" } }],
    ["a", "10.77.2.2", "chat", { ready: false }],
    ["m", "10.77.2.3", "code", {}],
    ["n", "fd00::2:4", "code", {}],
    ["o", "10.77.2.5", "chat", { namespace: "other" }],
    ["unrelated", "10.77.2.6", "database", {}],
  ] as const)
    kept.push(await cluster.admin.pod(name, { ip, labels: { app, "llm-d.ai/role": "decode" }, ...more }));
  stored = kept;
});

afterAll(async () => {
  await cluster?.stop();
  rmSync(dir, { recursive: true });
});

/** The first topology that an agent pushes, with zeros for what is of the push and not of the objects. */
async function pushed(name: string, from: Pick<AgentOptions, "objectsDir" | "kube">): Promise<Buffer> {
  const ingest = new FakeIngest(join(dir, `${name}.sock`));
  await ingest.start();
  onTestFinished(() => ingest.stop());
  const { log, lines } = logLines();
  const agent = await startAgent({
    ...from,
    socketPath: ingest.socketPath,
    listen: undefined,
    scrapeIntervalMs: 50,
    log,
  });
  onTestFinished(() => agent.stop());
  const call = await until(`${name}: a topology`, () => ingest.taken("topology")[0], 10_000);
  expect(lines.filter(({ level }) => level === "error")).toEqual([]);
  const bytes = Buffer.from(call.bytes);
  bytes.fill(0, H_CRC32, CRC_FROM);
  bytes.fill(0, H_EPOCH, H_EPOCH + 8);
  return bytes;
}

/** A file for each object, named so that the order of files says nothing about their age. */
function folder(name: string, texts: readonly string[]): string {
  const path = mkdtempSync(join(dir, `${name}-`));
  for (const [i, text] of texts.entries()) writeFileSync(join(path, `${(i * 7) % texts.length}.yaml`), text);
  return path;
}

test("of what kubectl get -o yaml prints", async () => {
  process.env.KUBECONFIG = cluster.kubeconfig();
  const ofServer = await pushed("server", { kube: { allPools: true, poolsWithoutPicker: false } });
  const ofFolder = await pushed("folder", {
    objectsDir: folder(
      "exported",
      stored.map((object) => stringify(object)),
    ),
  });
  expect(ofServer.equals(ofFolder)).toBe(true);
  expect(ofServer.includes("base-v1")).toBe(true);
});
