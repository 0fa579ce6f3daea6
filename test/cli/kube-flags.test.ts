// Which API server and which pools the flags of `agent` mean.

import { describe, expect, test } from "vitest";
import { parseFlags, TEXT, UsageError } from "../../src/cli/flags.ts";
import { kubeFlags, kubeOptions } from "../../src/cli/kube-flags.ts";

const flags = { objects: { kind: TEXT, help: "" }, config: { kind: TEXT, help: "" }, ...kubeFlags } as const;

function options(...argv: readonly string[]) {
  const parsed = parseFlags({ name: "agent", summary: "", flags }, argv);
  if (parsed === "help") throw new Error("no help was asked for");
  return kubeOptions(parsed.flags);
}

describe("the objects of an API server", () => {
  test("are those of the agent's own namespace by default", () => {
    expect(options("--kube")).toEqual({ allPools: false, poolsWithoutPicker: false });
  });

  test("are those of a context, a namespace and a pool", () => {
    expect(options("--kube", "--context=c", "--namespace=infra", "--pool=chat")).toMatchObject({
      context: "c",
      namespace: "infra",
      pool: "chat",
    });
  });

  test("are those of all pools that name a picker, or none", () => {
    const found = options("--kube", "--all-pools", "--picker=pointsman", "--pools-without-picker");
    expect(found).toMatchObject({ allPools: true, picker: "pointsman", poolsWithoutPicker: true });
  });

  test.each([
    ["conf", { namespace: undefined, name: "conf", key: undefined }],
    ["infra/conf", { namespace: "infra", name: "conf", key: undefined }],
    ["infra/conf:chat.yaml", { namespace: "infra", name: "conf", key: "chat.yaml" }],
  ])("are told of how to schedule by ConfigMap %s", (text, expected) => {
    expect(options("--kube", `--config-map=${text}`)?.configMap).toEqual(expected);
  });

  test("are not those of a folder", () => {
    expect(options("--objects=dir")).toBeUndefined();
  });
});

test.each([
  [[], "--objects DIR or --kube is required"],
  [["--kube", "--objects=dir"], "--kube and --objects: expected one of them"],
  [["--objects=dir", "--namespace=x"], "--namespace goes with --kube"],
  [["--objects=dir", "--all-pools"], "--all-pools goes with --kube"],
  [["--kube", "--config=file", "--config-map=x"], "--config and --config-map: expected one of them"],
  [["--kube", "--pool=a", "--all-pools"], "--pool names the only pool: expected neither --all-pools nor --picker"],
  [["--kube", "--pool=a", "--picker=b"], "--pool names the only pool: expected neither --all-pools nor --picker"],
  [["--kube", "--pools-without-picker"], "--pools-without-picker goes with --picker"],
  [["--kube", "--namespace=Nope"], "--namespace Nope: expected a namespace"],
  [["--kube", "--config-map=a/b/c"], "--config-map a/b/c: expected [NAMESPACE/]NAME[:KEY]"],
])("%j is refused", (argv, reason) => {
  expect(() => options(...argv)).toThrow(UsageError);
  expect(() => options(...argv)).toThrow(reason);
});
