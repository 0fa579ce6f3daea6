// The whole agent: a folder, two model servers and a proxy in, snapshots and status pages out.

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { fnv1a } from "../../src/control/hash.ts";
import { type Agent, type AgentOptions, startAgent } from "../../src/control/main.ts";
import type { PoolView } from "../../src/control/snapshot.ts";
import { FakeIngest } from "./fake-ingest.ts";
import { fakeServer } from "./fake-server.ts";
import { logLines } from "./log-lines.ts";
import { objective, rewrite, textOf } from "./models/documents.ts";
import { podYaml, poolYaml } from "./objects.ts";
import { temporaryDir, until } from "./until.ts";

type View = {
  readonly pools: readonly PoolView[];
  readonly epochs: { readonly sent: number; readonly applied: number };
};

async function started(agentOptions: Partial<AgentOptions> = {}) {
  const dir = temporaryDir();
  const socketPath = join(temporaryDir(), "s");
  const ingest = new FakeIngest(socketPath);
  await ingest.start();
  const { log, lines } = logLines();
  const start = async (): Promise<Agent> => {
    const listen = { host: "127.0.0.1", port: 0 };
    const agent = await startAgent({ objectsDir: dir, socketPath, listen, scrapeIntervalMs: 30, log, ...agentOptions });
    onTestFinished(() => agent.stop());
    return agent;
  };
  onTestFinished(() => ingest.stop());
  return { dir, ingest, lines, start, put: (file: string, text: string) => writeFileSync(join(dir, file), text) };
}

async function get(agent: Agent, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(`http://127.0.0.1:${agent.address!.port}${path}`);
  return { status: answer.status, text: await answer.text() };
}

function endpointsOf(agent: Agent) {
  return (agent.snapshot() as View).pools.flatMap((pool) => pool.endpoints);
}

describe("agent", () => {
  test("shows and pushes what its endpoints say", async () => {
    const { ingest, put, start } = await started();
    const server = await fakeServer();
    server.waiting = 7;
    put("all.yaml", `${poolYaml("p", [server.port])}---\n${podYaml("a", "127.0.0.1")}`);
    const agent = await start();
    await until("metrics", () => endpointsOf(agent)[0]?.waiting === 7);
    await until("pushed", () => {
      const blob = ingest.taken("metrics").at(-1)?.blob;
      return blob?.kind === "metrics" && blob.metrics.rows[0]?.waiting === 7;
    });
    ingest.workers = [
      { topologyEpoch: ingest.topologyEpoch, inFlight: [{ hash: fnv1a(server.address), count: 2 }] },
      { topologyEpoch: ingest.topologyEpoch, inFlight: [{ hash: fnv1a(server.address), count: 3 }] },
    ];
    await until("in flight", () => endpointsOf(agent)[0]?.inFlight === 5);

    const { status, text } = await get(agent, "/snapshot");
    expect(status).toBe(200);
    const view = JSON.parse(text) as View;
    expect(view.epochs).toEqual({ sent: ingest.topologyEpoch, applied: ingest.topologyEpoch });
    expect(view.pools).toEqual([
      {
        namespace: "default",
        name: "p",
        endpoints: [
          {
            address: server.address,
            pod: "a",
            engine: "vllm",
            waiting: 7,
            running: 0,
            kvUsage: 0.25,
            inFlight: 5,
            metricsAgeMs: expect.any(Number),
            blockSize: 16,
            blocks: 1000,
            activeAdapters: [],
            waitingAdapters: [],
            maxAdapters: null,
            baseModel: "m",
            attributes: {},
          },
        ],
        objectives: {},
        models: [],
      },
    ]);
    const metrics = await get(agent, "/metrics");
    const label = `{pool="default/p",endpoint="${server.address}",pod="a"}`;
    expect(metrics.text).toContain(`pointsman_endpoint_waiting_requests${label} 7\n`);
    expect(metrics.text).toContain(`pointsman_endpoint_inflight_requests${label} 5\n`);
    expect(metrics.text).toMatch(/pointsman_agent_scrapes_total\{result="ok"\} [1-9]/);
    expect(metrics.text).toMatch(/pointsman_agent_pushes_total\{blob="topology"\} 1\n/);
    expect(metrics.text).toContain("pointsman_agent_documents_wrong 0\n");
  });

  test("last values stay while an endpoint is silent, and get older", async () => {
    const { put, start, lines } = await started();
    const server = await fakeServer();
    server.waiting = 1;
    put("all.yaml", `${poolYaml("p", [server.port])}---\n${podYaml("a", "127.0.0.1")}`);
    const agent = await start();
    await until("metrics", () => endpointsOf(agent)[0]?.waiting === 1);
    server.answer = (_, response) => void response.writeHead(500).end();
    await until("told", () => lines.some((line) => line.message === "metrics cannot be read, the last ones age"));
    await until("older", () => endpointsOf(agent)[0]!.metricsAgeMs! > 150);
    expect(endpointsOf(agent)[0]?.waiting).toBe(1);
    server.answer = (_, response) => void response.end("vllm:num_requests_waiting NaN\nvllm:num_requests_running 4\n");
    await until("the value that can be read", () => endpointsOf(agent)[0]?.running === 4);
    expect(endpointsOf(agent)[0]).toMatchObject({ waiting: 1, kvUsage: 0.25 });
    server.answer = undefined;
    await until("read again", () => lines.some((line) => line.message === "metrics can be read again"));
  });

  test("reads each pod's metrics as its engine label says, and says which label it does not know", async () => {
    const { put, start, lines } = await started();
    const [triton, other] = [await fakeServer(), await fakeServer()];
    triton.answer = (_, response) => void response.end("nv_inference_pending_request_count 3\n");
    other.waiting = 4;
    const pods = (engine: string) => [
      podYaml("a", "127.0.0.1", { engine, port: triton.port }),
      podYaml("b", "127.0.0.1", { engine: "tgi", port: other.port }),
    ];
    put("pool.yaml", poolYaml("p", [triton.port, other.port]));
    put("pods.yaml", pods("triton").join("---\n"));
    const agent = await start();
    const row = (pod: string) => endpointsOf(agent).find((endpoint) => endpoint.pod === pod);
    await until("both", () => row("a")?.waiting === 3 && row("b")?.waiting === 4);
    expect([row("a"), row("b")]).toMatchObject([
      { engine: "triton", running: null, kvUsage: null },
      { engine: "vllm", running: 0, kvUsage: 0.25 },
    ]);
    expect(lines.filter((line) => line.level === "warn").map((line) => line.message)).toEqual([
      expect.stringMatching(/^pod default\/b: label llm-d\.ai\/engine-type: tgi: expected one of vllm, sglang, /),
    ]);

    put("pods.yaml", pods("sglang").join("---\n"));
    await until(
      "nothing is known as another engine",
      () => row("a")?.engine === "sglang" && row("a")?.waiting === null,
    );
    triton.answer = (_, response) => void response.end("sglang:num_queue_reqs 8\n");
    await until("the other engine's metrics", () => row("a")?.waiting === 8);
    expect(lines.filter((line) => line.message.startsWith("pod default/b"))).toHaveLength(1);
  });

  test("asks for metrics as it is told: by https, with a token, at another path", async () => {
    const dir = join(import.meta.dirname, "tls");
    const pem = (name: string) => readFileSync(join(dir, `${name}.pem`), "utf8");
    const server = await fakeServer({ cert: pem("server"), key: pem("server-key") });
    server.answer = (request, response) => {
      const asTold = request.url === "/m" && request.headers.authorization === "Bearer secret";
      response.writeHead(asTold ? 200 : 403).end("vllm:num_requests_waiting 6\n");
    };
    const tokenFile = join(temporaryDir(), "token");
    writeFileSync(tokenFile, "secret");
    const metrics = { scheme: "https", path: "/m", caFile: join(dir, "authority.pem"), tokenFile } as const;
    const { put, start } = await started({ metrics });
    put("all.yaml", `${poolYaml("p", [server.port])}---\n${podYaml("a", "127.0.0.1")}`);
    const agent = await start();
    await until("metrics", () => endpointsOf(agent)[0]?.waiting === 6);
  });

  test("pods come, become unready and go, within a second each", async () => {
    const { ingest, put, start } = await started();
    const server = await fakeServer();
    put("pool.yaml", poolYaml("p", [server.port]));
    const agent = await start();
    const count = () => {
      const blob = ingest.taken("topology").at(-1)?.blob;
      return blob?.kind === "topology" ? blob.topology.pools[0]?.endpoints.length : undefined;
    };
    await until("none", () => count() === 0);
    put("pod.yaml", podYaml("a", "127.0.0.1"));
    await until("one", () => count() === 1, 1_000);
    put("pod.yaml", podYaml("a", "127.0.0.1", { ready: false }));
    await until("unready", () => count() === 0, 1_000);
    expect(endpointsOf(agent)).toEqual([]);
    const scrapes = server.scrapesMs.length;
    put("pod.yaml", podYaml("a", "127.0.0.1", { app: "m" }));
    await until("again", () => count() === 1, 1_000);
    await until("scraped", () => server.scrapesMs.length > scrapes);
  });

  test("objectives and rewrites alone change what is pushed; what is known of endpoints stays", async () => {
    const { ingest, put, start, lines } = await started({ xdsDir: temporaryDir() });
    const server = await fakeServer();
    server.waiting = 7;
    put("all.yaml", `${poolYaml("p", [server.port])}---\n${podYaml("a", "127.0.0.1")}`);
    const agent = await start();
    await until("metrics", () => endpointsOf(agent)[0]?.waiting === 7 && ingest.topologyEpoch > 0);
    const firstEpoch = ingest.topologyEpoch;
    server.answer = (_, response) => void response.writeHead(500).end();
    const tables = () => {
      const blob = ingest.taken("topology").at(-1)?.blob;
      return blob?.kind === "topology" ? blob.topology.pools.map(({ models }) => models) : [];
    };
    expect(tables()).toEqual([undefined]);

    const split = rewrite("split", [[["m"], { m1: 90, m2: 10 }]]);
    put("models.yaml", textOf([objective("urgent", 5), split, objective("waiting", 1, { pool: "q" })]));
    await until("an epoch of its own", () => ingest.topologyEpoch > firstEpoch, 1_000);
    const rule = {
      rule: "split",
      targets: [
        { name: "m1", weight: 90 },
        { name: "m2", weight: 10 },
      ],
    };
    expect(tables()).toEqual([
      {
        objectives: [{ name: "urgent", priority: 5 }],
        models: [{ name: "m", rule, priority: undefined, routes: true }],
        generic: undefined,
      },
    ]);
    const sent = ingest.taken("topology").length;
    await until("metrics of that epoch", () => {
      const blob = ingest.taken("metrics").at(-1)?.blob;
      return blob?.kind === "metrics" && blob.metrics.epoch === ingest.topologyEpoch;
    });
    const rows = ingest.taken("metrics").at(-1)?.blob;
    expect(rows?.kind === "metrics" && rows.metrics.rows[0]?.waiting).toBe(7);
    const { text } = await get(agent, "/snapshot");
    expect((JSON.parse(text) as View).pools).toMatchObject([
      {
        endpoints: [{ waiting: 7 }],
        objectives: { urgent: 5 },
        models: [{ name: "m", targets: rule.targets, rule: "split", priority: null, routes: true }],
      },
    ]);
    expect(lines.filter((line) => line.level === "warn").map((line) => line.message)).toContain(
      "InferenceObjective default/waiting: waits for InferencePool default/q, which is not there",
    );

    put("models.yaml", textOf([split, objective("urgent", 5), objective("waiting", 2, { pool: "q" })]));
    put("broken.yaml", textOf([objective("wrong", 0.5)]));
    await until("the error", () => lines.some((line) => line.level === "error"));
    expect(ingest.taken("topology")).toHaveLength(sent);
    put("models.yaml", "");
    await until("none again", () => tables()[0] === undefined, 1_000);
    expect(endpointsOf(agent)[0]?.waiting).toBe(7);
  });

  test("two objects that change places in their file are a change: the first counts as the older", async () => {
    const { put, start } = await started();
    const objects = [poolYaml("p", [8000]), ...["a", "b"].map((name) => textOf([rewrite(name, [[["m"], [name]]])]))];
    put("all.yaml", objects.join("---\n"));
    const agent = await start();
    const rules = () => (agent.snapshot() as View).pools.flatMap((pool) => pool.models.map(({ rule }) => rule));
    expect(rules()).toEqual(["a"]);
    put("all.yaml", objects.reverse().join("---\n"));
    await until("the other", () => rules().join() === "b", 1_000);
  });

  test("is ready when its snapshot is taken, also one without pools, and not when the proxy is lost", async () => {
    const { ingest, start } = await started();
    const agent = await start();
    await until("ready", () => agent.notReady() === undefined);
    expect(await get(agent, "/readyz")).toEqual({ status: 200, text: "ready\n" });
    await ingest.stop();
    await until("lost", () => agent.notReady() !== undefined);
    const { status, text } = await get(agent, "/readyz");
    expect(status).toBe(503);
    expect(text).toMatch(/^the proxy does not answer on /);
    expect((await get(agent, "/healthz")).status).toBe(200);
    expect((await get(agent, "/nothing")).status).toBe(404);
  });

  test("objects that say the same push nothing", async () => {
    const { ingest, put, start, lines } = await started();
    put("pool.yaml", poolYaml("p", [8000]));
    const agent = await start();
    await until("ready", () => agent.notReady() === undefined);
    put("pool.yaml", `# a comment\n${poolYaml("p", [8000])}`);
    put("pod.yaml", podYaml("a", "10.0.0.1", { ready: false }));
    put("broken.yaml", "kind: [");
    await until("the look", () => lines.some((line) => line.level === "error"));
    await until("reports", () => ingest.calls.filter((call) => call.method === "GET").length > 2);
    expect(ingest.taken("topology")).toHaveLength(1);
    expect((await get(agent, "/metrics")).text).toContain("pointsman_agent_documents_wrong 1\n");
  });

  test("writes Envoy's files before it returns", async () => {
    const xdsDir = temporaryDir();
    const { put, start } = await started({ xdsDir });
    put("all.yaml", `${poolYaml("p", [8000])}---\n${podYaml("a", "127.0.0.1")}`);
    await start();
    for (const file of ["cds.yaml", "rds.yaml", "eds/default.p.yaml"])
      expect(readFileSync(join(xdsDir, file), "utf8")).toContain("pointsman/default/p");
  });

  test.each(["the files of an earlier agent", "a snapshot in the proxy"])(
    "started again with a broken document and %s, it leaves everything in force until all can be read",
    async (found) => {
      const xdsDir = temporaryDir();
      const files = ["cds.yaml", "rds.yaml", "eds/default.p.yaml"];
      const states = () => files.map((file) => readFileSync(join(xdsDir, file), "utf8"));
      const byFiles = found.startsWith("the files");
      const { ingest, put, start, lines } = await started(byFiles ? { xdsDir } : {});
      const good = `${poolYaml("p", [8000])}---\n${podYaml("a", "127.0.0.1")}`;
      put("all.yaml", good);
      const earlier = await start();
      await until("ready", () => earlier.notReady() === undefined);
      await earlier.stop();
      const left = byFiles ? states() : [];
      if (byFiles) {
        await ingest.stop();
        await ingest.start();
      }
      const pushes = ingest.taken("topology").length;

      put("all.yaml", good.replace("8000", "eighty"));
      put("new.yaml", poolYaml("q", [8000]));
      lines.length = 0;
      const agent = await start();
      const wrong = /^all\.yaml:10: spec\.targetPorts\[0\]\.number: expected a port number from 1 to 65535/;
      const what = "objects or the configuration are wrong at the start";
      const message = `${what}: what the proxy holds stays in force until all can be read`;
      expect(lines.filter((line) => line.message === message)).toMatchObject([
        { level: "error", fields: { wrong: expect.stringMatching(wrong) } },
      ]);
      await until("contact", () => lines.some((line) => line.message === "the proxy answers"));
      put("new.yaml", poolYaml("r", [8000]));
      const polls = ingest.calls.length;
      await until("looks and reports", () => ingest.calls.length > polls + 2);
      expect(ingest.taken("topology")).toHaveLength(pushes);
      if (byFiles) expect(states()).toEqual(left);
      const { status, text } = await get(agent, "/readyz");
      expect([status, text]).toEqual([503, expect.stringMatching(wrong)]);
      expect((await get(agent, "/metrics")).text).toContain("pointsman_agent_ready 0\n");

      put("all.yaml", good);
      await until("ready", () => agent.notReady() === undefined);
      const blob = ingest.taken("topology").at(-1)?.blob;
      expect(blob?.kind === "topology" && blob.topology.pools.map((pool) => pool.name)).toEqual([
        "default/p",
        "default/r",
      ]);
      expect(ingest.taken("topology")).toHaveLength(pushes + 1);
    },
  );

  test("started with a broken document and nothing in force, it applies the others", async () => {
    const { ingest, put, start, lines } = await started({ xdsDir: temporaryDir() });
    put("broken.yaml", poolYaml("q", [0]));
    put("all.yaml", `${poolYaml("p", [8000])}---\n${podYaml("a", "127.0.0.1")}`);
    const agent = await start();
    await until("ready", () => agent.notReady() === undefined);
    const blob = ingest.taken("topology").at(-1)?.blob;
    expect(blob?.kind === "topology" && blob.topology.pools.map((pool) => pool.name)).toEqual(["default/p"]);
    expect(lines.filter((line) => line.level === "error").map((line) => line.fields.file)).toEqual(["broken.yaml"]);
  });

  test("an address in use, a folder that is none: one sentence, and nothing is left running", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const inUse = await started({ listen: { host: "127.0.0.1", port } });
    await expect(inUse.start()).rejects.toThrow(
      `the agent cannot listen on 127.0.0.1:${port}: another process listens there, choose another address`,
    );
    const absent = await started({ objectsDir: "/nowhere/at/all" });
    await expect(absent.start()).rejects.toThrow("/nowhere/at/all: expected a readable directory of objects: ENOENT");
    expect(absent.ingest.calls).toEqual([]);
    const tokenless = await started({ metrics: { scheme: "http", path: "/metrics", tokenFile: "/nowhere" } });
    await expect(tokenless.start()).rejects.toThrow("/nowhere: expected a file with one token in it");
  });

  test("leaves nothing behind when it stops: its process ends by itself", async () => {
    const { dir, ingest, put } = await started();
    const server = await fakeServer();
    put("all.yaml", `${poolYaml("p", [server.port])}---\n${podYaml("a", "127.0.0.1")}`);
    const main = new URL("../../src/control/main.ts", import.meta.url).href;
    const options = {
      objectsDir: dir,
      socketPath: ingest.socketPath,
      xdsDir: temporaryDir(),
      listen: { host: "127.0.0.1", port: 0 },
      scrapeIntervalMs: 30,
    };
    const script = `
      import { startAgent } from ${JSON.stringify(main)};
      const agent = await startAgent({ ...${JSON.stringify(options)}, log: () => {} });
      process.on("SIGTERM", () => void agent.stop());`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
    await until("pushed and scraped", () => ingest.taken("metrics").length > 1 && server.scrapesMs.length > 1, 10_000);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });
});
