// The agent with a configuration: at the start, when it changes, and when it breaks.

import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { Config } from "../../src/control/config.ts";
import type { Topology } from "../../src/control/encode.ts";
import { fnv1a } from "../../src/control/hash.ts";
import { type Agent, type AgentOptions, startAgent } from "../../src/control/main.ts";
import { PROGRAM_DEFAULT } from "../../src/control/scheduling/program.ts";
import { FakeIngest } from "./fake-ingest.ts";
import { fakeServer } from "./fake-server.ts";
import { logLines } from "./log-lines.ts";
import { podYaml, poolYaml } from "./objects.ts";
import { configYaml } from "./scheduling/documents.ts";
import { temporaryDir, until } from "./until.ts";

const RELOAD_MS = 1_000;

function scoredBy(type: string): string {
  return configYaml([`{type: ${type}}`], [`pluginRef: ${type}`]);
}

async function started(config: string | undefined, more: Partial<AgentOptions> = {}) {
  const dir = temporaryDir();
  const configDir = temporaryDir();
  const configFile = join(configDir, "config.yaml");
  if (config !== undefined) writeFileSync(configFile, config);
  writeFileSync(join(dir, "pool.yaml"), poolYaml("p", [8000]));
  writeFileSync(join(dir, "pod.yaml"), podYaml("a", "127.0.0.1"));
  const socketPath = join(temporaryDir(), "s");
  const ingest = new FakeIngest(socketPath);
  await ingest.start();
  onTestFinished(() => ingest.stop());
  const { log, lines } = logLines();
  const start = async (): Promise<Agent> => {
    const file = config === undefined ? {} : { configFile };
    const agent = await startAgent({
      objectsDir: dir,
      socketPath,
      listen: undefined,
      scrapeIntervalMs: 30,
      log,
      ...file,
      ...more,
    });
    onTestFinished(() => agent.stop());
    return agent;
  };
  const topology = (): Topology | undefined => {
    const blob = ingest.taken("topology").at(-1)?.blob;
    return blob?.kind === "topology" ? blob.topology : undefined;
  };
  /** Names of the steps in force. */
  const steps = () =>
    topology()
      ?.program?.profiles[0]?.steps.map(({ name }) => name)
      .join();
  return { dir, configDir, configFile, ingest, lines, start, topology, steps };
}

async function within(what: string, ms: number, condition: () => boolean): Promise<void> {
  const fromMs = performance.now();
  await until(what, condition);
  expect(performance.now() - fromMs).toBeLessThan(ms);
}

describe("at the start", () => {
  test("without a document the default program is pushed, with the names of endpoints", async () => {
    const { start, topology } = await started(undefined);
    await start();
    await until("pushed", () => topology() !== undefined);
    expect(topology()).toMatchObject({
      program: PROGRAM_DEFAULT,
      pools: [{ endpoints: [{ id: "default/a-rank-0" }] }],
    });
  });

  test("a document is what is pushed", async () => {
    const { start, steps } = await started(scoredBy("queue-scorer"));
    await start();
    await until("pushed", () => steps() === "queue-scorer");
  });

  test("a broken one is an error with all that is wrong", async () => {
    const { start, configFile } = await started("kind: [");
    await expect(start()).rejects.toThrow(`${configFile}:1:`);
    writeFileSync(configFile, scoredBy("que-scorer").replace("kind", "kin"));
    await expect(start()).rejects.toThrow(/kin: unknown field, did you mean kind\?\n.*que-scorer is no type of plugin/);
  });

  test("one that is not there is an error", async () => {
    const { start, configFile } = await started("");
    rmSync(configFile);
    await expect(start()).rejects.toThrow(/config\.yaml:1:1: file cannot be read/);
  });

  test("a broken one leaves in force what an earlier agent pushed, until it is mended", async () => {
    const { start, configFile, steps, ingest, lines } = await started(scoredBy("queue-scorer"));
    const first = await start();
    await until("pushed", () => steps() === "queue-scorer");
    await first.stop();
    const pushes = ingest.taken("topology").length;
    writeFileSync(configFile, scoredBy("que-scorer"));
    const second = await start();
    await until("held", () => lines.some(({ message }) => message.includes("what the proxy holds stays in force")));
    expect(second.notReady()).toMatch(/config\.yaml:4:10: .*que-scorer is no type of plugin/);
    // What the proxy holds is not known here.
    expect(second.snapshot()).toMatchObject({
      config: { profileHandler: null, profiles: null, settings: null, flowControl: null },
    });
    expect(ingest.taken("topology")).toHaveLength(pushes);
    writeFileSync(configFile, scoredBy("load-aware-scorer"));
    await within("mended", RELOAD_MS, () => steps() === "load-aware-scorer");
    await until("ready", () => second.notReady() === undefined);
  });
});

test("a file that is not there leaves in force what an earlier agent pushed", async () => {
  const { start, configFile, steps, ingest } = await started(scoredBy("queue-scorer"));
  const first = await start();
  await until("pushed", () => steps() === "queue-scorer");
  await first.stop();
  rmSync(configFile);
  const second = await start();
  expect(second.notReady()).toMatch(/config\.yaml:1:1: file cannot be read/);
  expect(ingest.taken("topology")).toHaveLength(1);
});

test("the proxy is asked once what it holds, and that answer counts", async () => {
  const { start, ingest } = await started(scoredBy("que-scorer"));
  let asked = 0;
  Object.defineProperty(ingest, "topologyEpoch", { get: () => (asked++ === 0 ? 7 : 0), set: () => {} });
  const agent = await start();
  expect(agent.notReady()).toMatch(/que-scorer is no type of plugin/);
});

describe("authorities that a document names", () => {
  const tls = join(import.meta.dirname, "tls");
  const trusting = (caFile: string) =>
    configYaml(
      ["{type: queue-scorer}", `{type: metrics-data-source, parameters: {scheme: https, caCertPath: ${caFile}}}`],
      ["pluginRef: queue-scorer"],
    );

  test("that cannot be read are an error of the document, until they can", async () => {
    const { start, configDir, configFile, steps, lines } = await started(scoredBy("load-aware-scorer"));
    const caFile = join(configDir, "ca.pem");
    const agent = await start();
    await until("pushed", () => steps() === "load-aware-scorer");
    writeFileSync(configFile, trusting(caFile));
    const told = `${configFile}:5:71: plugins[1].parameters.caCertPath: expected a PEM file with at least one`;
    await within("told", RELOAD_MS, () => lines.some(({ message }) => message.startsWith(told)));
    expect(agent.snapshot()).toMatchObject({ config: { errors: [expect.stringContaining(told)] } });
    expect(steps()).toBe("load-aware-scorer");
    copyFileSync(join(tls, "authority.pem"), caFile);
    await within("in force", RELOAD_MS, () => steps() === "queue-scorer");
    expect(agent.snapshot()).toMatchObject({ config: { errors: [] } });
  });

  test("are read again when they change", async () => {
    const dir = temporaryDir();
    const configFile = join(dir, "config.yaml");
    const caFile = join(dir, "ca.pem");
    copyFileSync(join(tls, "authority.pem"), caFile);
    writeFileSync(configFile, trusting(caFile));
    const config = new Config({ configFile, log: logLines().log });
    onTestFinished(() => config.stop());
    const before = config.access;
    copyFileSync(join(tls, "other-authority.pem"), caFile);
    await until("read again", () => config.access !== before);
  });

  test("at the start, with nothing in force, they end it", async () => {
    const { start } = await started(trusting("/nowhere/ca.pem"));
    await expect(start()).rejects.toThrow(/:5:71: plugins\[1\]\.parameters\.caCertPath: expected a PEM file/);
  });
});

describe("a change is in force within a second", () => {
  const ways: Readonly<Record<string, (file: string, text: string) => void>> = {
    "written in place": writeFileSync,
    "renamed over it": (file, text) => {
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    },
    "moved away and written anew": (file, text) => {
      renameSync(file, `${file}~`);
      writeFileSync(file, text);
    },
  };

  test.each(Object.entries(ways))("%s", async (_, change) => {
    const { start, configFile, steps, ingest } = await started(scoredBy("queue-scorer"));
    const agent = await start();
    await until("pushed", () => steps() === "queue-scorer");
    change(configFile, scoredBy("load-aware-scorer"));
    await within("in force", RELOAD_MS, () => steps() === "load-aware-scorer");
    change(configFile, scoredBy("kv-cache-utilization-scorer"));
    await within("in force", RELOAD_MS, () => steps() === "kv-cache-utilization-scorer");
    expect(ingest.taken("topology")).toHaveLength(3);
    expect(agent.snapshot()).toMatchObject({
      config: {
        file: configFile,
        errors: [],
        profiles: [{ steps: [{ name: "kv-cache-utilization-scorer", weight: 1 }] }],
      },
    });
  });

  test("as a ConfigMap does it: links to a folder that is swapped", async () => {
    const dir = temporaryDir();
    const version = (name: string, text: string): void => {
      mkdirSync(join(dir, name));
      writeFileSync(join(dir, name, "config.yaml"), text);
      symlinkSync(name, join(dir, "..data_tmp"));
      renameSync(join(dir, "..data_tmp"), join(dir, "..data"));
    };
    version("..1", scoredBy("queue-scorer"));
    symlinkSync(join("..data", "config.yaml"), join(dir, "config.yaml"));
    const { start, steps } = await started(undefined, { configFile: join(dir, "config.yaml") });
    await start();
    await until("pushed", () => steps() === "queue-scorer");
    version("..2", scoredBy("load-aware-scorer"));
    rmSync(join(dir, "..1"), { recursive: true });
    await within("in force", RELOAD_MS, () => steps() === "load-aware-scorer");
  });

  test("one that says the same again is not pushed again", async () => {
    const { start, configFile, steps, ingest, lines } = await started(scoredBy("queue-scorer"));
    await start();
    await until("pushed", () => steps() === "queue-scorer");
    writeFileSync(configFile, `# the same\n${scoredBy("queue-scorer")}`);
    await until("read again", () => lines.some(({ message }) => message === "the configuration was read again"));
    writeFileSync(configFile, scoredBy("load-aware-scorer"));
    await until("pushed", () => steps() === "load-aware-scorer");
    expect(ingest.taken("topology")).toHaveLength(2);
  });
});

test("a document that breaks leaves the last one in force and the agent ready, and is shown", async () => {
  const { start, configFile, steps, ingest, lines } = await started(scoredBy("queue-scorer"));
  const agent = await start();
  await until("pushed", () => steps() === "queue-scorer");
  await until("ready", () => agent.notReady() === undefined);
  writeFileSync(configFile, scoredBy("que-scorer"));
  const error = `${configFile}:4:10: plugins[0].type: que-scorer is no type of plugin, did you mean queue-scorer?`;
  await within("told", RELOAD_MS, () => lines.some(({ level, message }) => level === "error" && message === error));
  expect(agent.snapshot()).toMatchObject({
    config: { errors: [error], profiles: [{ steps: [{ name: "queue-scorer" }] }] },
  });
  expect(agent.notReady()).toBeUndefined();
  rmSync(configFile);
  await within("told", RELOAD_MS, () => lines.some(({ message }) => message.includes("file cannot be read")));
  expect(agent.notReady()).toBeUndefined();
  expect(ingest.taken("topology")).toHaveLength(1);
  writeFileSync(configFile, scoredBy("load-aware-scorer"));
  await within("in force", RELOAD_MS, () => steps() === "load-aware-scorer");
  expect(agent.snapshot()).toMatchObject({ config: { errors: [] } });
});

describe("labels of pods", () => {
  const filtered = configYaml(["{type: decode-filter}"], ["pluginRef: decode-filter"]);
  const labeled = (label: string) => podYaml("a", "127.0.0.1").replace("app: m", `app: m\n    ${label}`);

  test("a change of one that a step goes by makes a new topology, of another none", async () => {
    const { start, dir, topology, ingest } = await started(filtered);
    const passes = () => topology()?.pools[0]?.endpoints[0]?.passes;
    await start();
    await until("pushed", () => passes() === 1n);
    writeFileSync(join(dir, "pod.yaml"), labeled("other: x"));
    await sleep(300);
    writeFileSync(join(dir, "pool2.yaml"), poolYaml("q", [8001]));
    await until("the second pool", () => topology()?.pools.length === 2);
    expect(ingest.taken("topology")).toHaveLength(2);
    writeFileSync(join(dir, "pod.yaml"), labeled("llm-d.ai/role: prefill"));
    await within("in force", RELOAD_MS, () => passes() === 0n);
    expect(ingest.taken("topology")).toHaveLength(3);
  });

  test("that say where pods are: the host may be the spec's; where nothing says it, that is told once", async () => {
    const text = configYaml(["{type: topology-affinity-scorer}"], ["pluginRef: topology-affinity-scorer"]);
    const { start, dir, topology, lines } = await started(text, { place: { host: "h" } });
    const doubts = () =>
      lines.filter(({ message }) => message.startsWith("no pod has any of the labels kubernetes.io"));
    await start();
    await until("pushed", () => topology()?.pools[0]?.endpoints[0]?.columns?.[0] === 4n);
    writeFileSync(join(dir, "pool2.yaml"), poolYaml("q", [8001]));
    await until("the second pool", () => topology()?.pools.length === 2);
    expect(doubts()).toHaveLength(1);
    writeFileSync(join(dir, "pod.yaml"), podYaml("a", "127.0.0.1").replace("status:", "spec: {hostname: h}\nstatus:"));
    await until("pushed", () => topology()?.pools[0]?.endpoints[0]?.columns?.[0] === 0n);
    expect(doubts()).toHaveLength(1);
  });

  test("the gateway's own place counts for topology", async () => {
    const text = configYaml(["{type: topology-affinity-scorer}"], ["pluginRef: topology-affinity-scorer"]);
    const { start, dir, topology } = await started(text, { place: { zone: "z" } });
    writeFileSync(join(dir, "pod.yaml"), labeled("topology.kubernetes.io/zone: z"));
    await start();
    await until("pushed", () => topology()?.pools[0]?.endpoints[0]?.columns?.[0] === 2n);
  });
});

describe("metrics", () => {
  const metrics = (ingest: FakeIngest) => {
    const blob = ingest.taken("metrics").at(-1)?.blob;
    return blob?.kind === "metrics" ? blob.metrics.rows[0] : undefined;
  };
  const engine = (spec: string) =>
    [
      "apiVersion: llm-d.ai/v1alpha1",
      "kind: EndpointPickerConfig",
      "plugins:",
      "- type: core-metrics-extractor",
      "  parameters:",
      "    defaultEngine: mine",
      "    engineConfigs:",
      "    - name: mine",
      `      queuedRequestsSpec: ${spec}`,
      "      customMetrics: [{attributeKey: load, metricSpec: 'gpu{n=\"0\"}'}]",
      "- type: endpoint-attribute-scorer",
      "  parameters: {attributeKey: load, algorithm: {type: linear_lower_is_better}}",
    ].join("\n");

  test("engines of the document are read, and read anew when they change", async () => {
    const server = await fakeServer();
    server.answer = (_, response) => void response.end('one 3\ntwo 4\ngpu{n="0"} 0.5\ngpu{n="1"} 9\n');
    const { start, dir, configFile, ingest } = await started(engine("one"));
    writeFileSync(join(dir, "pool.yaml"), poolYaml("p", [server.port]));
    await start();
    await until("read", () => metrics(ingest)?.waiting === 3);
    expect(metrics(ingest)?.attributes?.slice(0, 2)).toEqual([0.5, undefined]);
    writeFileSync(configFile, engine("two"));
    await within("read anew", RELOAD_MS, () => metrics(ingest)?.waiting === 4);
  });

  test("what was read by an engine that has changed is forgotten", async () => {
    const server = await fakeServer();
    server.answer = (_, response) => void response.end('one 3\ntwo 4\ngpu{n="0"} 0.5\n');
    const { start, dir, configFile, ingest } = await started(engine("one"));
    writeFileSync(join(dir, "pool.yaml"), poolYaml("p", [server.port]));
    await start();
    await until("read", () => metrics(ingest)?.waiting === 3);
    server.answer = (_, response) => void response.writeHead(503).end();
    writeFileSync(configFile, engine("two"));
    await within("forgotten", RELOAD_MS, () => metrics(ingest)?.waiting === undefined);
    expect(metrics(ingest)).toMatchObject({ ageMs: undefined });
    expect(metrics(ingest)?.attributes?.[0]).toBeUndefined();
  });

  test("path and scheme are the document's, and the flags' where both are given", async () => {
    const server = await fakeServer();
    const paths: (string | undefined)[] = [];
    server.answer = (request, response) => {
      paths.push(request.url);
      response.end("vllm:num_requests_waiting 1\n");
    };
    const from = (path: string) => configYaml([`{type: metrics-data-source, parameters: {path: ${path}}}`], []);
    const { start, dir, configFile } = await started(from("/a"));
    writeFileSync(join(dir, "pool.yaml"), poolYaml("p", [server.port]));
    const agent = await start();
    await until("asked", () => paths.includes("/a"));
    writeFileSync(configFile, from("/b"));
    await within("asked anew", RELOAD_MS, () => paths.includes("/b"));
    await agent.stop();
    const other = await started(from("/c"), { metrics: { path: "/flag" } });
    writeFileSync(join(other.dir, "pool.yaml"), poolYaml("p", [server.port]));
    await other.start();
    await until("asked", () => paths.includes("/flag"));
    expect(paths).not.toContain("/c");
  });

  test("adapters and the base model are hashed", async () => {
    const server = await fakeServer();
    const info = 'vllm:lora_requests_info{max_lora="4",running_lora_adapters="a,b",waiting_lora_adapters="c"} 1\n';
    server.answer = (_, response) => void response.end(`vllm:num_requests_waiting{model_name="base"} 1\n${info}`);
    const { start, dir, ingest } = await started(undefined);
    writeFileSync(join(dir, "pool.yaml"), poolYaml("p", [server.port]));
    await start();
    await until("read", () => metrics(ingest)?.waiting === 1);
    expect(metrics(ingest)).toMatchObject({
      adapters: { running: [0xaf63dc4c8601ec8cn, 0xaf63df4c8601f1a5n], waiting: [0xaf63de4c8601eff2n] },
      maxAdapters: 4,
      baseModel: fnv1a("base"),
    });
  });
});
