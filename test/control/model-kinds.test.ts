// Documents about models, and pools as they were before: API versions to the internal form.

import { describe, expect, test } from "vitest";
import { converterOf } from "../../src/control/kinds/menu.ts";
import type { ConfigObject } from "../../src/control/kinds/object.ts";
import { readDocuments } from "../../src/control/source/documents.ts";
import { X_K8S } from "./models/documents.ts";

const LLM_D = "llm-d.ai/v1alpha2";
const OLDER = `${X_K8S}/v1alpha2`;
const REF = { name: "p" };

function convert(apiVersion: string, kind: string, spec: object, metadata: object = {}) {
  const converter = converterOf(apiVersion, kind);
  if (converter === undefined) throw new Error(`${apiVersion} ${kind} is not read`);
  return converter({ apiVersion, kind, metadata: { name: "o", ...metadata }, spec });
}

function objectOf(...document: Parameters<typeof convert>): ConfigObject {
  const converted = convert(...document);
  if (!converted.ok) throw new Error(converted.misfit.reason);
  return converted.value;
}

function refusal(...document: Parameters<typeof convert>): string {
  const converted = convert(...document);
  return converted.ok ? "" : converted.misfit.reason;
}

const COMMON = {
  namespace: "default",
  name: "o",
  createdMs: undefined,
  poolRef: { group: undefined, kind: "InferencePool", name: "p" },
};

describe("both groups", () => {
  test.each([
    ["InferenceObjective", { poolRef: REF, priority: -3 }, { priority: -3 }],
    ["InferenceModelRewrite", { poolRef: REF, rules: [] }, { rules: [] }],
  ])("%s is the same in both but for the group", (kind, spec, more) => {
    expect(objectOf(LLM_D, kind, spec)).toEqual({ kind, ...COMMON, ...more });
    expect(objectOf(OLDER, kind, spec)).toEqual({ kind, ...COMMON, ...more, olderGroup: X_K8S });
  });

  test("InferencePool as it was before", () => {
    const spec = { selector: { app: "m" }, targetPortNumber: 8000 };
    expect(objectOf(OLDER, "InferencePool", spec)).toEqual({
      kind: "InferencePool",
      namespace: "default",
      name: "o",
      matchLabels: { app: "m" },
      targetPorts: [8000],
      appProtocol: "http",
      failureMode: "FailClose",
      olderGroup: X_K8S,
    });
    const extensionRef = { name: "epp", portNumber: 9002, failureMode: "FailOpen" };
    expect(objectOf(OLDER, "InferencePool", { ...spec, extensionRef })).toMatchObject({ failureMode: "FailOpen" });
  });

  test("a version that is not read is told, with those that are", () => {
    const text = JSON.stringify({ apiVersion: "llm-d.ai/v1", kind: "InferenceObjective", metadata: { name: "o" } });
    expect(readDocuments(text, new Map()).documents).toMatchObject([
      { status: "broken", reason: expect.stringContaining(`expected ${LLM_D} or ${OLDER} for InferenceObjective`) },
    ]);
  });
});

describe("internal form", () => {
  test("an objective that does not say has priority 0; a time of creation counts in milliseconds", () => {
    const metadata = { namespace: "n", creationTimestamp: "2026-01-02T03:04:05+01:00" };
    expect(objectOf(LLM_D, "InferenceObjective", { poolRef: REF, priority: null }, metadata)).toMatchObject({
      namespace: "n",
      priority: 0,
      createdMs: Date.UTC(2026, 0, 2, 2, 4, 5),
    });
    expect(objectOf(LLM_D, "InferenceObjective", { poolRef: REF }, { creationTimestamp: null })).toMatchObject({
      createdMs: undefined,
    });
  });

  test("rules of a rewrite", () => {
    const rules = [
      {
        matches: [{ model: { type: "Exact", value: "a" } }, { model: { value: "b" } }],
        targets: [
          { modelRewrite: "x", weight: 90 },
          { modelRewrite: "y", weight: 10 },
        ],
      },
      { targets: [{ modelRewrite: "x" }, { modelRewrite: "y" }] },
      { matches: [] },
    ];
    const poolRef = { name: "p", group: "", kind: "InferencePool" };
    expect(objectOf(LLM_D, "InferenceModelRewrite", { poolRef, rules })).toMatchObject({
      poolRef: { group: undefined },
      rules: [
        {
          models: ["a", "b"],
          targets: [
            { name: "x", weight: 90 },
            { name: "y", weight: 10 },
          ],
        },
        {
          models: [],
          targets: [
            { name: "x", weight: 1 },
            { name: "y", weight: 1 },
          ],
        },
        { models: [], targets: [] },
      ],
    });
  });

  test("an InferenceModel that does not say is Standard and has no targets", () => {
    expect(objectOf(OLDER, "InferenceModel", { poolRef: REF, modelName: "m" })).toEqual({
      kind: "InferenceModel",
      ...COMMON,
      modelName: "m",
      criticality: "Standard",
      targets: [],
    });
    const spec = { poolRef: REF, modelName: "m", criticality: "Critical", targetModels: [{ name: "x" }] };
    expect(objectOf(OLDER, "InferenceModel", spec)).toMatchObject({
      criticality: "Critical",
      targets: [{ name: "x", weight: 1 }],
    });
  });
});

const LONG = "x".repeat(257);
const MODEL_NAME = "expected the name of a model, 1 to 256 bytes long";
const MIXED = [
  { name: "x", modelRewrite: "x", weight: 1 },
  { name: "y", modelRewrite: "y" },
];

describe("refused", () => {
  test.each([
    ["no pool", { priority: 1 }, "spec.poolRef: expected a mapping, found nothing"],
    ["a pool without a name", { poolRef: {} }, "spec.poolRef.name: expected a name"],
    ["a kind that is none", { poolRef: { name: "p", kind: "a b" } }, "spec.poolRef.kind: expected a kind such as"],
    ["a group that is none", { poolRef: { name: "p", group: "A" } }, "spec.poolRef.group: expected an API group"],
    ["half a priority", { poolRef: REF, priority: 0.5 }, "spec.priority: expected a whole number from -2147483648 to"],
    ["too high a priority", { poolRef: REF, priority: 2 ** 31 }, "spec.priority: expected a whole number"],
    ["too low a priority", { poolRef: REF, priority: -(2 ** 31) - 1 }, "spec.priority: expected a whole number"],
    ["a priority in quotes", { poolRef: REF, priority: "1" }, "spec.priority: expected a whole number"],
  ])("an objective with %s", (_, spec, reason) => {
    expect(refusal(LLM_D, "InferenceObjective", spec)).toContain(reason);
  });

  test.each(["yesterday", "2026-13-01T00:00:00Z", "2026-01-01", 5])("a creationTimestamp %s", (creationTimestamp) => {
    expect(refusal(LLM_D, "InferenceObjective", { poolRef: REF }, { creationTimestamp })).toContain(
      "metadata.creationTimestamp: expected a time such as 2026-01-31T12:00:00Z",
    );
  });

  test.each([
    ["no rules", undefined, "spec.rules: expected a list of rules"],
    ["no targets in a list", [{ targets: [] }], "spec.rules[0].targets: expected a list of one or more entries"],
    ["a match of nothing", [{ matches: [{}] }], "spec.rules[0].matches[0].model: expected a mapping, found nothing"],
    [
      "another type",
      [{ matches: [{ model: { type: "Prefix", value: "a" } }] }],
      "matches[0].model.type: expected Exact",
    ],
    ["an empty model", [{ matches: [{ model: { value: "" } }] }], `matches[0].model.value: ${MODEL_NAME}`],
    ["a long model", [{ matches: [{ model: { value: LONG } }] }], `matches[0].model.value: ${MODEL_NAME}`],
    ["a target without name", [{ targets: [{ weight: 1 }] }], `targets[0].modelRewrite: ${MODEL_NAME}, found nothing`],
    ["a long target", [{ targets: [{ modelRewrite: LONG }] }], `targets[0].modelRewrite: ${MODEL_NAME}`],
    [
      "weight 0",
      [{ targets: [{ modelRewrite: "x", weight: 0 }] }],
      "weight: expected a whole number from 1 to 1000000",
    ],
    ["a large weight", [{ targets: [{ modelRewrite: "x", weight: 1_000_001 }] }], "weight: expected a whole number"],
    ["some weights", [{ targets: MIXED }], "spec.rules[0].targets: expected targets that all have a weight, or none"],
  ])("a rewrite with %s", (_, rules, reason) => {
    expect(refusal(LLM_D, "InferenceModelRewrite", { poolRef: REF, rules })).toContain(reason);
  });

  test.each([
    ["no name", { modelName: undefined }, `spec.modelName: ${MODEL_NAME}, found nothing`],
    ["a long name", { modelName: LONG }, `spec.modelName: ${MODEL_NAME}`],
    ["a name of many bytes", { modelName: "ä".repeat(129) }, `spec.modelName: ${MODEL_NAME}`],
    ["another criticality", { criticality: "High" }, "spec.criticality: expected Critical, Standard or Sheddable"],
    [
      "eleven targets",
      { targetModels: Array.from({ length: 11 }, () => ({ name: "x" })) },
      "spec.targetModels: expected a list of at most 10 entries",
    ],
    [
      "a long target",
      { targetModels: [{ name: "x".repeat(254) }] },
      "targetModels[0].name: expected the name of a model",
    ],
    ["some weights", { targetModels: MIXED }, "spec.targetModels: expected targets that all have a weight, or none"],
  ])("an InferenceModel with %s", (_, spec, reason) => {
    expect(refusal(OLDER, "InferenceModel", { poolRef: REF, modelName: "m", ...spec })).toContain(reason);
  });

  test.each([
    ["the newer selector", { selector: { matchLabels: { app: "m" } } }, "spec.selector.matchLabels: expected text"],
    ["an empty selector", { selector: {} }, "spec.selector: expected 1 to 64 labels"],
    ["no port", { targetPortNumber: undefined }, "spec.targetPortNumber: expected a port number"],
    ["port 0", { targetPortNumber: 0 }, "spec.targetPortNumber: expected a port number"],
    ["a failure mode", { extensionRef: { failureMode: "Open" } }, "failureMode: expected FailOpen or FailClose"],
    [
      "a picker's port",
      { extensionRef: { portNumber: 65_536 } },
      "spec.extensionRef.portNumber: expected a port number",
    ],
  ])("an older pool with %s", (_, spec, reason) => {
    const good = { selector: { app: "m" }, targetPortNumber: 8000 };
    expect(refusal(OLDER, "InferencePool", { ...good, ...spec })).toContain(reason);
  });
});
