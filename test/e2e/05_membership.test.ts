// Pods come and go under steady load: each change is in force within a second, and no request fails.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Backend, echo, type Handler } from "./support/backend.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, POOL, startGateway } from "./support/gateway.ts";
import { type Load, startLoad } from "./support/load.ts";
import { onOnePort } from "./support/pod-addresses.ts";

/** A change is to be in force within a second; what is asserted is three times that, of the best of three. */
const IN_FORCE_MS_MAX = 3_000;
const ROUNDS = 3;
/** So long without a request means that the server gets none any more; under load it gets one every few ms. */
const QUIET_MS = 400;

/** When each server got its last request. */
const askedMs = new Map<string, number>();
const handler: Handler = async (exchange) => {
  askedMs.set(exchange.backend.name, performance.now());
  await sleep(5);
  await echo(exchange);
};

let backends: readonly Backend[] = [];
let gateway: Gateway;
let load: Load;

beforeAll(async () => {
  backends = await onOnePort(4, (listen) => Backend.start(listen, { handler }));
  gateway = await startGateway({ servers: backends.slice(0, 3) });
  await gateway.measured();
  load = startLoad(gateway);
});

afterAll(async () => {
  await load?.stop();
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

const newcomer = () => backends[3]!;
const putNewcomer = (ready: boolean) =>
  gateway.objects.putPod({ name: "pod-4", ip: newcomer().address.host, pool: POOL, ready });

/** Milliseconds until the first request reaches the newcomer. */
async function untilAsked(change: () => void): Promise<number> {
  const startedMs = performance.now();
  askedMs.delete(newcomer().name);
  change();
  await eventually(() => askedMs.has(newcomer().name), Boolean);
  return askedMs.get(newcomer().name)! - startedMs;
}

/** Milliseconds until the last request reaches it. */
async function untilQuiet(change: () => void): Promise<number> {
  const startedMs = performance.now();
  change();
  await eventually(
    () => performance.now() - Math.max(askedMs.get(newcomer().name) ?? 0, startedMs),
    (quietMs) => quietMs > QUIET_MS,
  );
  return (askedMs.get(newcomer().name) ?? 0) - startedMs;
}

test("adding, un-readying and deleting a pod", async ({ annotate }) => {
  const found: Record<string, number[]> = { added: [], unready: [], ready: [], deleted: [] };
  for (let round = 0; round < ROUNDS; ++round) {
    found.added!.push(await untilAsked(() => putNewcomer(true)));
    found.unready!.push(await untilQuiet(() => putNewcomer(false)));
    found.ready!.push(await untilAsked(() => putNewcomer(true)));
    found.deleted!.push(await untilQuiet(() => gateway.objects.removePod("pod-4")));
  }
  const best = Object.entries(found).map(([change, ms]) => [change, Math.round(Math.min(...ms))] as const);
  await annotate(`in force after, ms: ${JSON.stringify(Object.fromEntries(best))}`);
  for (const [change, ms] of best) expect(ms, change).toBeLessThan(IN_FORCE_MS_MAX);
  expect(load.failures).toEqual([]);
});

test("a document that is broken leaves its last good state in force, others change", async () => {
  putNewcomer(true);
  await untilAsked(() => {});
  gateway.objects.put("pod-pod-1", "kind: Pod\napiVersion: v1\nmetadata: {name: pod-1\n");
  await untilQuiet(() => putNewcomer(false));
  askedMs.delete(backends[0]!.name);
  await eventually(() => askedMs.has(backends[0]!.name), Boolean);
  expect(gateway.lines.filter((line) => line.includes("pod-pod-1.yaml"))).not.toEqual([]);
  expect(load.failures).toEqual([]);
});

test("the whole pool is exchanged for another", async () => {
  putNewcomer(true);
  await untilAsked(() => {});
  for (const name of ["pod-1", "pod-2", "pod-3"]) gateway.objects.removePod(name);
  const before = load.answered();
  await eventually(
    () => performance.now() - Math.max(...backends.slice(0, 3).map(({ name }) => askedMs.get(name) ?? 0)),
    (quietMs) => quietMs > QUIET_MS,
  );
  await eventually(load.answered, (answered) => answered > before + 100);
  expect(load.failures).toEqual([]);
});
