import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectDefaultProfile } from "../../src/cli/default-profile.ts";
import { UsageError } from "../../src/cli/flags.ts";

const DEFAULT_PROFILE = `apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: single-profile-handler
- type: queue-scorer
- type: kv-cache-utilization-scorer
- name: best
  type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: best}
`;

let path: string;
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), "pointsman-profile-")), "config.yaml");
});
afterAll(() => rmSync(join(path, ".."), { recursive: true }));

/** What is said about the document, without the name of the file. */
function verdict(text: string): string | undefined {
  writeFileSync(path, text);
  try {
    expectDefaultProfile(path);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message.replace(`pointsman: --config ${path}:`, "");
  }
}

test("no document, and the default profile as a document", () => {
  expect(() => expectDefaultProfile(undefined)).not.toThrow();
  expect(verdict(DEFAULT_PROFILE)).toBeUndefined();
  expect(verdict(DEFAULT_PROFILE.replace("llm-d.ai/", "inference.networking.x-k8s.io/"))).toBeUndefined();
});

describe("anything else is refused with its line", () => {
  test.each([
    ["max-score-picker", "random-picker", "8: plugin random-picker: only queue-scorer, "],
    ["  - {pluginRef: queue-scorer, weight: 2}", "  - {pluginRef: queue-scorer, weight: 3}", "12: weight of queue-sc"],
    ["  - {pluginRef: queue-scorer, weight: 2}", "  - {pluginRef: queue-scorer}", "12: weight of queue-scorer: exp"],
    ["  - {pluginRef: best}", "", "12: plugins: max-score-picker of the default profile is missing"],
    ["{pluginRef: best}", "{pluginRef: worst}", "14: pluginRef worst: expected one of max-score-picker"],
    ["- type: queue-scorer\n", "", "4: plugins: queue-scorer of the default profile is missing"],
    ["type: max-score-picker", "type: max-score-picker\n  parameters: {maxNumOfEndpoints: 1}", "9: parameters: not s"],
    ["plugins:", "featureGates: [flowControl]\nplugins:", "3: featureGates: not supported here; expected one of api"],
    ["EndpointPickerConfig", "InferencePool", "2: kind: expected EndpointPickerConfig"],
    ["llm-d.ai/v1alpha1", "v1", "1: apiVersion: expected llm-d.ai/v1alpha1 or "],
    ["kind:", "kind: [", "3: Flow sequence in block collection must be sufficiently indented"],
  ])("%j → %j", (from, to, message) => {
    const text = DEFAULT_PROFILE.replace(from, to);
    expect(text).not.toBe(DEFAULT_PROFILE);
    expect(verdict(text)).toContain(message);
    expect(verdict(text)).toMatch(new RegExp(`^${message.split(":")[0]}: `));
  });

  test.each(["", "[]", "null", "text"])("%j", (text) => expect(verdict(text)).toBe("1: document: expected a mapping"));
});
