// Who leads among replicas, against an API server that refuses, falls silent and has others' records in it.

import { describe, expect, onTestFinished, test } from "vitest";
import { KubeClient } from "../../../src/control/kube/client.ts";
import { Lease } from "../../../src/control/kube/lease.ts";
import { logLines } from "../log-lines.ts";
import { until } from "../until.ts";
import { type FakeApiServer, fakeApiServer } from "./fake-api-server.ts";

const LEASES = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
const LEASE_MS = 1_000;
const TIMING = { leaseMs: LEASE_MS, renewDeadlineMs: 600, retryMs: 20 };
const MICRO_TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

function replica(server: FakeApiServer, identity: string, timing = TIMING) {
  const client = new KubeClient(server.config());
  const { log, lines } = logLines();
  const changes: boolean[] = [];
  const onChange = (leading: boolean) => changes.push(leading);
  const lease = new Lease({ client, namespace: "ns", name: "agent", identity, log, onChange, timing });
  onTestFinished(async () => {
    await lease.stop();
    await client.stop();
  });
  return { lease, lines, changes };
}

function specOf(server: FakeApiServer): Record<string, unknown> {
  return server.read(`${LEASES}/agent`)?.spec as Record<string, unknown>;
}

function putRecord(server: FakeApiServer, spec: object): void {
  server.put(LEASES, { kind: "Lease", metadata: { name: "agent", namespace: "ns", labels: { a: "b" } }, spec });
}

/** By somebody whose clock says what it likes. */
function theirs(renewTime: string): object {
  return {
    holderIdentity: "they",
    leaseDurationSeconds: LEASE_MS / 1000,
    acquireTime: "2020-01-01T00:00:00.000000Z",
    renewTime,
    leaseTransitions: 7,
  };
}

describe("a Lease", () => {
  test("that is not there is created, as kubectl shows them, and renewed", async () => {
    const server = await fakeApiServer();
    const { lease, changes } = replica(server, "me");
    await until("leads", () => lease.leading);
    const first = specOf(server);
    expect(first).toEqual({
      holderIdentity: "me",
      leaseDurationSeconds: 1,
      acquireTime: MICRO_TIME,
      renewTime: first.acquireTime,
      leaseTransitions: 0,
    });
    const { renewTime } = await until("renewed", () => specOf(server).renewTime !== first.renewTime && specOf(server));
    expect(specOf(server)).toEqual({ ...first, renewTime: expect.anything() });
    expect(renewTime).toEqual(MICRO_TIME);
    expect(changes).toEqual([true]);
    expect(new Set(server.requests.map(({ method }) => method))).toEqual(new Set(["GET", "POST", "PUT"]));
  });

  test.each(["2020-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"])(
    "that another has renewed at %s by its clock is taken when it has not changed for its duration, not before",
    async (renewTime) => {
      const server = await fakeApiServer();
      putRecord(server, theirs(renewTime));
      const { lease } = replica(server, "me");
      await until("looked at", () => server.requests.length > 0);
      const startedMs = performance.now();
      await until("leads", () => lease.leading);
      expect(performance.now() - startedMs).toBeGreaterThan(LEASE_MS - 100);
      const { acquireTime, ...spec } = specOf(server);
      expect(spec).toMatchObject({ holderIdentity: "me", leaseTransitions: 8 });
      expect(acquireTime).not.toContain("2020");
      expect(server.read(`${LEASES}/agent`)?.metadata?.labels).toEqual({ a: "b" });
    },
  );

  test("is taken when it expires, however long the time between two tries is", async () => {
    const server = await fakeApiServer();
    putRecord(server, theirs("2020-01-01T00:00:00.000000Z"));
    const startedMs = performance.now();
    const { lease } = replica(server, "me", { ...TIMING, retryMs: 4_000 });
    await until("leads", () => lease.leading);
    expect(performance.now() - startedMs).toBeLessThan(1_900);
  });

  test("that another goes on renewing is not taken", async () => {
    const server = await fakeApiServer();
    const renewing = setInterval(() => putRecord(server, theirs(new Date().toISOString())), 200);
    onTestFinished(() => clearInterval(renewing));
    putRecord(server, theirs(new Date().toISOString()));
    const { lease, changes } = replica(server, "me");
    const endMs = performance.now() + 1.5 * LEASE_MS;
    await until("time passes", () => performance.now() > endMs);
    expect([lease.leading, changes, specOf(server).holderIdentity]).toEqual([false, [], "they"]);
  });

  test("that is released is taken at once", async () => {
    const server = await fakeApiServer();
    const first = replica(server, "first");
    await until("leads", () => first.lease.leading);
    const second = replica(server, "second");
    await until("looked at", () => server.requests.filter(({ method }) => method === "GET").length > 1);
    const startedMs = performance.now();
    await first.lease.stop();
    expect([first.lease.leading, first.changes]).toEqual([false, [true, false]]);
    await until("takes over", () => second.lease.leading);
    expect(performance.now() - startedMs).toBeLessThan(LEASE_MS - 200);
    const released = server.requests.findLast(({ body }) => isReleased(body))?.body;
    expect(released).toMatchObject({ spec: { holderIdentity: "", leaseDurationSeconds: 1, leaseTransitions: 0 } });
    expect(specOf(server)).toMatchObject({ holderIdentity: "second", leaseTransitions: 1 });
  });

  test("that somebody else got first is theirs", async () => {
    const server = await fakeApiServer();
    const both = [replica(server, "a"), replica(server, "b"), replica(server, "c")];
    await until("one leads", () => both.some(({ lease }) => lease.leading));
    const rounds = server.requests.length + 20;
    await until("all try again", () => server.requests.length > rounds);
    expect(both.flatMap(({ changes }) => changes)).toEqual([true]);
    expect(both.flatMap(({ lines }) => lines.map(({ level }) => level))).toEqual(["info"]);
  });

  test("that is deleted is created again, by whom it was", async () => {
    const server = await fakeApiServer();
    const { lease, changes, lines } = replica(server, "me");
    await until("leads", () => lease.leading);
    server.remove(`${LEASES}/agent`);
    await until("there again", () => specOf(server));
    expect([changes, lines.length]).toEqual([[true], 1]);
  });
});

describe("a leader", () => {
  test("leads no longer when it cannot renew in time, and again when it can; both are said once", async () => {
    const server = await fakeApiServer();
    const { lease, lines, changes } = replica(server, "me");
    await until("leads", () => lease.leading);
    const startedMs = performance.now();
    server.silent = true;
    await until("leads no longer", () => changes.length === 2);
    expect(performance.now() - startedMs).toBeLessThan(TIMING.renewDeadlineMs + 400);
    await until("said", () => lines.length === 3);
    server.silent = false;
    await until("leads again", () => lease.leading);
    expect(specOf(server)).toMatchObject({ holderIdentity: "me", leaseTransitions: 0 });
    await until("said", () => lines.length === 5);
    expect(lines.map(({ level }) => level).sort()).toEqual(["info", "info", "info", "warn", "warn"]);
  });

  test("outlives refusals that end in time", async () => {
    const server = await fakeApiServer();
    const { lease, changes } = replica(server, "me");
    await until("leads", () => lease.leading);
    server.fail({ status: 500, times: 3 });
    const rounds = server.requests.length + 6;
    await until("renews", () => server.requests.length > rounds);
    expect(changes).toEqual([true]);
  });

  test("whose record was replaced leads no longer", async () => {
    const server = await fakeApiServer();
    const { lease, changes } = replica(server, "me");
    await until("leads", () => lease.leading);
    const startedMs = performance.now();
    putRecord(server, theirs("2020-01-01T00:00:00.000000Z"));
    await until("leads no longer", () => changes.length === 2);
    expect(performance.now() - startedMs).toBeLessThan(TIMING.renewDeadlineMs);
    expect(lease.leading).toBe(false);
  });

  test("stops in time when the API server is not there", async () => {
    const server = await fakeApiServer();
    const { lease, changes } = replica(server, "me");
    await until("leads", () => lease.leading);
    await server.stop();
    await lease.stop();
    expect(changes).toEqual([true, false]);
  });
});

test("a Lease that may not be read is asked for again, and that is said once", async () => {
  const server = await fakeApiServer();
  server.fail({ status: 403, message: "leases is forbidden", times: 3 });
  const { lease, lines } = replica(server, "me");
  await until("leads", () => lease.leading);
  expect(lines.map(({ level }) => level).sort()).toEqual(["info", "info", "warn"]);
  expect(lines[0]?.fields).toEqual({ lease: "ns/agent", reason: "403: leases is forbidden" });
});

function isReleased(body: unknown): boolean {
  return (body as { spec?: { holderIdentity?: string } } | undefined)?.spec?.holderIdentity === "";
}
