// What Envoy's own statistics say of the filter: a fixed set for each pool, with labels.

import { afterAll, beforeAll, expect, test } from "vitest";
import {
  STAT_IN_FLIGHT,
  STAT_PICK_NS,
  STAT_PICKS,
  STAT_REQUESTS,
  STAT_SNAPSHOT_AGE_MS,
  STAT_SNAPSHOT_EPOCH,
} from "../../src/wire/names.ts";
import { Backend, type Exchange } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";
/** A dot is what separates names from labels inside Envoy. */
const NAME = "llama-3.3.v1";
const pool = `default/${NAME}`;
const OUTCOMES = ["scored", "degraded", "unsteered", "no_endpoints", "bad_request", "saturated", "expired"];

let backends: readonly Backend[] = [];
let gateway: Gateway;
const held: Exchange[] = [];

beforeAll(async () => {
  const handler = async (exchange: Exchange) => {
    await exchange.read();
    held.push(exchange);
  };
  backends = await onOnePort(3, (listen) => Backend.start(listen, { handler }));
  gateway = await startGateway({ servers: [] });
  putPool(NAME);
  for (const [n, { address }] of backends.entries()) {
    gateway.objects.putPod({ name: `pod-${n}`, ip: address.host, pool: NAME });
  }
  await gateway.measured();
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

function putPool(name: string): void {
  gateway.objects.putPool({ name, port: backends[0]!.address.port });
}

function answerHeld(): void {
  for (const { response } of held.splice(0)) response.end("{}");
}

test("requests, picks by outcome, requests in flight, time to pick", async () => {
  const clients = (await gateway.clientsByWorker()).flat();
  // Each connection began with a request that is none.
  const bad = (await gateway.connectionsByWorker()).reduce((sum, count) => sum + count, 0);
  await gateway.counted(STAT_PICKS, { pool, outcome: "bad_request" }, bad);

  const calls = Array.from({ length: 12 }, (_, n) => clients[n % 2]!.call({ path: CHAT, body: chat() }));
  await gateway.counted(STAT_IN_FLIGHT, { pool }, 12);
  await gateway.counted(STAT_PICKS, { pool, outcome: "scored" }, 12);
  await gateway.counted(STAT_REQUESTS, { pool }, 12 + bad);
  await gateway.counted(`${STAT_PICK_NS}_count`, { pool }, 12);
  const statistics = await gateway.statistics();
  const meanNs = statistics.sum(`${STAT_PICK_NS}_sum`, { pool }) / 12;
  expect(meanNs).toBeGreaterThan(100);
  expect(meanNs).toBeLessThan(1_000_000);
  answerHeld();
  await Promise.all(calls);
  await gateway.counted(STAT_IN_FLIGHT, { pool }, 0);
});

test("the epoch and the age of what is picked by", async () => {
  const { topologyEpoch } = await gateway.report();
  const gauge = async (name: string) => (await gateway.statistics()).sum(name, { pool });
  await gateway.counted(STAT_SNAPSHOT_EPOCH, { pool }, topologyEpoch);
  // Idle servers are scraped once a second.
  expect(await gauge(STAT_SNAPSHOT_AGE_MS)).toBeLessThan(3_000);
  await gateway.up.killAgent();
  await eventually(
    () => gauge(STAT_SNAPSHOT_AGE_MS),
    (ageMs) => ageMs > 3_000,
  );
  await gateway.up.startAgent();
  await gateway.up.ready();
  await eventually(
    () => gauge(STAT_SNAPSHOT_AGE_MS),
    (ageMs) => ageMs < 2_000,
  );
});

test("the set is fixed for each pool, however many pods come and go", async () => {
  const series = async () => {
    const { samples } = await gateway.statistics();
    return samples
      .filter(({ name }) => name.startsWith("pointsman_") && !name.endsWith("_bucket"))
      .map(({ name, labels }) => [name, labels.pool, labels.outcome].join(" "));
  };
  const expected = (name: string) => [
    ...[STAT_REQUESTS, STAT_IN_FLIGHT, STAT_SNAPSHOT_AGE_MS, STAT_SNAPSHOT_EPOCH].map((stat) => `${stat} ${name} `),
    ...[`${STAT_PICK_NS}_sum`, `${STAT_PICK_NS}_count`].map((stat) => `${stat} ${name} `),
    ...OUTCOMES.map((outcome) => `${STAT_PICKS} ${name} ${outcome}`),
  ];
  expect((await series()).toSorted()).toEqual([...expected("-"), ...expected(pool)].toSorted());
  for (let n = 0; n < 5; ++n) {
    gateway.objects.putPod({ name: "guest", ip: `127.0.1.${n + 1}`, pool: NAME });
    await eventually(
      () => gateway.snapshot(),
      ({ pools }) => pools[0]!.endpoints.some(({ address }) => address.startsWith(`127.0.1.${n + 1}:`)),
    );
  }
  putPool("second");
  await eventually(series, (found) => found.includes(`${STAT_REQUESTS} default/second `));
  const three = [...expected("-"), ...expected(pool), ...expected("default/second")];
  expect((await series()).toSorted()).toEqual(three.toSorted());
});
