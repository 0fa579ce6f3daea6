// Envoy's files as a real Envoy reads them.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { XdsFiles } from "../../src/control/xds.ts";
import { locateEnvoy } from "../../src/envoy/locate.ts";
import { pool } from "./objects.ts";
import { temporaryDir } from "./until.ts";

type Resource = Readonly<Record<string, unknown>>;

/** The first resources of a file, as they stand in a bootstrap. */
function resourcesOf(path: string): readonly Resource[] {
  const { resources } = JSON.parse(readFileSync(path, "utf8")) as { readonly resources: readonly Resource[] };
  return resources.map(({ "@type": _, ...resource }) => resource);
}

test("clusters of both protocols and the route are valid, and none of their fields is deprecated", () => {
  const found = locateEnvoy(undefined);
  if ("problem" in found) throw new Error(found.problem);
  const dir = temporaryDir();
  const endpoints = [
    { address: "[fd00::1]:80", ip: "fd00::1", port: 80, pod: "x", engine: "vllm" as const },
    { address: "10.0.0.1:80", ip: "10.0.0.1", port: 80, pod: "y", engine: "vllm" as const },
  ];
  const pools = [
    { pool: pool("a"), endpoints },
    { pool: pool("b", "h2c"), endpoints: [] },
  ];
  new XdsFiles({ dir, defaultPool: "default/a", retryBufferBytes: 33_554_432 }).write(pools, pools);
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "test",
    route_config: resourcesOf(join(dir, "rds.yaml"))[0],
    http_filters: [
      { name: "r", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
    ],
  };
  const listener = {
    address: { pipe: { path: join(dir, "listener") } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
  const members = ["default.a", "default.b"].flatMap((name) => resourcesOf(join(dir, "eds", `${name}.yaml`)));
  const inline = members.map((load_assignment, i) => ({ name: `members-${i}`, type: "STATIC", load_assignment }));
  const clusters = [...resourcesOf(join(dir, "cds.yaml")), ...inline];
  const bootstrap = join(dir, "bootstrap.json");
  const node = { id: "test", cluster: "test" };
  writeFileSync(bootstrap, JSON.stringify({ node, static_resources: { listeners: [listener], clusters } }));
  const done = spawnSync(found.path, ["--mode", "validate", "--log-level", "warning", "-c", bootstrap], {
    encoding: "utf8",
  });
  expect(`${done.stdout}${done.stderr}`).not.toMatch(/deprecated|error/i);
  expect(done.status).toBe(0);
});
