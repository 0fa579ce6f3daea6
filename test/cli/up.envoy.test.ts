// `pointsman up` and `startUp` with a real Envoy and a real agent: they start, serve, and end together.

import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { startUp, type Up } from "../../src/cli/up.ts";
import { type Sim, startSim } from "../../src/sim/server.ts";
import { type Running, run, start } from "./command-line.ts";
import { childrenOf, isAlive, nameOf } from "./processes.ts";

let dir: string;
let objects: string;
let sim: Sim;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "up-"));
  objects = join(dir, "objects");
  mkdirSync(objects);
  sim = await startSim({ model: "tiny" });
  writeFileSync(join(objects, "chat.yaml"), poolOf(sim));
});
afterAll(async () => {
  await sim.stop();
  rmSync(dir, { recursive: true });
});

describe("startUp", () => {
  let up: Up;
  const lines: string[] = [];
  beforeAll(async () => {
    up = await startUp({ objectsDir: objects, concurrency: 1, onLine: (line, from) => lines.push(`${from} ${line}`) });
  });
  afterAll(() => up?.stop());

  test("serves as soon as it resolves", async () => {
    expect(await chat(up.listen.port)).toEqual([200, served(sim)]);
  });

  test("a restarted Envoy has the same ports and is filled again", async () => {
    const pid = up.envoyPid();
    await up.restartEnvoy("SIGKILL");
    await up.ready();
    expect(up.envoyPid()).not.toBe(pid);
    expect(await chat(up.listen.port)).toEqual([200, served(sim)]);
  });

  test("requests go on without the agent, and it comes back at its port", async () => {
    await up.killAgent();
    expect(await chat(up.listen.port)).toEqual([200, served(sim)]);
    await up.startAgent();
    await up.ready();
    expect((await fetch(`http://127.0.0.1:${up.agent.port}/readyz`)).status).toBe(200);
  });

  test("tells what the children say", () => {
    expect(lines.some((line) => line.startsWith("agent "))).toBe(true);
  });

  test("inspect shows what is in force", async () => {
    const { status, stdout } = await run("inspect", up.socketPath);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^epoch \d+, metrics sequence \d+, format \d+\n/);
    expect(stdout).toMatch(new RegExp(`^default/chat +${served(sim)} +chat-0 `, "m"));
    expect(stdout).toMatch(/^ +\d+ +\d+ +\d+ +[1-9]\d* +[1-9]\d* +0 +\d+$/m);
  });

  test("leaves nothing when it stops", async () => {
    const pids = [up.envoyPid(), up.agentPid()];
    await up.stop();
    await up.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(existsSync(up.runDir)).toBe(false);
  });
});

test("startUp rejects with Envoy's last words and leaves nothing", async () => {
  const tmp = join(dir, "rejected");
  mkdirSync(tmp);
  const filterPath = join(dir, "no.wasm");
  writeFileSync(filterPath, "text");
  vi.stubEnv("TMPDIR", tmp);
  await expect(startUp({ objectsDir: objects, filterPath })).rejects.toThrow(
    /^Envoy did not start \(exit status 1\): .*Unable to create Wasm plugin pointsman-filter/,
  );
  vi.unstubAllEnvs();
  expect(readdirSync(tmp)).toEqual([]);
});

describe("pointsman up", () => {
  let running: Running;
  let port: number;
  let children: readonly number[];
  const tmp = () => join(dir, "tmp");

  beforeEach(async () => {
    mkdirSync(tmp(), { recursive: true });
    running = start(["up", "--objects", objects, ...free("listen", "admin", "agent"), "--concurrency=1"], {
      TMPDIR: tmp(),
    });
    const line = await running.line(/^pointsman: listening on /);
    port = Number(line.split(":").at(-1));
    children = childrenOf(running.pid);
    // Envoy, its guard and the agent
    expect(children).toHaveLength(3);
  });
  afterEach(async () => {
    running.kill("SIGTERM");
    await running.done;
    expect(children.filter(isAlive)).toEqual([]);
    expect(readdirSync(tmp())).toEqual([]);
  });

  test("serves, and ends with status 0 at SIGTERM", async () => {
    expect(await chat(port)).toEqual([200, served(sim)]);
    running.kill("SIGTERM");
    expect(await running.done).toMatchObject({ status: 0, signal: null });
  });

  test("ends with status 0 at Ctrl-C", async () => {
    running.kill("SIGINT");
    expect(await running.done).toMatchObject({ status: 0, signal: null });
  });

  test("ends with status 1 when Envoy dies", async () => {
    process.kill(children.find((child) => nameOf(child) === "envoy")!, "SIGKILL");
    const { status, stderr } = await running.done;
    expect(status).toBe(1);
    expect(stderr).toMatch(/^pointsman: Envoy ended unexpectedly \(SIGKILL\)/m);
  });

  test("serves on when the agent dies, and starts it again", async () => {
    const agent = children.find((child) => nameOf(child) !== "envoy" && nameOf(child) !== "sh")!;
    process.kill(agent, "SIGKILL");
    await running.line(/^pointsman: The agent ended unexpectedly \(SIGKILL\).*; requests go on, it is started again$/);
    expect(await chat(port)).toEqual([200, served(sim)]);
    await vi.waitFor(() => expect(childrenOf(running.pid)).toHaveLength(3), { timeout: 10_000, interval: 20 });
    expect(await chat(port)).toEqual([200, served(sim)]);
  });
});

test("killed outright, it takes Envoy and the agent along", async () => {
  const tmp = mkdtempSync(join(dir, "killed-"));
  const running = start(["up", "--objects", objects, ...free("listen", "admin", "agent"), "--concurrency=1"], {
    TMPDIR: tmp,
  });
  await running.line(/^pointsman: listening on /);
  const children = childrenOf(running.pid);
  running.kill("SIGKILL");
  await running.done;
  await vi.waitFor(() => expect(children.filter(isAlive)).toEqual([]), { timeout: 10_000, interval: 20 });
});

describe("pointsman up refuses", () => {
  test.each(["listen", "admin", "agent"])("a --%s port that is in use", async (flag) => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const others = ["listen", "admin", "agent"].filter((name) => name !== flag);
    const { status, stderr } = await run("up", "--objects", objects, ...free(...others), `--${flag}=127.0.0.1:${port}`);
    server.close();
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `pointsman: --${flag} 127.0.0.1:${port}: the port is in use\n`,
    });
  });

  test.each([
    ["--envoy", "/nowhere/envoy", "--envoy /nowhere/envoy: not an executable file"],
    ["--filter", "/nowhere/filter.wasm", "no filter at /nowhere/filter.wasm: run `make build`"],
    [
      "--socket",
      `/${"x".repeat(120)}`,
      `--socket /${"x".repeat(120)}: a path of 121 bytes; a socket's path has at most 107`,
    ],
  ])("%s %s", async (flag, value, message) => {
    const { status, stderr } = await run("up", "--objects", objects, ...free("listen", "admin", "agent"), flag, value);
    expect({ status, stderr }).toEqual({ status: 1, stderr: `pointsman: ${message}\n` });
  });

  test("a --socket that is a file, and leaves the file", async () => {
    const path = join(dir, "precious");
    writeFileSync(path, "text");
    const { status, stderr } = await run(
      "up",
      "--objects",
      objects,
      ...free("listen", "admin", "agent"),
      "--socket",
      path,
    );
    expect(status).toBe(1);
    expect(stderr).toBe(`pointsman: --socket ${path}: a file that is no socket is there already\n`);
    expect(existsSync(path)).toBe(true);
  });

  test("a --socket that someone listens on", async () => {
    const path = join(dir, "taken.sock");
    const server = createServer();
    server.listen(path);
    await once(server, "listening");
    const { status, stderr } = await run(
      "up",
      "--objects",
      objects,
      ...free("listen", "admin", "agent"),
      "--socket",
      path,
    );
    server.close();
    expect(status).toBe(1);
    expect(stderr).toBe(`pointsman: --socket ${path}: another process listens there\n`);
  });
});

test("SIGTERM before all is up leaves nothing", async () => {
  const tmp = join(dir, "early");
  mkdirSync(tmp);
  const running = start(["up", "--objects", objects, ...free("listen", "admin", "agent")], { TMPDIR: tmp });
  while (readdirSync(tmp).length === 0) await sleep(5);
  const children = childrenOf(running.pid);
  running.kill("SIGTERM");
  expect(await running.done).toMatchObject({ status: 0, stdout: "" });
  expect(children.filter(isAlive)).toEqual([]);
  expect(readdirSync(tmp)).toEqual([]);
});

function poolOf({ address }: Sim): string {
  return `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: chat, namespace: default}
spec:
  selector: {matchLabels: {app: chat}}
  targetPorts: [{number: ${address.port}}]
  endpointPickerRef: {name: pointsman, failureMode: FailClose}
---
apiVersion: v1
kind: Pod
metadata: {name: chat-0, namespace: default, labels: {app: chat}}
status:
  podIP: ${address.host}
  conditions: [{type: Ready, status: "True"}]
`;
}

/** Flags that let the operating system pick the ports. */
function free(...flags: readonly string[]): readonly string[] {
  return flags.map((flag) => `--${flag}=127.0.0.1:0`);
}

function served({ address }: Sim): string {
  return `${address.host}:${address.port}`;
}

/** Status of a chat request, and the endpoint that answered it. */
async function chat(port: number): Promise<readonly [number, string | null]> {
  const body = JSON.stringify({ model: "tiny", max_tokens: 1, messages: [{ role: "user", content: "Hello" }] });
  const headers = { "content-type": "application/json", connection: "close" };
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: "POST", headers, body });
  await response.arrayBuffer();
  return [response.status, response.headers.get("x-gateway-destination-endpoint-served")];
}
