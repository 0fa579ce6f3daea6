// Calls of the API server as they are on the wire, and what becomes of each way in which they fail.

import { writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { KubeClient, KubeError, type WatchEvent } from "../../../src/control/kube/client.ts";
import { loadKubeConfig, rereadKubeConfig } from "../../../src/control/kube/config.ts";
import { temporaryDir, until } from "../until.ts";
import { FakeApiServer, fakeApiServer } from "./fake-api-server.ts";

const PODS = "/api/v1/namespaces/default/pods";

async function calling(token?: string) {
  const server = await fakeApiServer();
  server.put(PODS, { kind: "Pod", metadata: { name: "a" } });
  const client = new KubeClient(server.config(token));
  onTestFinished(() => client.stop());
  return { server, client };
}

/** A client of a server that answers each request so. */
async function answering(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const config = new FakeApiServer().config();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  config.clusters = config.clusters.map((cluster) => ({ ...cluster, server: `${url}/` }));
  const client = new KubeClient(config);
  onTestFinished(async () => {
    await client.stop();
    server.closeAllConnections();
    server.close();
  });
  const stopping = new AbortController();
  const events: WatchEvent[] = [];
  const watch = (silenceMs = 1_000) =>
    client.watch(PODS, {}, { onEvent: (event) => events.push(event), silenceMs, signal: stopping.signal });
  return { client, url, watch, events, stopping };
}

async function errorOf(call: Promise<unknown>): Promise<KubeError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError;
}

describe("a call", () => {
  test("says who we are and what we ask for, and gives the answer", async () => {
    const { server, client } = await calling("secret");
    server.token = "secret";
    const query = { limit: 5, labelSelector: "app in (a, b)", continue: undefined };
    expect(await client.get(PODS, query)).toMatchObject({ kind: "PodList" });
    expect(server.requests[0]!.query).toEqual({ limit: "5", labelSelector: "app in (a, b)" });
    const { accept, "user-agent": agent, authorization } = server.requests[0]!.headers;
    expect([accept, agent, authorization]).toEqual(["application/json", "pointsman", "Bearer secret"]);
  });

  test("sends JSON of the kind that it says; a conflict is an error with its status", async () => {
    const { server, client } = await calling();
    const contentType = "application/merge-patch+json";
    const patched = await client.send("PATCH", `${PODS}/a/status`, { status: { x: 1 } }, { contentType });
    expect(patched).toMatchObject({ metadata: { name: "a" }, status: { x: 1 } });
    expect(server.requests[0]!.headers["content-type"]).toBe(contentType);
    const stale = { kind: "Pod", metadata: { name: "a", resourceVersion: "1" } };
    const conflict = await errorOf(client.send("PUT", `${PODS}/a`, stale));
    expect([conflict.status, conflict.message]).toEqual([
      409,
      "409: Operation cannot be fulfilled on a: the object has been modified",
    ]);
    expect(server.requests[1]!.headers["content-type"]).toBe("application/json");
  });

  test("that is refused gives the server's words, a proxy's too, and when to come back", async () => {
    const { server, client } = await calling();
    server.fail({ status: 429, message: "too many", headers: { "retry-after": "3" } });
    const { message, status, retryAfterMs } = await errorOf(client.get(PODS));
    expect([message, status, retryAfterMs]).toEqual(["429: too many", 429, 3_000]);
    const proxy = await answering((_, response) => response.writeHead(502).end("<h1>Bad gateway</h1>"));
    expect((await errorOf(proxy.client.get(PODS))).message).toBe("502: <h1>Bad gateway</h1>");
    const mute = await answering((_, response) => response.writeHead(503).end());
    expect((await errorOf(mute.client.get(PODS))).message).toBe("503: no reason given");
  });

  test("that finds nobody, half an answer or no JSON says so", async () => {
    const { server, client } = await calling();
    await server.stop();
    const nobody = await errorOf(client.get(PODS));
    expect(nobody.message).toMatch(/^http:\/\/127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/);
    expect(nobody.status).toBeUndefined();
    const half = await answering((_, response) => {
      response.writeHead(200, { "content-length": "100" }).write("{");
      setTimeout(() => response.destroy(), 5);
    });
    expect((await errorOf(half.client.get(PODS))).message).toMatch(/ does not answer: /);
    const page = await answering((_, response) => response.end("<html>"));
    expect((await errorOf(page.client.get(PODS))).message).toContain(`${page.url} says what is no JSON: `);
  });

  test("ends when it is given up", async () => {
    const { client } = await answering(() => {});
    const stopping = new AbortController();
    const call = errorOf(client.get(PODS, {}, stopping.signal));
    stopping.abort();
    await call;
  });
});

describe("credentials", () => {
  test("that are refused are read again for the next call", async () => {
    const server = await fakeApiServer();
    server.token = "old";
    let token = "old";
    const client = new KubeClient(server.config("old"), () => server.config(token));
    onTestFinished(() => client.stop());
    await client.get(PODS);
    server.token = "new";
    expect((await errorOf(client.get(PODS))).status).toBe(401);
    token = "new";
    expect((await errorOf(client.get(PODS))).status).toBe(401);
    await client.get(PODS);
  });

  test("are read once for calls that come together, and none of those loses its connection", async () => {
    const { server, client } = await calling();
    const together = () => Promise.all(Array.from({ length: 20 }, () => client.get(PODS)));
    await together();
    server.fail({ status: 401 });
    const mixed = await Promise.allSettled(Array.from({ length: 20 }, () => client.get(PODS)));
    expect(mixed.filter(({ status }) => status === "rejected")).toHaveLength(1);
    await together();
  });

  test("that cannot be made say so", async () => {
    const config = new FakeApiServer().config();
    config.clusters = [{ name: "fake", server: "http://127.0.0.1:1", skipTLSVerify: false }];
    expect((await errorOf(new KubeClient(config).get(PODS))).message).toMatch(/^no credentials for http:\S+: HTTP/);
  });

  test("are read again from the same context of the file, whatever is current there now", () => {
    const file = join(temporaryDir(), "config");
    const write = (current: string, token: string) =>
      writeFileSync(
        file,
        JSON.stringify({
          clusters: [{ name: "c", cluster: { server: "https://one" } }],
          users: [{ name: "u", user: { token } }],
          contexts: ["one", "two"].map((name) => ({ name, context: { cluster: "c", user: "u" } })),
          "current-context": current,
        }),
      );
    vi.stubEnv("KUBECONFIG", file);
    onTestFinished(() => void vi.unstubAllEnvs());
    write("one", "old");
    const config = loadKubeConfig(undefined);
    write("two", "new");
    const now = rereadKubeConfig(config);
    expect([now.getCurrentContext(), now.getCurrentUser()?.token]).toEqual(["one", "new"]);
  });
});

describe("a watch", () => {
  test("hands on complete lines however they were cut, and ends with the server's end", async () => {
    const text = Buffer.from('{"type":"ADDED","object":{"name":"ü"}}\n\n{"type":"BOOKMARK","object":{}}\n');
    const { watch, events } = await answering(async (_, response) => {
      for (const byte of text) {
        response.write(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
      response.end();
    });
    await watch();
    expect(events).toEqual([
      { type: "ADDED", object: { name: "ü" } },
      { type: "BOOKMARK", object: {} },
    ]);
  });

  test("that is refused, ends within a line, is cut or falls silent is an error; what came before counts", async () => {
    const line = '{"type":"ADDED","object":{}}\n';
    const refused = await answering((_, response) => response.writeHead(410).end('{"message":"too old"}'));
    const { message, status } = await errorOf(refused.watch());
    expect([message, status]).toEqual(["410: too old", 410]);

    const half = await answering((_, response) => response.end(`${line}{"type":"DELETED"}`));
    expect((await errorOf(half.watch())).message).toContain("the watch ended within a line");
    expect(half.events).toHaveLength(1);

    const cut = await answering((_, response) => {
      response.write(line);
      setTimeout(() => response.destroy(), 20);
    });
    expect((await errorOf(cut.watch())).message).toContain(`${cut.url} does not answer: `);
    expect(cut.events).toHaveLength(1);

    const silent = await answering((_, response) => void response.write(line));
    const before = performance.now();
    expect((await errorOf(silent.watch(200))).message).toBe(
      `${silent.url} does not answer: nothing heard within 0.2 s`,
    );
    expect(silent.events).toHaveLength(1);
    expect(performance.now() - before).toBeGreaterThan(190);
  });

  test("ends when it is given up", async () => {
    const { watch, stopping, events } = await answering((_, response) => {
      response.write('{"type":"ADDED","object":{}}\n');
    });
    const over = errorOf(watch());
    await until("an event", () => events.length === 1);
    stopping.abort();
    await over;
  });
});
