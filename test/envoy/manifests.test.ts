// The manifests of the agent's rights: files that fit each other, and not one right more than is listed here.

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";

const DIR = join(import.meta.dirname, "..", "..", "envoy", "gateway");

type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};
type Manifest = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly Rule[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly unknown[];
};

const files = readdirSync(DIR, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".yaml"));

function read(file: string): Manifest {
  const documents = parseAllDocuments(readFileSync(join(DIR, file), "utf8"));
  if (documents.length !== 1) throw new Error(`${file}: expected one document, found ${documents.length}`);
  return (documents as { toJS(): unknown }[])[0]!.toJS() as Manifest;
}

/** `verb group/resource name` of each right. */
function rights(file: string): readonly string[] {
  return read(file).rules!.flatMap(({ apiGroups, resources, resourceNames = ["*"], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => resourceNames.map((name) => `${verb} ${group}/${resource} ${name}`)),
      ),
    ),
  );
}

const WATCHED = [
  "/pods",
  "inference.networking.k8s.io/inferencepools",
  "inference.networking.x-k8s.io/inferencemodelrewrites",
  "inference.networking.x-k8s.io/inferencemodels",
  "inference.networking.x-k8s.io/inferenceobjectives",
  "inference.networking.x-k8s.io/inferencepools",
  "llm-d.ai/inferencemodelrewrites",
  "llm-d.ai/inferenceobjectives",
];

test.each(files)("%s has one object of the kind that names it", (file) => {
  const words = read(file).kind.replaceAll(/[a-z](?=[A-Z])/g, "$&-");
  expect(basename(file, ".yaml").replace(/^(lease|config)-/, "")).toBe(words.toLowerCase());
});

const LEASE = [
  "create coordination.k8s.io/leases *",
  "get coordination.k8s.io/leases pointsman",
  "update coordination.k8s.io/leases pointsman",
];

describe("rights", () => {
  test.each([
    ["cluster-role.yaml", []],
    ["namespaced/role.yaml", LEASE],
  ])("%s: to watch, and to say what was found", (file, more) => {
    const expected = [
      ...WATCHED.flatMap((resource) => [`list ${resource} *`, `watch ${resource} *`]),
      "patch inference.networking.x-k8s.io/inferencemodels/status *",
      "create events.k8s.io/events *",
      ...more,
    ];
    expect([...rights(file)].sort()).toEqual(expected.sort());
  });

  test("in the agent's own namespace: its Lease and its configuration, by name", () => {
    expect(rights("lease-role.yaml")).toEqual(LEASE);
    expect(rights("config-role.yaml")).toEqual([
      "list /configmaps pointsman-config",
      "watch /configmaps pointsman-config",
      "create events.k8s.io/events *",
    ]);
  });

  test.each([
    ["cluster-role-binding.yaml", "cluster-role.yaml"],
    ["lease-role-binding.yaml", "lease-role.yaml"],
    ["config-role-binding.yaml", "config-role.yaml"],
    ["namespaced/role-binding.yaml", "namespaced/role.yaml"],
  ])("%s gives the account those of %s", (bindingFile, roleFile) => {
    const [binding, role, account] = [read(bindingFile), read(roleFile), read("service-account.yaml")];
    expect(binding.roleRef).toMatchObject({ kind: role.kind, name: role.metadata.name });
    expect(binding.metadata.namespace).toBe(role.metadata.namespace);
    const { name, namespace } = account.metadata;
    expect(binding.subjects).toEqual([{ kind: "ServiceAccount", name, namespace }]);
  });
});
