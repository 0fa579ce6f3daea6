// What the program wants to know of a pod's labels, as bits and columns.

import { describe, expect, test } from "vitest";
import { fnv1a } from "../../../src/control/hash.ts";
import { compileConfig } from "../../../src/control/scheduling/compile.ts";
import { type Labels, labelsToWire, type Place } from "../../../src/control/scheduling/labels.ts";
import {
  LEVEL_HOST,
  LEVEL_NONE,
  LEVEL_RACK,
  LEVEL_REGION,
  LEVEL_UNKNOWN,
  LEVEL_ZONE,
  RANGE_BROKEN,
  RANGE_NONE,
} from "../../../src/wire/program.ts";
import { configYaml } from "./documents.ts";

/** Bits and columns of one plugin, for a pod with these labels. */
function wire(plugin: string, labels: Labels, place: Place = {}) {
  const compiled = compileConfig(configYaml([plugin], []).replace(/schedulingProfiles[\s\S]*/, ""));
  if (!compiled.ok) throw new Error(compiled.errors[0]?.message);
  return labelsToWire(labels, compiled.scheduling, place);
}

/** Levels of a pod with these labels and this hostname, for a gateway on host h in zone z. */
function levelOf(labels: Labels, hostname?: string): bigint | undefined {
  const compiled = compileConfig(
    configYaml(["{type: topology-affinity-scorer}"], ["pluginRef: topology-affinity-scorer"]),
  );
  if (!compiled.ok) throw new Error(compiled.errors[0]?.message);
  return labelsToWire(labels, compiled.scheduling, { host: "h", zone: "z" }, hostname).columns[0];
}

test("the hostname of the spec counts where no label names the host", () => {
  expect(levelOf({}, "h")).toBe(BigInt(LEVEL_HOST));
  expect(levelOf({ "kubernetes.io/hostname": "" }, "h")).toBe(BigInt(LEVEL_HOST));
  expect(levelOf({ "kubernetes.io/hostname": "other", "topology.kubernetes.io/zone": "z" }, "h")).toBe(
    BigInt(LEVEL_ZONE),
  );
  expect(levelOf({}, "other")).toBe(BigInt(LEVEL_NONE));
});

const passes = (plugin: string, labels: Labels): boolean => wire(plugin, labels).passes === 1n;

describe("label filters", () => {
  test.each([
    ["decode-filter", ["decode", "prefill-decode", "both", "encode-prefill-decode"], true],
    ["prefill-filter", ["prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"], false],
    ["encode-filter", ["encode", "encode-prefill", "encode-prefill-decode"], false],
  ])("%s", (type, roles, unlabeled) => {
    const all = [
      "decode",
      "prefill",
      "encode",
      "both",
      "prefill-decode",
      "encode-prefill",
      "encode-prefill-decode",
      "",
      "x",
    ];
    const found = all.filter((role) => passes(`{type: ${type}}`, { "llm-d.ai/role": role }));
    expect(found.toSorted()).toEqual(roles.toSorted());
    expect(passes(`{type: ${type}}`, {})).toBe(unlabeled);
  });

  const selector = (parameters: string) => `{type: label-selector-filter, parameters: ${parameters}}`;

  test.each<[string, Labels, boolean]>([
    ["{}", {}, true],
    ["{matchLabels: {a: x, b: y}}", { a: "x", b: "y", c: "z" }, true],
    ["{matchLabels: {a: x, b: y}}", { a: "x", b: "z" }, false],
    ["{matchExpressions: [{key: a, operator: In, values: [x, y]}]}", { a: "y" }, true],
    ["{matchExpressions: [{key: a, operator: In, values: [x, y]}]}", {}, false],
    ["{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", { a: "x" }, false],
    ["{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {}, true],
    ["{matchExpressions: [{key: a, operator: Exists}]}", { a: "" }, true],
    ["{matchExpressions: [{key: a, operator: Exists}]}", {}, false],
    ["{matchExpressions: [{key: a, operator: DoesNotExist}]}", { a: "" }, false],
    ["{matchExpressions: [{key: a, operator: DoesNotExist}]}", { b: "" }, true],
    ["{matchExpressions: [{key: toString, operator: Exists}]}", {}, false],
    ["{matchLabels: {a: x}, matchExpressions: [{key: b, operator: Exists}]}", { a: "x" }, false],
  ])("%s of %j: %s", (parameters, labels, expected) => {
    expect(passes(selector(parameters), labels)).toBe(expected);
  });

  test("by-label: its values, and without the label where that is said", () => {
    const plugin = (unlabeled: boolean) =>
      `{type: by-label, parameters: {label: a, validValues: [x], allowsNoLabel: ${unlabeled}}}`;
    expect([passes(plugin(false), { a: "x" }), passes(plugin(false), { a: "y" }), passes(plugin(false), {})]).toEqual([
      true,
      false,
      false,
    ]);
    expect([passes(plugin(true), { a: "x" }), passes(plugin(true), { a: "y" }), passes(plugin(true), {})]).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("each filter has its bit", () => {
    const compiled = compileConfig(
      configYaml(["{type: decode-filter}", "{type: prefill-filter}", "{type: encode-filter}"], []).replace(
        /schedulingProfiles[\s\S]*/,
        "",
      ),
    );
    const bits = (role: string) =>
      compiled.ok && labelsToWire({ "llm-d.ai/role": role }, compiled.scheduling, {}).passes;
    expect([bits("decode"), bits("prefill"), bits("encode"), bits("encode-prefill-decode")]).toEqual([1n, 2n, 4n, 7n]);
  });
});

test("label values are hashed; 0 without the label", () => {
  const plugin = "{type: header-label-affinity-scorer, parameters: {headerName: h, labelKey: team}}";
  expect(wire(plugin, { team: "blue" }).columns).toEqual([fnv1a("blue")]);
  expect(wire(plugin, {}).columns).toEqual([0n]);
});

describe("context ranges", () => {
  const range = (text: string) =>
    wire("{type: context-length-aware}", { "llm-d.ai/context-length-range": text }).columns[0];
  const of = (least: number, most: number) => BigInt(least) | (BigInt(most) << 32n);

  test.each<[string, bigint]>([
    ["0-2048", of(0, 2048)],
    [" 8 - 9 ", of(8, 9)],
    ["5-5", of(5, 5)],
    ["0-99999999999", of(0, 0xffff_ffff)],
    ["4294967295-4294967295", of(RANGE_BROKEN - 1, 0xffff_ffff)],
    ["9-8", BigInt(RANGE_BROKEN)],
    ["", BigInt(RANGE_BROKEN)],
    ["8", BigInt(RANGE_BROKEN)],
    ["-1-8", BigInt(RANGE_BROKEN)],
    ["1-8-9", BigInt(RANGE_BROKEN)],
    ["a-b", BigInt(RANGE_BROKEN)],
  ])("%j", (text, expected) => {
    expect(range(text)).toBe(expected);
  });

  test("without the label", () => {
    expect(wire("{type: context-length-aware}", {}).columns).toEqual([BigInt(RANGE_NONE)]);
  });
});

describe("topology", () => {
  const labels = {
    "kubernetes.io/hostname": "h1",
    "topology.kubernetes.io/rack": "r1",
    "topology.kubernetes.io/zone": "z1",
    "topology.kubernetes.io/region": "g1",
  };
  const level = (place: Place) => Number(wire("{type: topology-affinity-scorer}", labels, place).columns[0]);

  test.each<[Place, number]>([
    [{ host: "h1", region: "g2" }, LEVEL_HOST],
    [{ host: "h2", rack: "r1", zone: "z1" }, LEVEL_RACK],
    [{ host: "h2", zone: "z1" }, LEVEL_ZONE],
    [{ host: "h2", zone: "z2", region: "g1" }, LEVEL_REGION],
    [{ zone: "z2" }, LEVEL_NONE],
    [{}, LEVEL_UNKNOWN],
  ])("%j", (place, expected) => {
    expect(level(place)).toBe(expected);
  });

  test("the labels that an extractor names", () => {
    const plugin =
      "{type: topology-affinity-scorer, parameters: {topologyProducerName: own}}\n" +
      "- {type: topology-extractor, name: own, parameters: {zone: my/zone}}";
    expect(wire(plugin, { "my/zone": "z9" }, { zone: "z9" }).columns).toEqual([BigInt(LEVEL_ZONE)]);
    expect(wire(plugin, labels, { zone: "z1" }).columns).toEqual([BigInt(LEVEL_NONE)]);
  });
});
