// The bootstrap against the real Envoy: it is valid in every form, and does what it says.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { ENTRY_PATH, USAGE_FILTER_PATH } from "../../src/cli/paths.ts";
import { type BootstrapOptions, bootstrap } from "../../src/envoy/bootstrap.ts";
import { locateEnvoy } from "../../src/envoy/locate.ts";
import { adminGet, type Envoy, startEnvoy } from "../../src/envoy/process.ts";
import { ROUTE_CONFIG } from "../../src/wire/names.ts";

const ANY = { host: "127.0.0.1", port: 0 };
const found = locateEnvoy(undefined);
if ("problem" in found) throw new Error(found.problem);
const envoyPath = found.path;

function runDir(clusters: readonly object[], routes: readonly object[]): string {
  const dir = mkdtempSync(join(tmpdir(), "pointsman-bootstrap-"));
  mkdirSync(join(dir, "xds"));
  const type = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
  const hosts = [{ name: "all", domains: ["*"], routes }];
  const resources = [{ "@type": type, name: ROUTE_CONFIG, virtual_hosts: hosts }];
  writeFileSync(join(dir, "xds/cds.yaml"), stringify({ resources: clusters }));
  writeFileSync(join(dir, "xds/rds.yaml"), stringify({ resources }));
  return dir;
}

function options(dir: string, more: Partial<BootstrapOptions> = {}): BootstrapOptions {
  const paths = { socketPath: join(dir, "control.sock"), xdsDir: join(dir, "xds"), filterPath: USAGE_FILTER_PATH };
  return { listen: ANY, admin: ANY, ...paths, ...more };
}

test("envoy/bootstrap.yaml is what envoy-config prints", () => {
  const args = [ENTRY_PATH, "envoy-config", "--filter", "/opt/pointsman/filter-usage.wasm"];
  const printed = execFileSync(process.execPath, args, { encoding: "utf8" });
  expect(printed).toBe(readFileSync(join(import.meta.dirname, "../../envoy/bootstrap.yaml"), "utf8"));
});

describe("envoy --mode validate", () => {
  let dir: string;
  beforeEach(() => {
    dir = runDir([], []);
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test.each<readonly [string, Partial<BootstrapOptions>]>([
    ["defaults", {}],
    ["IPv6", { listen: { host: "::1", port: 0 }, admin: { host: "::1", port: 0 } }],
    [
      "a filter with every setting",
      {
        filter: {
          failureMode: "FailOpen",
          defaultPool: "default/chat.v1",
          servedHeader: false,
          accessLogFields: true,
          injectUsage: true,
          inspectionBytes: 65_536,
          seed: 7,
        },
      },
    ],
    ["buffers and an access log", { bufferBytes: 4_194_304, accessLogPath: "/dev/null" }],
    ["an access log on stdout", { accessLogPath: "/dev/stdout" }],
  ])("%s", (_name, more) => {
    const path = join(dir, "bootstrap.yaml");
    writeFileSync(path, stringify(bootstrap(options(dir, more))));
    const done = spawnSync(envoyPath, ["--mode", "validate", "-c", path, "--log-level", "warning"], {
      encoding: "utf8",
    });
    expect(done.stderr.trim()).toBe("");
    expect(done.status).toBe(0);
  });
});

describe("a running Envoy", () => {
  let dir: string;
  let envoy: Envoy;
  let backend: Server;
  const lines: string[] = [];

  beforeAll(async () => {
    backend = createServer((incoming, response) => {
      if (incoming.url === "/reset") incoming.socket.destroy();
      else if (incoming.url !== "/hang") incoming.resume().on("end", () => response.end("served"));
    });
    await new Promise<void>((done) => backend.listen(0, "127.0.0.1", done));
    const { port } = backend.address() as AddressInfo;
    dir = runDir(
      [
        cluster("up", port),
        cluster("refused", 1),
        cluster("empty", undefined),
        { ...cluster("full", port), circuit_breakers: { thresholds: [{ max_requests: 0 }] } },
      ],
      [
        { match: { prefix: "/direct" }, direct_response: { status: 410, body: { inline_string: "gone" } } },
        { match: { prefix: "/hang" }, route: { cluster: "up", timeout: "0.1s" } },
        ...["refused", "empty", "full", "missing"].map((name) => ({
          match: { prefix: `/${name}` },
          route: { cluster: name },
        })),
        ...["/ok", "/reset", "/v1/"].map((prefix) => ({ match: { prefix }, route: { cluster: "up" } })),
      ],
    );
    envoy = await startEnvoy({
      envoyPath,
      // No snapshot comes: requests pass unsteered.
      config: bootstrap(options(dir, { filter: { failureMode: "FailOpen" }, accessLogPath: "/dev/stdout" })),
      runDir: dir,
      logLevel: "warning",
      concurrency: 1,
      onLine: (line) => lines.push(line),
    });
  });
  afterAll(async () => {
    await envoy?.child.stop();
    backend.closeAllConnections();
    backend.close();
    rmSync(dir, { recursive: true });
  });

  test("passes requests", async () => {
    expect(await get("/ok")).toMatchObject({ status: 200, body: "served" });
  });

  test.each([
    ["/nowhere", 404, "not_found_error", "not_found"],
    ["/empty", 503, "service_unavailable_error", "no_endpoints"],
    ["/missing", 503, "service_unavailable_error", "no_endpoints"],
    ["/refused", 503, "service_unavailable_error", "upstream_failed"],
    ["/reset", 503, "service_unavailable_error", "upstream_failed"],
    ["/full", 503, "service_unavailable_error", "overloaded"],
    ["/hang", 504, "server_error", "upstream_timeout"],
  ])("answers %s with %i in OpenAI's shape", async (path, status, type, code) => {
    const reply = await get(path);
    expect(reply).toMatchObject({ status, type: "application/json" });
    expect(JSON.parse(reply.body)).toEqual({ error: { message: expect.any(String), type, param: null, code } });
  });

  test.each([
    ["GARBAGE\r\n\r\n", 400, "bad_request"],
    ["GET /ok HTTP/1.1\r\n\r\n", 400, "bad_request"],
    ["POST /ok HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400, "bad_request"],
    [`GET /ok HTTP/1.1\r\nhost: a\r\nlong: ${"x".repeat(100_000)}\r\n\r\n`, 431, "headers_too_large"],
  ])("answers what is no request: %#", async (text, status, code) => {
    const reply = await raw(text);
    expect(reply.split(" ")[1]).toBe(String(status));
    const body = JSON.parse(reply.slice(reply.indexOf("\r\n\r\n")));
    expect(body).toEqual({
      error: { message: expect.any(String), type: "invalid_request_error", param: null, code },
    });
  });

  test("leaves the filter's own replies and those of routes as they are", async () => {
    const own = await get("/v1/chat/completions", "no JSON");
    expect(own).toMatchObject({ status: 400, type: "application/json" });
    expect(own.body).toMatch(
      /^\{"error":\{"message":"[^"]+","type":"invalid_request_error","param":null,"code":"\w+"\}\}$/,
    );
    expect(await get("/direct")).toMatchObject({ status: 410, body: "gone" });
  });

  test("prints the filter's statistics with labels", async () => {
    await get("/ok");
    // Counts are told in batches; a histogram's appear when Envoy next flushes its statistics.
    const page = await vi.waitFor(
      async () => {
        const text = (await adminGet(envoy.admin, "/stats/prometheus")) ?? "";
        expect(text).toMatch(/^pointsman_picks_total\{outcome="unsteered",pool="[^"]+"\} [1-9]\d*$/m);
        return text;
      },
      { timeout: 10_000, interval: 50 },
    );
    expect(page).toMatch(/^pointsman_requests_total\{pool="[^"]+"\} [1-9]\d*$/m);
    expect(page).toMatch(/^pointsman_pick_ns_bucket\{pool="[^"]+",le="250"\} \d+$/m);
    expect(page).toMatch(/^pointsman_pick_ns_bucket\{pool="[^"]+",le="1000000"\} \d+$/m);
    expect(page).not.toContain("wasmcustom");
  });

  test("lets only its owner at the control socket", () => {
    const mode = execFileSync("stat", ["-c", "%a", join(dir, "control.sock")], { encoding: "utf8" });
    expect(mode.trim()).toBe("600");
  });

  test("warns of nothing at start", () => {
    expect(lines.filter((line) => /\[(warning|error|critical)\]/.test(line))).toEqual([]);
  });

  function cluster(name: string, port: number | undefined): object {
    const address = { socket_address: { address: "127.0.0.1", port_value: port } };
    return {
      "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      name,
      type: "STATIC",
      connect_timeout: "1s",
      load_assignment: {
        cluster_name: name,
        endpoints: port === undefined ? [] : [{ lb_endpoints: [{ endpoint: { address } }] }],
      },
    };
  }

  function get(path: string, body?: string): Promise<{ status: number; type: string | undefined; body: string }> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { "content-type": "application/json" };
      const method = body === undefined ? "GET" : "POST";
      const call = request({ ...envoy.listen, path, method, headers, agent: false }, async (response) => {
        const text = Buffer.concat(await response.toArray()).toString();
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"], body: text });
      });
      call.on("error", reject).end(body);
    });
  }

  /** Sends bytes and gives what comes back until Envoy closes the connection. */
  function raw(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let received = "";
      const socket = connect(envoy.listen.port, envoy.listen.host, () => socket.write(text));
      socket.setEncoding("utf8").on("data", (chunk: string) => {
        received += chunk;
        if (/\}\s*$/.test(received)) socket.destroy();
      });
      socket.on("close", () => resolve(received)).on("error", reject);
    });
  }
});
