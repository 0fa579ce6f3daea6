// The API server is away for half a minute. Requests go on as if nothing were, and what was changed meanwhile, through
// another API server that the agent does not know of, is in force soon after it is back.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Backend } from "../e2e/support/backend.ts";
import { eventually } from "../e2e/support/eventually.ts";
import { type Load, startLoad } from "../e2e/support/load.ts";
import type { ApiServer } from "./support/api-server.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";
import { type ClusterGateway, startGateway } from "./support/gateway.ts";
import { objective, pod, pool } from "./support/objects.ts";
import { showWhenTestsFail } from "./support/told.ts";

const DOWN_MS = 30_000;
/** The agent asks every ten seconds; a server that has just started refuses the first questions about a kind. */
const BACK_MS_MAX = 15_000;
const ADDRESSES = ["10.77.2.1", "10.77.2.2", "10.77.2.3", "10.77.2.4"] as const;
const LABELS = { app: "chat" };

let cluster: Cluster;
let other: ApiServer;
let servers: readonly Backend[] = [];
let gateway: ClusterGateway;
let load: Load;

showWhenTestsFail(() => [...cluster.lines, ...gateway.lines]);

beforeAll(async () => {
  [cluster, servers] = await Promise.all([
    startCluster(),
    Promise.all(ADDRESSES.map((host) => Backend.start({ host, port: 8000 }))),
  ]);
  await cluster.admin.apply(pool("chat"));
  for (const [n, ip] of ADDRESSES.slice(0, 3).entries()) {
    await cluster.admin.pod(`chat-${n + 1}`, { ip, labels: LABELS });
  }
  gateway = await startGateway({ cluster, agentArgs: ["--pool=chat"] });
  await gateway.measured();
  load = startLoad(gateway, { pauseMs: 20 });
});

afterAll(async () => {
  await load?.stop();
  await gateway?.stop();
  await cluster?.stop();
  for (const server of servers) await server.stop();
});

async function endpoints(): Promise<readonly string[]> {
  const { pools } = await gateway.snapshot();
  return pools.flatMap((each) => each.endpoints.map(({ address }) => address)).sort();
}

/** Requests that each server gets while some are answered. */
async function requestsOfEach(): Promise<readonly number[]> {
  const before = servers.map(({ requests }) => requests);
  const answered = load.answered();
  await eventually(load.answered, (count) => count > answered + 200);
  return servers.map(({ requests }, n) => requests - before[n]!);
}

test("killed for half a minute under load: no request fails, and what changed meanwhile arrives", async ({
  annotate,
}) => {
  const before = await endpoints();
  expect(before).toEqual(ADDRESSES.slice(0, 3).map((host) => `${host}:8000`));
  await cluster.server.kill();
  const endMs = performance.now() + DOWN_MS;
  await eventually(
    () => gateway.watches(),
    ({ all, up }) => all > 0 && up === 0,
  );

  other = await cluster.another();
  await other.admin.remove(pod("chat-1", {}));
  await other.admin.setReady("chat-2", { ip: ADDRESSES[1], ready: false });
  await other.admin.pod("chat-4", { ip: ADDRESSES[3], labels: LABELS });
  await other.admin.apply(objective("urgent", 5, { poolName: "chat" }));
  while (performance.now() < endMs) {
    expect(await endpoints()).toEqual(before);
    await sleep(1_000);
  }
  // Its proxy has what it needs: a kubelet must not take it away.
  const { status, text } = await gateway.page("/readyz");
  expect({ status, text }).toMatchObject({ status: 200, text: expect.stringMatching(/pods.*(2\d|3\d)\.\d s ago/) });
  expect((await requestsOfEach()).map(Boolean)).toEqual([true, true, true, false]);

  await cluster.server.start();
  const startedMs = performance.now();
  const after = [ADDRESSES[2], ADDRESSES[3]].map((host) => `${host}:8000`);
  await eventually(endpoints, (found) => found.join() === after.join(), BACK_MS_MAX);
  await eventually(
    () => gateway.watches(),
    ({ all, up }) => up === all,
    BACK_MS_MAX,
  );
  await annotate(`all is watched again after ${Math.round(performance.now() - startedMs)} ms`);
  await eventually(requestsOfEach, (each) => each.map(Boolean).join() === "false,false,true,true");
  const { pools } = await gateway.snapshot();
  expect(JSON.stringify(pools)).toContain("urgent");
  expect(load.failures).toEqual([]);
}, 90_000);

test("an agent that starts while the API server is away leaves in force what its proxy has", async () => {
  await cluster.server.kill();
  await gateway.agent.stop("SIGKILL");
  await gateway.agent.start();
  const { status, text } = await gateway.page("/readyz");
  expect(status).not.toBe(200);
  expect(text).toContain("API server");
  expect((await requestsOfEach()).map(Boolean)).toEqual([false, false, true, true]);

  await other.admin.remove(pod("chat-4", {}));
  await cluster.server.start();
  await gateway.ready();
  await eventually(requestsOfEach, (each) => each.map(Boolean).join() === "false,false,true,false");
  expect(load.failures).toEqual([]);
}, 60_000);
