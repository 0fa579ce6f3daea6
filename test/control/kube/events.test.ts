// What becomes of warnings as Events: their form, how often, and who writes them.

import { describe, expect, onTestFinished, test } from "vitest";
import { KubeClient } from "../../../src/control/kube/client.ts";
import { Events, type EventsTiming } from "../../../src/control/kube/events.ts";
import { logLines } from "../log-lines.ts";
import { until } from "../until.ts";
import { fakeApiServer } from "./fake-api-server.ts";

const TIMING: EventsTiming = { sameMs: 60_000, keepMs: 60_000, intervalMs: 1, burst: 5 };
const POOL = {
  apiVersion: "inference.networking.k8s.io/v1",
  kind: "InferencePool",
  namespace: "ns",
  name: "chat",
  uid: "u-1",
};

type Written = {
  readonly metadata: { readonly name: string };
  readonly note: string;
  readonly eventTime: string;
  readonly reportingInstance: string;
};

async function events(timing: Partial<EventsTiming> = {}, identity = "agent-0") {
  const server = await fakeApiServer();
  const client = new KubeClient(server.config());
  const { log, lines } = logLines();
  const all = new Events({ client, identity, log, timing: { ...TIMING, ...timing } });
  onTestFinished(async () => {
    all.stop();
    await client.stop();
  });
  const written = () => server.requests.map(({ body }) => body as Written);
  const notes = () => written().map(({ note }) => note);
  return { server, all, lines, written, notes };
}

test("an Event says what is wrong with which object, in the form of events.k8s.io/v1", async () => {
  const { server, all, written } = await events();
  all.setLeading(true);
  all.warn(POOL, "NoEndpoints", "selector app=x: expected a pod that is ready");
  const [event] = await until("written", () => written().length > 0 && written());
  expect(event).toEqual({
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { namespace: "ns", name: expect.stringMatching(/^chat\.[0-9a-f]{16}$/) },
    type: "Warning",
    reason: "NoEndpoints",
    action: "Configure",
    note: "selector app=x: expected a pod that is ready",
    regarding: POOL,
    eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    reportingController: "pointsman",
    reportingInstance: "agent-0",
  });
  expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /apis/events.k8s.io/v1/namespaces/ns/events",
  ]);
});

test("names and texts that are too long are cut where the API server would refuse them", async () => {
  const { all, written } = await events({}, "i".repeat(200));
  all.setLeading(true);
  all.warn({ ...POOL, name: `${"n".repeat(235)}.${"m".repeat(17)}` }, "R", "ü€😀".repeat(200));
  const [event] = await until("written", () => written().length > 0 && written());
  const { metadata, note, reportingInstance } = event!;
  expect(metadata.name).toMatch(/^n{235}\.[0-9a-f]{16}$/);
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
  expect(Buffer.byteLength(note)).toBeGreaterThan(1018);
  expect(note).toMatch(/^(ü€😀)+ü?€?…$/);
  expect(Buffer.byteLength(reportingInstance)).toBeLessThanOrEqual(128);
});

describe("the same", () => {
  test("of the same object is said once within its time, and again after it", async () => {
    const { all, notes } = await events({ sameMs: 80 });
    all.setLeading(true);
    all.warn(POOL, "R", "a");
    all.warn(POOL, "R", "a");
    all.warn({ ...POOL, name: "other" }, "R", "a");
    all.warn(POOL, "R", "b");
    await until("written", () => notes().length === 3);
    all.warn(POOL, "R", "a");
    await until("said again", () => {
      all.warn(POOL, "R", "b");
      return notes().length > 3;
    });
    expect(notes()).toEqual(["a", "a", "b", "b"]);
  });

  test("is said again when it could not be written", async () => {
    const { server, all, notes } = await events();
    server.fail({ status: 500 });
    all.setLeading(true);
    all.warn(POOL, "R", "a");
    await until("said again", () => {
      all.warn(POOL, "R", "a");
      return notes().length === 2;
    });
  });
});

describe("of two replicas", () => {
  test("only the leader writes; what was found shortly before it leads is not lost", async () => {
    const { all, notes } = await events();
    all.warn(POOL, "R", "at the start");
    all.setLeading(true);
    await until("written", () => notes().length === 1);
    all.setLeading(false);
    all.warn(POOL, "R", "while the other leads");
    all.warn(POOL, "R", "while the other leads");
    all.setLeading(true);
    await until("written", () => notes().length === 2);
    expect(notes()).toEqual(["at the start", "while the other leads"]);
  });

  test("the one that takes over does not say what is old", async () => {
    const { all, notes } = await events({ keepMs: 50 });
    const startedMs = performance.now();
    all.warn(POOL, "R", "old");
    await until("time passes", () => performance.now() - startedMs > 60);
    all.setLeading(true);
    all.warn(POOL, "R", "new");
    await until("written", () => notes().length > 0);
    expect(notes()).toEqual(["new"]);
  });
});

describe("many", () => {
  test("come at the rate after the first, and what does not fit is left out, which is said once", async () => {
    const { server, all, lines, notes } = await events({ intervalMs: 10 });
    all.setLeading(true);
    for (let i = 0; i < 200; i++) all.warn(POOL, "R", `${i}`);
    expect(lines).toEqual([
      {
        level: "warn",
        message: "more than 100 Events wait to be written: those that come now are left out",
        fields: {},
      },
    ]);
    await until("written", () => notes().length >= 101);
    const ms = server.requests.map(({ atMs }) => atMs);
    expect(ms.at(-1)! - ms[0]!).toBeGreaterThan(900);
    expect(notes()).toEqual(Array.from({ length: 101 }, (_, i) => `${i}`));
  });

  test("failures are one line of the log, and one when they end", async () => {
    const { server, all, lines, notes } = await events();
    server.fail({ status: 403, message: "events is forbidden", times: 3 });
    all.setLeading(true);
    for (const note of ["a", "b", "c", "d"]) all.warn(POOL, "R", note);
    await until("said", () => lines.length === 2);
    expect(lines[0]).toMatchObject({ level: "warn", fields: { reason: "403: events is forbidden" } });
    expect(lines[1]).toMatchObject({ level: "info" });
    expect(notes()).toEqual(["a", "b", "c", "d"]);
  });
});
