// Envoy's files.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { XdsFiles } from "../../src/control/xds.ts";
import { pool } from "./objects.ts";
import { temporaryDir } from "./until.ts";

type Route = { readonly match: object; readonly route: { readonly cluster: string } };

function writing(defaultPool?: string) {
  const dir = temporaryDir();
  const files = new XdsFiles({ dir, defaultPool, retryBufferBytes: 1_000 });
  const read = (file: string) => parse(readFileSync(join(dir, file), "utf8"));
  const routes = (): readonly Route[] => read("rds.yaml").resources[0].virtual_hosts[0].routes;
  const target = () => routes().at(-1)!.route.cluster;
  return { dir, files, read, routes, target };
}

const a = {
  pool: pool("a"),
  endpoints: [{ address: "[fd00::1]:80", ip: "fd00::1", port: 80, pod: "x", engine: "vllm" as const }],
};
const b = { pool: pool("b", "h2c"), endpoints: [] };

describe("files for Envoy", () => {
  test("are there without a pool before any is known, and those of an earlier agent stay", () => {
    const { dir, files, read, target } = writing();
    files.prepare();
    expect(read("cds.yaml").resources).toEqual([]);
    expect(target()).toBe("pointsman/none");
    files.write([a], [a]);
    new XdsFiles({ dir, defaultPool: undefined, retryBufferBytes: 1_000 }).prepare();
    expect(target()).toBe("pointsman/default/a");
  });

  test("a cluster per pool with its members, and the route to the only one", () => {
    const { dir, files, read, target } = writing();
    files.write([a], [a]);
    expect(read("cds.yaml").resources).toMatchObject([
      {
        name: "pointsman/default/a",
        eds_cluster_config: { eds_config: { path_config_source: { path: join(dir, "eds", "default.a.yaml") } } },
      },
    ]);
    expect(read("eds/default.a.yaml").resources[0]).toMatchObject({
      cluster_name: "pointsman/default/a",
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: "fd00::1", port_value: 80 } } } }] },
      ],
    });
    expect(target()).toBe("pointsman/default/a");
    expect(readdirSync(dir).sort()).toEqual(["cds.yaml", "eds", "rds.yaml"]);
  });

  test("with several pools only a named one is the target, and only while it exists", () => {
    const several = writing();
    several.files.write([a, b], [a, b]);
    expect(several.target()).toBe("pointsman/none");
    const named = writing("default/b");
    named.files.write([a, b], [a, b]);
    expect(named.target()).toBe("pointsman/default/b");
    named.files.write([a, b], [a]);
    expect(named.target()).toBe("pointsman/none");
  });

  test("with several pools each has a route for requests that the filter sends there", () => {
    const { files, routes } = writing("default/b");
    files.write([a, b], [a]);
    expect(routes()).toHaveLength(1);
    files.write([a, b], [a, b]);
    const byPool = (name: string) => [{ name: "x-pointsman-pool", string_match: { exact: `default/${name}` } }];
    expect(routes().map(({ match, route }) => [match, route.cluster])).toEqual([
      [{ prefix: "/", headers: byPool("a") }, "pointsman/default/a"],
      [{ prefix: "/", headers: byPool("b") }, "pointsman/default/b"],
      [{ prefix: "/" }, "pointsman/default/b"],
    ]);
  });

  test("a file is replaced only when its content changes, also by the next agent", () => {
    const { dir, files } = writing();
    files.write([a, b], [a, b]);
    const stamps = () =>
      ["cds.yaml", "rds.yaml", "eds/default.a.yaml", "eds/default.b.yaml"].map((file) => statSync(join(dir, file)).ino);
    const before = stamps();
    files.write([a, b], [a, b]);
    new XdsFiles({ dir, defaultPool: undefined, retryBufferBytes: 1_000 }).write([a, b], [a, b]);
    expect(stamps()).toEqual(before);
    files.write([{ ...a, endpoints: [] }, b], [a, b]);
    expect(stamps().map((stamp, i) => stamp === before[i])).toEqual([true, true, false, true]);
  });

  test("members of a pool that is gone are removed, also those an earlier agent wrote", () => {
    const { dir, files } = writing();
    files.write([a, b], [a, b]);
    files.write([a], [a]);
    expect(existsSync(join(dir, "eds", "default.b.yaml"))).toBe(false);
    new XdsFiles({ dir, defaultPool: undefined, retryBufferBytes: 1_000 }).write([], []);
    expect(readdirSync(join(dir, "eds"))).toEqual([]);
  });

  test("pools with the longest of names have a file each, the one that their cluster names", () => {
    const { dir, files, read } = writing();
    const names = ["a", "b"].map((last) => `${"n".repeat(252)}${last}`);
    const pools = names.map((name) => ({ ...a, pool: { ...pool(name), namespace: "s".repeat(63) } }));
    files.write(pools, pools);
    const paths: string[] = read("cds.yaml").resources.map(
      (resource: { eds_cluster_config: { eds_config: { path_config_source: { path: string } } } }) =>
        resource.eds_cluster_config.eds_config.path_config_source.path,
    );
    expect(paths.map((path) => JSON.parse(readFileSync(path, "utf8")).resources[0].cluster_name)).toEqual(
      names.map((name) => `pointsman/${"s".repeat(63)}/${name}`),
    );
    expect(readdirSync(join(dir, "eds"))).toHaveLength(2);
  });

  test("the next agent finds pools and members, and nothing in files that no agent wrote", () => {
    const { dir, files } = writing();
    const next = () => new XdsFiles({ dir, defaultPool: undefined, retryBufferBytes: 1_000 });
    expect(next().found()).toEqual([]);
    files.write([a, b], [a, b]);
    expect(next().found()).toEqual([
      { pool: { namespace: "default", name: "a", appProtocol: "http" }, endpoints: [{ ip: "fd00::1", port: 80 }] },
      { pool: { namespace: "default", name: "b", appProtocol: "h2c" }, endpoints: [] },
    ]);
    for (const text of ["resources: []", "{}", "[", '{"resources":[{"name":"other"}]}']) {
      writeFileSync(join(dir, "cds.yaml"), text);
      expect(next().found()).toEqual([]);
    }
  });
});
