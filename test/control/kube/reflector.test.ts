// The copy of a collection: what comes, what goes, and that nothing that goes wrong takes anything away or stops it.

import { describe, expect, onTestFinished, test } from "vitest";
import { KubeClient } from "../../../src/control/kube/client.ts";
import { type Collection, Reflector, type Timing } from "../../../src/control/kube/reflector.ts";
import { logLines } from "../log-lines.ts";
import { until } from "../until.ts";
import { type FakeApiServer, type FakeRequest, fakeApiServer, type Json } from "./fake-api-server.ts";

const PODS = "/api/v1/namespaces/default/pods";
/** Quick, and without chance. */
const QUICK: Partial<Timing> = { backoffMs: 20, backoffMsMax: 80, steadyMs: 100, random: () => 0 };

type Kept = { readonly kind: unknown; readonly apiVersion: unknown; readonly ip: unknown };

async function reflecting(given: {
  readonly server?: FakeApiServer;
  readonly names?: readonly string[];
  readonly collection?: Collection;
  readonly timing?: Partial<Timing>;
  readonly token?: string;
}) {
  const server = given.server ?? (await fakeApiServer());
  for (const name of given.names ?? ["a", "b"]) server.put(PODS, pod(name));
  const client = new KubeClient(server.config(given.token));
  const { log, lines } = logLines();
  const taken: string[] = [];
  const seen = { changes: 0, sizes: [] as number[] };
  const reflector = new Reflector<Kept>({
    client,
    collection: given.collection ?? { path: PODS },
    take: (object, previous) => {
      const { kind, apiVersion, metadata, spec } = object as Json & { readonly spec?: { ip?: string; bad?: string } };
      taken.push(String(metadata!.name));
      if (spec?.bad === "throws") throw new Error("spec.bad: expected nothing");
      if (spec?.bad === "left out") return undefined;
      return previous !== undefined && previous.ip === spec?.ip ? previous : { kind, apiVersion, ip: spec?.ip };
    },
    onChange: () => {
      seen.changes += 1;
      seen.sizes.push(reflector.items.size);
    },
    log,
    timing: { ...QUICK, ...given.timing },
  });
  onTestFinished(async () => {
    reflector.stop();
    await client.stop();
  });
  const names = () => [...reflector.items.keys()].map((key) => key.split("/")[1]).join("");
  const watching = () => until("a watch", () => server.watches === 1 && reflector.view().problem === undefined);
  /** Has all watches say how far they are, which shows the reflector that they work. */
  const bookmark = async () => {
    const beforeMs = performance.now();
    server.bookmark();
    await until("the bookmark", () => performance.now() - reflector.view().ageMs! > beforeMs);
  };
  return { server, reflector, lines, taken, seen, names, watching, bookmark };
}

function pod(name: string, spec: Json = {}): Json {
  return { kind: "Pod", apiVersion: "v1", metadata: { name, namespace: "default", labels: { app: name } }, spec };
}

const lists = (server: FakeApiServer) => server.requests.filter(({ query }) => query.watch === undefined);
const watches = (server: FakeApiServer) => server.requests.filter(isWatch);
const isWatch = ({ query }: FakeRequest) => query.watch === "true";

describe("what is held", () => {
  test("is listed first, with what a list of a built-in type says once, then follows each event", async () => {
    const { server, reflector, names, watching, seen } = await reflecting({ timing: { random: () => 0.5 } });
    expect([reflector.synced, reflector.view().ageMs]).toEqual([false, null]);
    await watching();
    expect([names(), reflector.synced]).toEqual(["ab", true]);
    expect(reflector.items.get("default/a")).toEqual({ kind: "Pod", apiVersion: "v1", ip: undefined });
    expect(lists(server)[0]!.query).toEqual({ limit: "100" });
    const { resourceVersion, allowWatchBookmarks, timeoutSeconds } = watches(server)[0]!.query;
    expect([resourceVersion, allowWatchBookmarks, timeoutSeconds]).toEqual([String(server.version), "true", "35"]);
    const before = seen.changes;
    server.put(PODS, pod("c"));
    server.put(PODS, pod("a", { ip: "10.0.0.1" }));
    server.remove(`${PODS}/b`);
    await until("c", () => names() === "ac");
    expect(reflector.items.get("default/a")?.ip).toBe("10.0.0.1");
    expect(seen.changes - before).toBe(3);
    // What `take` gives back as it was is no change.
    server.put(PODS, pod("c", { node: "n1" }));
    server.put(PODS, pod("d"));
    await until("d", () => names() === "acd");
    expect(seen.changes - before).toBe(4);
    expect(reflector.view()).toMatchObject({ resource: "pods", scope: "namespace default", restarts: 0 });
  });

  test("is all pages of a list, each one taken as it comes", async () => {
    const server = await fakeApiServer();
    for (let number = 0; number < 240; number += 1) server.put(PODS, pod(`p${number}`));
    const { watching, seen } = await reflecting({ server, names: [] });
    await watching();
    // And once more when it is known that these are all.
    expect([seen.sizes, lists(server).length]).toEqual([[100, 200, 240, 240], 3]);
  });

  test("goes by the selectors; the view says them and the resource with its group", async () => {
    const collection = { path: PODS, labelSelector: "app=b", fieldSelector: "metadata.name=b" };
    const { server, reflector, names, watching } = await reflecting({ collection });
    await watching();
    expect(names()).toBe("b");
    expect(watches(server)[0]!.query).toMatchObject({ labelSelector: "app=b", fieldSelector: "metadata.name=b" });
    expect(reflector.view().scope).toBe("namespace default, app=b, metadata.name=b");
    const other = await reflecting({
      server,
      collection: { path: "/apis/inference.networking.k8s.io/v1/inferencepools" },
    });
    const { resource, scope } = other.reflector.view();
    expect([resource, scope]).toEqual(["inferencepools.inference.networking.k8s.io", "all namespaces"]);
  });

  test("is what `take` keeps: nothing of some, and of one that it cannot read what was there before", async () => {
    const { server, reflector, names, watching, lines } = await reflecting({});
    await watching();
    server.put(PODS, pod("b", { bad: "left out" }));
    await until("b to go", () => names() === "a");
    server.put(PODS, pod("a", { bad: "throws" }));
    await until("the error", () => lines.length > 0);
    expect(lines[0]!.message).toBe(
      "pods in namespace default: default/a cannot be read, it stays as it was: spec.bad: expected nothing",
    );
    expect([names(), reflector.view().problem]).toEqual(["a", undefined]);
  });

  test("an empty collection is known to be empty", async () => {
    const { reflector, watching, seen } = await reflecting({ names: [] });
    await watching();
    expect([reflector.synced, seen.changes]).toEqual([true, 1]);
  });
});

describe("a watch that ends", () => {
  test("in good order goes on from the last version, a bookmark's too, without a list", async () => {
    const { server, names, watching, bookmark, seen, reflector } = await reflecting({});
    await watching();
    server.put("/api/v1/namespaces/other/pods", { ...pod("x"), metadata: { name: "x", namespace: "other" } });
    const changes = seen.changes;
    await bookmark();
    server.endWatches();
    server.put(PODS, pod("c"));
    await until("c", () => names() === "abc");
    expect(watches(server)[1]!.query.resourceVersion).toBe(String(server.version - 1));
    expect([lists(server).length, reflector.view().restarts, seen.changes]).toEqual([1, 0, changes + 1]);
  });

  test("as soon as it was accepted, again and again, is asked for less and less often", async () => {
    const { server, names, watching, reflector } = await reflecting({});
    server.endsAtOnce = true;
    await until("five tries", () => watches(server).length >= 5);
    const [first, , , , fifth] = watches(server);
    // Halves of 20, 40, 80 and 80 ms.
    expect(fifth!.atMs - first!.atMs).toBeGreaterThan(100);
    expect(names()).toBe("ab");
    expect(reflector.view().problem).toContain("ends the watch at once");
    server.endsAtOnce = false;
    await watching();
  });

  test.each(["a cut connection", "half a line", "a line that is no JSON", "an ERROR that is no 410"])(
    "with %s is resumed from the last version, quietly",
    async (what) => {
      const { server, names, watching, bookmark, lines, reflector } = await reflecting({});
      await watching();
      await bookmark();
      if (what === "half a line") server.write('{"type":"DELETED","object":{"metadata":{"name":"a"');
      if (what === "half a line") server.endWatches();
      if (what === "a cut connection") server.breakWatches();
      if (what === "a line that is no JSON") server.write("no watch\n");
      if (what === "an ERROR that is no 410") server.write('{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n');
      await until("a problem", () => reflector.view().problem !== undefined);
      server.put(PODS, pod("c"));
      await until("c", () => names() === "abc");
      expect([lists(server).length, lines, reflector.view().restarts]).toEqual([1, [], 1]);
    },
  );

  test("not in time, by silence, is resumed", async () => {
    const { server, names, watching } = await reflecting({
      timing: { watchMs: 2_900, watchSpreadMs: 0, slackMs: -2_800 },
    });
    await watching();
    await until("the next watch", () => watches(server).length === 2, 2_000);
    expect([names(), lists(server).length]).toEqual(["ab", 1]);
  });
});

describe("a version that is gone", () => {
  test.each(["event", "status"] as const)("as %s: lists at once, and what is gone meanwhile goes", async (goneAs) => {
    const { server, names, watching, bookmark, taken, seen, reflector, lines } = await reflecting({
      timing: { backoffMs: 20_000, backoffMsMax: 20_000 },
    });
    server.goneAs = goneAs;
    await watching();
    await bookmark();
    server.endWatches();
    server.remove(`${PODS}/b`);
    server.put(PODS, pod("c"));
    server.forget();
    const changes = seen.changes;
    taken.length = 0;
    await until("the list", () => names() === "ac");
    await watching();
    // a was there before with the same version.
    expect([taken, seen.changes - changes, reflector.view().restarts, lines]).toEqual([["c"], 2, 1, []]);
  });

  test("nothing is said when a list brings nothing new", async () => {
    const { server, watching, seen, taken } = await reflecting({});
    await watching();
    const changes = seen.changes;
    server.forget();
    server.endWatches();
    await until("a list", () => lists(server).length === 2);
    await watching();
    expect([seen.changes, taken.length]).toEqual([changes, 2]);
  });

  test("a list that breaks off in the middle removes nothing and begins again", async () => {
    const server = await fakeApiServer();
    for (let number = 0; number < 120; number += 1) server.put(PODS, pod(`p${number}`));
    const { reflector, watching } = await reflecting({ server, names: [] });
    await watching();
    const isRest = ({ query }: FakeRequest) => query.continue !== undefined;
    server.fail({ status: 410, when: isRest });
    server.fail({ status: 500, when: isRest, times: 2 });
    server.remove(`${PODS}/p119`);
    server.forget();
    const sizes = new Set<number>();
    server.endWatches();
    await until("two lists", () => {
      sizes.add(reflector.items.size);
      return lists(server).length >= 8;
    });
    await until("p119 to go", () => reflector.items.size === 119);
    expect([...sizes].filter((size) => size < 119)).toEqual([]);
    expect(lists(server).slice(2, 5).map(isRest)).toEqual([false, true, false]);
  });

  test("an answer that is no list does not pass for an empty one", async () => {
    const { server, watching, names, reflector } = await reflecting({});
    await watching();
    server.pages.set(PODS, { kind: "Greeting", items: [], metadata: {} });
    server.forget();
    server.breakWatches();
    await until("a problem", () => reflector.view().problem?.includes("Greeting, expected a list"));
    expect(names()).toBe("ab");
    server.pages.clear();
    await watching();
  });
});

describe("an API server that does not do it", () => {
  test("refuses connections: nothing is lost, it is told once, and what was missed comes after", async () => {
    const { server, watching, names, lines, reflector } = await reflecting({});
    await watching();
    await server.stop();
    await until("the log", () => lines.length === 1);
    await until("more tries", () => (reflector.view().ageMs ?? 0) > 250);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "error", fields: { resource: "pods", scope: "namespace default" } });
    expect(lines[0]!.message).toMatch(
      /^pods in namespace default: http:\S+ does not answer: .*ECONNREFUSED.*; what is known stays in force$/,
    );
    expect(names()).toBe("ab");
    server.remove(`${PODS}/a`);
    await server.start();
    await until("a to go", () => names() === "b");
    await until("the log", () => lines.length === 2);
    expect(lines[1]).toMatchObject({ level: "info", message: "pods in namespace default: watched again" });
    expect(reflector.view()).toMatchObject({ problem: undefined, restarts: 1 });
    // The failures before do not count any more.
    const listed = lists(server).length;
    server.breakWatches();
    await watching();
    expect([lists(server).length, lines.length]).toEqual([listed, 2]);
  });

  test.each([401, 403, 404, 429, 500])("answers %d: asks again, tells why and goes on", async (status) => {
    const { server, watching, names, lines, reflector } = await reflecting({});
    await watching();
    server.fail({ status, times: 5, message: 'pods is forbidden: "me" cannot list resource "pods"' });
    server.breakWatches();
    await until("the log", () => lines.length === 1);
    expect(reflector.view().problem).toBe(`${status}: pods is forbidden: "me" cannot list resource "pods"`);
    expect(names()).toBe("ab");
    server.put(PODS, pod("c"));
    await until("c", () => names() === "abc");
    await watching();
    await until("the log", () => lines.length === 2);
    // Each wait is half of 20, 40, 80 and 80 ms.
    const [first, last] = [server.requests[2]!, server.requests[6]!];
    expect(last.atMs - first.atMs).toBeGreaterThan(105);
    // A watch that was refused for what it asks is not resumed.
    const isList = ({ query }: FakeRequest) => query.watch === undefined;
    expect(isList(server.requests[3]!)).toBe(status === 403 || status === 404);
    expect(isList(server.requests[6]!)).toBe(true);
  });

  test("says when to come back: is left alone so long", async () => {
    const { server, watching } = await reflecting({});
    await watching();
    server.fail({ status: 429, headers: { "retry-after": "0.3" } });
    server.breakWatches();
    await until("the next try", () => watches(server).length === 3);
    const [, refused, next] = watches(server);
    expect(next!.atMs - refused!.atMs).toBeGreaterThan(300);
  });

  test("answers again but cannot do it yet: is asked as often as after a first failure", async () => {
    const { server, watching, reflector } = await reflecting({ timing: { backoffMsMax: 640 } });
    await watching();
    await server.stop();
    // The waits are 10, 20, 40, 80, 160 ms and then 320 ms.
    await until("long waits", () => (reflector.view().ageMs ?? 0) > 350);
    const before = server.requests.length;
    server.fail({ status: 503, times: 3 });
    await server.start();
    await watching();
    const [first, ...more] = server.requests.slice(before);
    expect(more[2]!.atMs - first!.atMs).toBeLessThan(300);
  });

  test("never answered: the log says at once that nothing is known", async () => {
    const server = await fakeApiServer();
    server.token = "right";
    const timing = { backoffMs: 200, backoffMsMax: 200 };
    const { lines, reflector } = await reflecting({ server, token: "wrong", timing });
    expect(reflector.view().problem).toBe("the API server has not answered yet");
    await until("the log", () => lines.length === 1);
    expect(lines[0]!.message).toBe("pods in namespace default: 401: Unauthorized; nothing is known yet");
    expect(server.requests).toHaveLength(1);
    server.token = "wrong";
    await until("a list", () => reflector.synced);
    await until("the log", () => lines.length === 2);
  });
});

test("stopped, it calls nothing any more and asks for nothing", async () => {
  const { server, reflector, watching, seen } = await reflecting({});
  await watching();
  reflector.stop();
  await until("the watch's end", () => server.watches === 0);
  const [changes, requests] = [seen.changes, server.requests.length];
  server.put(PODS, pod("c"));
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect([seen.changes, server.requests.length]).toEqual([changes, requests]);
});
