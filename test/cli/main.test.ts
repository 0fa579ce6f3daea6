// The command line as a user meets it: exit statuses and what is said.

import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ENTRY_PATH, LEAN_FILTER_PATH, USAGE_FILTER_PATH } from "../../src/cli/paths.ts";
import { encodeMetrics, encodeTopology } from "../../src/control/encode.ts";
import { BAND_DEFAULT, FLOW_DEFAULT } from "../../src/control/scheduling/flow.ts";
import { PROGRAM_DEFAULT } from "../../src/control/scheduling/program.ts";
import { run, start } from "./command-line.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "pointsman-cli-"));
  mkdirSync(join(dir, "objects"));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe("help", () => {
  test.each([
    [
      "up",
      ["objects", "config", "topology", "listen", "admin", "agent", "socket", "concurrency", "envoy", "log-level"],
    ],
    ["agent", ["objects", "socket", "config", "topology", "agent", "scrape-interval"]],
    ["envoy-config", ["listen", "admin", "socket", "xds", "filter"]],
    ["sim", ["listen", "model", "max-running"]],
    ["inspect", ["help"]],
    ["demo", ["listen", "seconds"]],
  ])("%s --help lists its flags", async (name, flags) => {
    const { status, stdout, stderr } = await run(name, "--help");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.split("\n")[0]).toMatch(new RegExp(`^pointsman ${name}( |:)`));
    for (const flag of flags) expect(stdout).toContain(`\n  --${flag} `);
  });

  test("--help alone lists the commands", async () => {
    const { status, stdout } = await run("--help");
    expect(status).toBe(0);
    for (const name of ["up", "agent", "envoy-config", "sim", "inspect", "demo"])
      expect(stdout).toContain(`\n  ${name} `);
  });
});

test("envoy-config names the build that reads responses, or with --no-usage the other", async () => {
  const filesOf = async (...args: readonly string[]) => {
    const { stdout } = await run("envoy-config", ...args);
    return new Set([...stdout.matchAll(/filename: (\S+)/g)].map(([, path]) => path));
  };
  expect(await filesOf()).toEqual(new Set([USAGE_FILTER_PATH]));
  expect(await filesOf("--no-usage")).toEqual(new Set([LEAN_FILTER_PATH]));
  expect(await filesOf("--no-usage", "--filter", "/x.wasm")).toEqual(new Set(["/x.wasm"]));
});

describe("what is wrong exits with 2 and one line", () => {
  test.each([
    [[], "pointsman: a command is missing; expected one of up, agent, "],
    [["fly"], 'pointsman: unknown command "fly"; expected one of up, agent, '],
    [["constructor"], 'pointsman: unknown command "constructor"; expected one of up, agent, '],
    [["up"], "pointsman up: --objects DIR is required"],
    [["up", "--objects", "/nowhere"], "pointsman up: --objects /nowhere: expected a folder that exists"],
    [["up", "--objects", "/", "--concurrency", "0"], "pointsman up: --concurrency 0: expected a whole number from 1"],
    [
      ["envoy-config", "--inject-usage", "--no-usage"],
      "pointsman envoy-config: --inject-usage with --no-usage: expected",
    ],
    [["up", "--objects", "/", "--buffer", "512KiB"], "pointsman up: --buffer 524288: expected at least 655360 bytes"],
    [["agent", "--objects", "/"], "pointsman agent: --socket PATH is required"],
    [["agent", "--frequency", "1"], "pointsman agent: unknown flag --frequency; see pointsman agent --help"],
    [["envoy-config", "--listen", "8080"], "pointsman envoy-config: --listen 8080: expected HOST:PORT"],
    [["sim", "--blocks", "many"], 'pointsman sim: --blocks: "many" is not a whole number'],
    [["inspect"], "pointsman inspect: FILE|SOCKET is missing"],
    [["inspect", "/nowhere"], "pointsman inspect: /nowhere: cannot be read (ENOENT)"],
    [["inspect", "/"], "pointsman inspect: /: cannot be read (EISDIR)"],
    [["demo", "--seconds", "soon"], "pointsman demo: --seconds soon: expected a whole number"],
  ])("%j", async (args, message) => {
    const { status, stdout, stderr } = await run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr.slice(0, message.length)).toBe(message);
  });

  test("a configuration that is not there is a broken one", async () => {
    const path = join(dir, "nowhere.yaml");
    const objects = join(dir, "objects");
    for (const [command = "", ...args] of [["up"], ["agent", "--socket", join(dir, "control.sock")]]) {
      const { status, stderr } = await run(command, ...args, "--objects", objects, "--config", path);
      expect(status).toBe(2);
      expect(stderr).toContain(`pointsman ${command}: --config ${path}:1:1: file cannot be read, expected UTF-8 text`);
    }
  });

  test("a file that a configuration names is looked at before anything is started", async () => {
    const path = join(dir, "config.yaml");
    const source = "{type: metrics-data-source, parameters: {scheme: https, caCertPath: /nowhere.pem}}";
    writeFileSync(path, `apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- ${source}\n`);
    const { status, stderr } = await run("up", "--objects", join(dir, "objects"), "--config", path);
    expect(status).toBe(2);
    expect(stderr).toMatch(/config\.yaml:4:71: plugins\[0\]\.parameters\.caCertPath: expected a PEM file/);
  });

  test("a broken configuration exits with 2 and a line for each error", async () => {
    const path = join(dir, "config.yaml");
    const plugins = "plugins:\n- type: lora-afinity-scorer\nschedulingProfile: []\n";
    writeFileSync(path, `apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n${plugins}`);
    const objects = join(dir, "objects");
    for (const [command = "", ...args] of [["up"], ["agent", "--socket", join(dir, "control.sock")]]) {
      const { status, stdout, stderr } = await run(command, ...args, "--objects", objects, "--config", path);
      expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
      expect(stderr.split("\n").filter((line) => !line.startsWith("{"))).toEqual([
        `pointsman ${command}: --config ${path}:4:9: plugins[0].type: lora-afinity-scorer is no type of plugin, ` +
          "did you mean lora-affinity-scorer?",
        `${path}:5:1: schedulingProfile: unknown field, did you mean schedulingProfiles?`,
        "",
      ]);
    }
  });
});

describe("inspect", () => {
  const pools = [
    {
      name: "default/chat",
      failureMode: "FailClose" as const,
      endpoints: [
        { address: "10.0.0.1:8000", pod: "chat-0" },
        { address: "[fd00::2]:8000", pod: "chat-1" },
      ],
    },
    { name: "default/empty", failureMode: "FailOpen" as const, endpoints: [] },
  ];

  async function inspect(bytes: Uint8Array) {
    const path = join(dir, "snapshot.bin");
    writeFileSync(path, bytes);
    const result = await run("inspect", path);
    return { ...result, stderr: result.stderr.replace(path, "FILE") };
  }

  test("a topology", async () => {
    const { status, stdout } = await inspect(encodeTopology({ epoch: 7, pools }));
    expect(status).toBe(0);
    expect(stdout.split("\n").slice(1)).toEqual([
      "",
      "POOL           ENDPOINT        POD",
      "default/chat   10.0.0.1:8000   chat-0",
      "default/chat   [fd00::2]:8000  chat-1",
      "default/empty  no endpoint",
      "",
    ]);
    expect(stdout).toMatch(/^topology, format \d+, \d+ bytes, epoch 7\n/);
  });

  test("a topology with what the objects say about models", async () => {
    const rule = {
      rule: "rollout",
      targets: [
        { name: "food-v1", weight: 90 },
        { name: "food-v2", weight: 10 },
      ],
    };
    const models = {
      objectives: [{ name: "batch", priority: -10 }],
      models: [
        { name: "food", rule, priority: undefined, routes: true },
        { name: "drink", rule: undefined, priority: 1, routes: false },
      ],
      generic: { rule: "others", targets: [{ name: "base", weight: 1 }] },
    };
    const { stdout } = await inspect(encodeTopology({ epoch: 7, pools: [{ ...pools[0]!, models }] }));
    expect(stdout.split("\n").slice(6)).toEqual([
      "POOL          OBJECTIVE  PRIORITY",
      "default/chat  batch           -10",
      "",
      "POOL          MODEL  SENT-FOR               RULE     PRIORITY  ROUTES",
      "default/chat  drink  -                      -               1  no",
      "default/chat  food   food-v1:90 food-v2:10  rollout         -  yes",
      "default/chat  *      base:1                 others          -  no",
      "",
    ]);
  });

  test("a topology with its program", async () => {
    const { stdout } = await inspect(encodeTopology({ epoch: 7, pools: pools.slice(1), program: PROGRAM_DEFAULT }));
    expect(stdout.split("\n").slice(2)).toEqual([
      "POOL           ENDPOINT     POD",
      "default/empty  no endpoint",
      "",
      "single-profile-handler; parsers=chat,completions,embeddings,responses,conversations,images,messages," +
        "vllm generate metricsStalenessThresholdMs=200 autoTune=true blockSizeTokens=64 lruCapacityPerServer=31250 " +
        "maxPrefixTokensToMatch=131072",
      "",
      "PROFILE  PLUGIN                       TYPE  WEIGHT  PARAMETERS",
      "default  prefix-cache-scorer                     3  matchLengthWeight=0 matchLengthScaleTokens=8192",
      "default  queue-scorer                            2",
      "default  kv-cache-utilization-scorer             2",
      "default  in-flight-scorer                        3  floor=4",
      "default  max-score-picker                        -  maxNumOfEndpoints=3",
      "",
      "flow control off; saturation by utilization-detector queueDepthThreshold=5 kvCacheUtilThreshold=0.8 " +
        "metricsStalenessThresholdMs=200",
      "",
    ]);
  });

  test("a topology with flow control", async () => {
    const flow = { ...FLOW_DEFAULT, queues: true, bands: [{ ...BAND_DEFAULT, priority: 10, ttlMs: 0 }] };
    const { stdout } = await inspect(
      encodeTopology({ epoch: 7, pools: pools.slice(1), program: { ...PROGRAM_DEFAULT, flow } }),
    );
    expect(stdout.split("\n").slice(-7)).toEqual([
      "flow control on; saturation by utilization-detector queueDepthThreshold=5 kvCacheUtilThreshold=0.8 " +
        "metricsStalenessThresholdMs=200; defaultRequestTtlSeconds=60 noEndpointRequestTtlSeconds=60 " +
        "usageLimitPolicy=static-usage-limit-policy threshold=1 enableEviction=false",
      "",
      "PRIORITY    REQUESTS       BYTES  TTL SECONDS  FAIRNESS                     ORDERING",
      "others ≥ 0      5000  1000000000           60  round-robin-fairness-policy  fcfs-ordering-policy",
      "others < 0      5000  1000000000           60  round-robin-fairness-policy  fcfs-ordering-policy",
      "10              5000  1000000000            0  round-robin-fairness-policy  fcfs-ordering-policy",
      "",
    ]);
  });

  test("metrics, unknown values as dashes", async () => {
    const unknown = { waiting: undefined, running: undefined, kvUsage: undefined, blockSize: undefined };
    const rest = { blocks: undefined, maxAdapters: undefined, intervalMs: 50, scrape: 0 };
    const rows = [
      {
        waiting: 3,
        running: 12,
        kvUsage: 0.25,
        blockSize: 16,
        blocks: 8192,
        maxAdapters: 4,
        ageMs: 20,
        intervalMs: 50,
        scrape: 9,
      },
      { ...unknown, ...rest, ageMs: undefined },
    ];
    const { status, stdout } = await inspect(encodeMetrics({ epoch: 7, sequence: 3, rows }));
    expect(status).toBe(0);
    expect(stdout.split("\n").slice(1)).toEqual([
      "",
      "ROW  WAITING  RUNNING     KV  AGE-MS  EVERY-MS  SCRAPES  BLOCK  BLOCKS  ADAPTERS",
      "  0        3       12  0.250      20        50        9     16    8192         4",
      "  1        -        -      -       -        50        0      -       -         -",
      "",
    ]);
  });

  test("what is no snapshot", async () => {
    const bytes = Buffer.from(encodeTopology({ epoch: 7, pools }));
    bytes[bytes.length - 1]! ^= 1;
    const { status, stderr } = await inspect(bytes);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^pointsman inspect: FILE: no snapshot: checksum /);
  });

  test("a socket behind which nobody answers", async () => {
    const path = join(dir, "deaf.sock");
    const server = createServer((socket) => socket.end());
    await new Promise<void>((done) => server.listen(path, done));
    const { status, stderr } = await run("inspect", path);
    server.close();
    expect(status).toBe(1);
    expect(stderr).toBe(`pointsman: ${path}: socket hang up\n`);
  });
});

describe("agent", () => {
  const args = () => ["agent", "--objects", join(dir, "objects"), "--socket", join(dir, "none.sock"), "--agent"];

  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  /** With a channel to it, as `up` starts it. */
  function forked(): ChildProcess {
    const child = fork(ENTRY_PATH, [...args(), "127.0.0.1:0"], { silent: true, execArgv: [] });
    children.push(child);
    return child;
  }

  test("ends with status 0 at SIGTERM", async () => {
    const child = forked();
    const [message] = (await once(child, "message")) as [{ agent: { port: number } }];
    expect((await fetch(`http://127.0.0.1:${message.agent.port}/healthz`)).status).toBe(200);
    child.kill();
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("ends when the process that started it is gone", async () => {
    const child = forked();
    await once(child, "message");
    child.disconnect();
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("says which port is in use", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as { port: number };
    const { status, stderr } = await run(...args(), `127.0.0.1:${port}`);
    server.close();
    expect(status).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^pointsman: [^\\n]*127\\.0\\.0\\.1:${port}: another process listens there[^\\n]*\\n$`),
    );
  });
});

test("sim serves until it is told to stop", async () => {
  const sim = start(["sim", "--listen", "127.0.0.1:0", "--model", "tiny"]);
  const line = await sim.line(/listening|simulated/);
  const url = /http:\S+/.exec(line)?.[0];
  expect(await (await fetch(`${url}/v1/models`)).json()).toMatchObject({ data: [{ id: "tiny" }] });
  sim.kill();
  expect(await sim.done).toMatchObject({ status: 0, stderr: "" });
});

test("bin/pointsman works through a link", () => {
  const link = join(dir, "pointsman");
  symlinkSync(resolve(import.meta.dirname, "../../bin/pointsman"), link);
  const done = spawnSync(link, ["--help"], { encoding: "utf8" });
  expect(done.stdout).toMatch(/^pointsman COMMAND/);
});
