// Documents about models, and what becomes of them: objects, tables of pools, bytes.

import { ofNewestGroup } from "../../../src/control/both-groups.ts";
import { encodeTopology } from "../../../src/control/encode.ts";
import { membership, poolName } from "../../../src/control/endpoints.ts";
import type { ConfigObject } from "../../../src/control/kinds/object.ts";
import type { PoolModels } from "../../../src/control/models/models.ts";
import { type Resolved, resolveModels } from "../../../src/control/models/resolve.ts";
import { SCHEDULING_DEFAULT } from "../../../src/control/scheduling/scheduling.ts";
import { topologyOf } from "../../../src/control/snapshot.ts";
import { readDocuments } from "../../../src/control/source/documents.ts";

export const X_K8S = "inference.networking.x-k8s.io";

type Meta = {
  readonly group?: string;
  readonly namespace?: string;
  readonly created?: string;
  /** Name of the pool; its group and kind where they matter. */
  readonly pool?: string | { readonly name: string; readonly group?: string; readonly kind?: string };
};

function document(kind: string, name: string, spec: object, { group = "llm-d.ai", ...meta }: Meta): object {
  const { namespace, created: creationTimestamp, pool = "p" } = meta;
  const poolRef = typeof pool === "string" ? { name: pool } : pool;
  return {
    apiVersion: `${group}/v1alpha2`,
    kind,
    metadata: { name, namespace, creationTimestamp },
    spec: { poolRef, ...spec },
  };
}

export function objective(name: string, priority?: number, meta: Meta = {}): object {
  return document("InferenceObjective", name, { priority }, meta);
}

/** `{matches, targets}` each: names of models, none for every model; weights by target, or names without weights. */
export type RuleOf = readonly [
  matches: readonly string[],
  targets: Readonly<Record<string, number>> | readonly string[],
];

export function rewrite(name: string, rules: readonly RuleOf[], meta: Meta = {}): object {
  const written = rules.map(([matches, targets]) => ({
    matches: matches.map((value) => ({ model: { value } })),
    targets: Array.isArray(targets)
      ? targets.map((modelRewrite: string) => ({ modelRewrite }))
      : Object.entries(targets).map(([modelRewrite, weight]) => ({ modelRewrite, weight })),
  }));
  return document("InferenceModelRewrite", name, { rules: written }, meta);
}

export function model(name: string, modelName: string, spec: object = {}, meta: Meta = {}): object {
  return document("InferenceModel", name, { modelName, ...spec }, { group: X_K8S, ...meta });
}

export function poolV1(name = "p", namespace = "default"): object {
  return {
    apiVersion: "inference.networking.k8s.io/v1",
    kind: "InferencePool",
    metadata: { name, namespace },
    spec: {
      selector: { matchLabels: { app: "m" } },
      targetPorts: [{ number: 8000 }],
      endpointPickerRef: { name: "epp", port: { number: 9002 }, failureMode: "FailOpen" },
    },
  };
}

export function poolV1alpha2(name = "p", namespace = "default"): object {
  return {
    apiVersion: `${X_K8S}/v1alpha2`,
    kind: "InferencePool",
    metadata: { name, namespace },
    spec: { selector: { app: "m" }, targetPortNumber: 8000, extensionRef: { name: "epp", failureMode: "FailOpen" } },
  };
}

/** One document after another. */
export function textOf(documents: readonly object[]): string {
  return documents.map((each) => `${JSON.stringify(each)}\n`).join("---\n");
}

export function objectsOf(documents: readonly object[]): readonly ConfigObject[] {
  return readDocuments(textOf(documents), new Map()).documents.map((state) => {
    if (state.status !== "good") throw new Error(JSON.stringify(state));
    return state.object;
  });
}

type Outcome = Resolved & { readonly twice: readonly string[]; readonly pool: (name?: string) => PoolModels };

/** As the agent resolves them. */
export function resolved(documents: readonly object[]): Outcome {
  const { objects, doubts: twice } = ofNewestGroup(objectsOf(documents));
  const pools = membership(objects).pools.map(({ pool }) => pool);
  const found = resolveModels(objects, pools);
  const pool = (name = "default/p"): PoolModels =>
    found.byPool.get(name) ?? { objectives: [], models: [], generic: undefined };
  return { ...found, twice, pool };
}

/** The topology that the agent would push. */
export function bytesOf(documents: readonly object[]): Buffer {
  const { objects } = ofNewestGroup(objectsOf(documents));
  const { pools } = membership(objects);
  const { byPool } = resolveModels(
    objects,
    pools.map(({ pool }) => pool),
  );
  const withModels = pools.map((entry) => ({ ...entry, models: byPool.get(poolName(entry.pool)) }));
  return encodeTopology(topologyOf(withModels, SCHEDULING_DEFAULT, {}, 1));
}
