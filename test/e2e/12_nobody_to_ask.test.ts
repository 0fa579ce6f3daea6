// No snapshot, no pool, no endpoint: what the failure modes say, and always in words a client can read.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HEADER_DESTINATION, HEADER_DROPPED_REASON, REASON_NO_ENDPOINTS, STAT_PICKS } from "../../src/wire/names.ts";
import { Backend, type Received } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Answer, Call } from "./support/client.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, type GatewayOptions, POOL, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT: Call = { path: "/v1/chat/completions", body: chat() };
const GET: Call = { path: "/v1/models" };

let backends: readonly Backend[] = [];
let gateway: Gateway | undefined;

beforeEach(async () => {
  backends = await onOnePort(3, (listen) => Backend.start(listen));
});

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
  for (const backend of backends) await backend.stop();
});

async function start(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  gateway = await startGateway({ servers: backends, ...options });
  return gateway;
}

function expectNobody(answer: Answer, code: string): void {
  expectOpenAiError(answer, 503, code);
  expect(answer.headers[HEADER_DROPPED_REASON]).toBe(REASON_NO_ENDPOINTS);
  expect(answer.headers["retry-after"]).toMatch(/^\d+$/);
}

describe("Envoy has started, the agent has not", () => {
  /** The members of the cluster are in Envoy's files; the snapshot is not. */
  async function withoutSnapshot(failureMode: "FailOpen" | "FailClose"): Promise<Gateway> {
    const started = await start({ filter: { failureMode } });
    await started.up.killAgent();
    await started.up.restartEnvoy();
    return started;
  }

  test("FailClose: 503", async () => {
    const client = (await withoutSnapshot("FailClose")).client();
    for (const call of [CHAT, GET]) expectNobody(await client.call(call), "no_snapshot");
    expect(backends.map(({ requests }) => requests)).toEqual([0, 0, 0]);
  });

  test("FailOpen: Envoy's own balancing picks, whatever a client names", async () => {
    const started = await withoutSnapshot("FailOpen");
    const client = started.client();
    const wish = { [HEADER_DESTINATION]: backends[2]!.name };
    for (let n = 0; n < 30; ++n) {
      const call = n % 2 === 0 ? CHAT : GET;
      const answer = await client.call({ ...call, headers: wish });
      expect(answer.status).toBe(200);
      expect((answer.json() as Received).headers).not.toHaveProperty(HEADER_DESTINATION);
    }
    for (const { requests } of backends) expect(requests).toBeGreaterThan(0);
    await started.counted(STAT_PICKS, { outcome: "unsteered", pool: "-" }, 30);
  });
});

describe("a pool without a ready pod", () => {
  async function withoutPods(failureMode: "FailOpen" | "FailClose"): Promise<Gateway> {
    const started = await start({ pool: { failureMode } });
    await started.measured();
    expect((await started.client().call(CHAT)).status).toBe(200);
    for (const [n, { address }] of backends.entries()) {
      started.objects.putPod({ name: `pod-${n + 1}`, ip: address.host, pool: POOL, ready: false });
    }
    const client = started.client();
    await eventually(
      async () => (await client.call(CHAT)).status,
      (status) => status === 503,
    );
    return started;
  }

  test("FailClose: 503 by the filter", async () => {
    const started = await withoutPods("FailClose");
    for (const protocol of ["h1", "h2"] as const) {
      const client = started.client(protocol);
      for (const call of [CHAT, GET]) expectNobody(await client.call(call), "no_endpoints");
    }
    await eventually(
      async () => (await started.statistics()).sum(STAT_PICKS, { outcome: "no_endpoints", pool: `default/${POOL}` }),
      (count) => count > 0,
    );
  });

  test("FailOpen: Envoy has nobody either, and says so in the same words", async () => {
    const started = await withoutPods("FailOpen");
    for (const call of [CHAT, GET]) expectNobody(await started.client().call(call), "no_endpoints");
    await eventually(
      async () => (await started.statistics()).sum(STAT_PICKS, { outcome: "unsteered", pool: `default/${POOL}` }),
      (count) => count > 0,
    );
  });

  test("a request that waits nowhere: the next ready pod serves", async () => {
    const started = await withoutPods("FailClose");
    started.objects.putPod({ name: "pod-2", ip: backends[1]!.address.host, pool: POOL });
    const client = started.client();
    const answer = await eventually(
      () => client.call(CHAT),
      ({ status }) => status === 200,
    );
    expect((answer.json() as Received).by).toBe(backends[1]!.name);
  });
});

test("no object at all: 503 until there is a pool with a pod", async () => {
  const started = await start({ servers: [] });
  const client = started.client();
  expectNobody(await client.call(CHAT), "no_snapshot");
  const [first] = backends;
  started.objects.putPool({ name: POOL, port: first!.address.port });
  started.objects.putPod({ name: "pod-1", ip: first!.address.host, pool: POOL });
  const answer = await eventually(
    () => client.call(CHAT),
    ({ status }) => status === 200,
  );
  expect((answer.json() as Received).by).toBe(first!.name);
});

describe("several pools", () => {
  async function withTwoPools(defaultPool: string | undefined): Promise<Gateway> {
    const { port } = backends[0]!.address;
    const filter = defaultPool === undefined ? {} : { defaultPool };
    const started = await start({ servers: backends.slice(0, 2), filter });
    started.objects.putPool({ name: "other", port });
    started.objects.putPod({ name: "pod-other", ip: backends[2]!.address.host, pool: "other" });
    await eventually(
      () => started.report(),
      (report) => report.topologyEpoch > 0,
    );
    await eventually(
      () => started.snapshot(),
      ({ pools, epochs }) => pools.length === 2 && epochs.applied === epochs.sent,
    );
    return started;
  }

  test("the default one serves", async () => {
    const started = await withTwoPools("default/other");
    const client = started.client();
    for (let n = 0; n < 10; ++n) {
      expect(((await client.call(CHAT)).json() as Received).by).toBe(backends[2]!.name);
    }
    await started.counted(STAT_PICKS, { outcome: "scored", pool: "default/other" }, 10);
  });

  test("none is the default: 404 that says so", async () => {
    const started = await withTwoPools(undefined);
    await eventually(
      async () => (await started.client().call(CHAT)).status,
      (status) => status === 404,
    );
    expectOpenAiError(await started.client().call(CHAT), 404, "model_not_found");
    expect(backends[2]!.requests).toBe(0);
  });
});
