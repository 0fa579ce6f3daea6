// EndpointPickerConfig documents that do not load: each says what is wrong with it, and where.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileConfig } from "../../../src/control/scheduling/compile.ts";
import { brokenDocuments, LOADING, loading } from "./documents.ts";

/** `line:column: message` of each error. */
function errorsOf(text: string): readonly string[] {
  const compiled = compileConfig(text);
  if (compiled.ok) return [];
  return compiled.errors.map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

describe("documents of golden/configs/broken.md", () => {
  const documents = brokenDocuments();

  test("are many, each with a title and a mistake of its own", () => {
    expect(documents.length).toBeGreaterThanOrEqual(60);
    expect(new Set(documents.map(({ title }) => title)).size).toBe(documents.length);
    expect(new Set(documents.map(({ errors }) => errors.join())).size).toBe(documents.length);
  });

  test.each(documents)("$title", ({ text, errors }) => {
    expect(errorsOf(text)).toEqual(errors);
  });
});

const GOOD = loading("profiles-by-header");

describe("what is no such document at all", () => {
  test.each([
    ["", "nothing"],
    ["null", "nothing"],
    ["# only a comment", "nothing"],
    ["[]", "a list"],
    ["text", '"text"'],
  ])("%j", (text, found) => {
    const [error, ...more] = errorsOf(text);
    expect(more).toEqual([]);
    expect(error).toMatch(new RegExp(`^1:1: document: expected a mapping, found ${found}$`));
  });

  test("two documents", () => {
    expect(errorsOf(`${GOOD}---\n${GOOD}`)[0]).toMatch(/^\d+:1: expected one document in a file, found another/);
  });

  test("one that nests too deeply", () => {
    expect(errorsOf("[".repeat(100_000))[0]).toMatch(/^\d+:\d+: /);
    expect(errorsOf(`plugins: ${"[".repeat(20_000)}${"]".repeat(20_000)}`)[0]).toMatch(/^\d+:\d+: /);
  });

  test("an alias that stands for itself", () => {
    expect(errorsOf("plugins: &a [*a]\n").length).toBeGreaterThan(0);
  });
});

test("nothing makes it throw, and every error has a place in the document", () => {
  const texts = LOADING.map(loading);
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    gone: fc.nat(12),
    put: fc.oneof(
      fc.constantFrom("", " ", "\n", ":", "{", "}", "[", "]", "null", "-", "- ", '"', "*a", "&a ", "~", "1e999", "0x1"),
      fc.string({ maxLength: 4 }),
    ),
  });
  const edited = fc.tuple(fc.constantFrom(...texts), fc.array(edit, { minLength: 1, maxLength: 3 }));
  fc.assert(
    fc.property(edited, ([text, edits]) => {
      let changed = text;
      for (const { at, gone, put } of edits) {
        const from = Math.floor(at * changed.length);
        changed = changed.slice(0, from) + put + changed.slice(from + gone);
      }
      const compiled = compileConfig(changed);
      const lines = changed.split("\n").length;
      const complaints = compiled.ok ? compiled.warnings : [...compiled.errors, ...compiled.warnings];
      expect(compiled.ok || compiled.errors.length > 0).toBe(true);
      for (const { line, column } of complaints) {
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(lines);
        expect(column).toBeGreaterThanOrEqual(1);
      }
    }),
    { numRuns: 2_000 },
  );
});

describe("limits of the wire", () => {
  const profiles = (count: number, steps: number) =>
    Array.from({ length: count }, (_, i) => {
      const refs = Array.from({ length: steps }, () => "{pluginRef: q}").join(", ");
      return `- {name: p${i}, plugins: [${refs}]}\n`;
    }).join("");
  const head = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- {type: queue-scorer, name: q}\n";
  const byHeader = "- {type: header-profile-handler, parameters: {defaultProfile: p0}}\n";

  test.each([
    [
      "profiles",
      `${head}${byHeader}schedulingProfiles:\n${profiles(17, 1)}`,
      "7:1: schedulingProfiles: expected at most 16 profiles, found 17",
    ],
    [
      "steps",
      `${head}${byHeader}schedulingProfiles:\n${profiles(16, 9)}`,
      "7:1: schedulingProfiles: expected at most 128 filters and scorers in all profiles, found 144",
    ],
    [
      "names of headers",
      head +
        Array.from(
          { length: 17 },
          (_, i) =>
            `- {type: header-label-affinity-scorer, name: s${i}, parameters: {headerName: h${i}, labelKey: l}}\n`,
        ).join(""),
      "1:1: document: expected at most 16 names of headers in all plugins, found 17",
    ],
    [
      "custom metrics",
      head +
        Array.from(
          { length: 9 },
          (_, i) =>
            `- {type: endpoint-attribute-scorer, name: s${i}, ` +
            `parameters: {attributeKey: a${i}, algorithm: {type: linear_lower_is_better}}}\n`,
        ).join(""),
      "13:10: plugins[9].type: expected at most 8 custom metrics in all profiles",
    ],
    [
      "labels",
      head +
        Array.from(
          { length: 9 },
          (_, i) => `- {type: context-length-aware, name: s${i}, parameters: {label: l${i}}}\n`,
        ).join(""),
      "13:10: plugins[9].type: expected at most 8 labels that steps go by in all profiles",
    ],
    [
      "label filters",
      head +
        Array.from(
          { length: 65 },
          (_, i) => `- {type: label-selector-filter, name: s${i}, parameters: {matchLabels: {l: v${i}}}}\n`,
        ).join(""),
      "69:10: plugins[65].type: expected at most 64 label filters in all profiles",
    ],
    [
      "a name",
      head.replace("name: q", `name: ${"q".repeat(254)}`),
      /^4:30: plugins\[0\].name: expected a name of at most 253 bytes, found "qqq/,
    ],
  ])("%s", (_, text, expected) => {
    const errors = errorsOf(text);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toEqual(typeof expected === "string" ? expected : expect.stringMatching(expected));
  });
});

describe("things of which there is one", () => {
  test.each([
    [
      "session headers",
      [
        "{type: session-affinity-scorer}",
        "{type: session-affinity-filter, parameters: {encodedEndpointHeaderConfig: {header: other}}}",
      ],
      "5:10: plugins[1].type: the session header other differs from x-session-token of another plugin, expected one",
    ],
    [
      "binding times",
      [
        "{type: session-affinity-scorer, parameters: {strategy: session_id}}",
        "{type: session-affinity-filter, parameters: {strategy: session_id, sessionIdConfig: {evictionTtlSeconds: 9}}}",
      ],
      "5:10: plugins[1].type: the binding time in ms 9000 differs from 300000 of another plugin, expected one",
    ],
    [
      "lruSize",
      ["{type: no-hit-lru-scorer}", "{type: no-hit-lru-scorer, name: two, parameters: {lruSize: 9}}"],
      "5:10: plugins[1].type: lruSize 9 differs from 1024 of another plugin, expected one",
    ],
    [
      "staleness",
      [
        "{type: utilization-detector, parameters: {metricsStalenessThreshold: 1s}}",
        "{type: utilization-detector, name: two, parameters: {metricsStalenessThreshold: 2s}}",
      ],
      "5:10: plugins[1].type: metricsStalenessThreshold of 2000 ms differs from 1000 ms of another detector",
    ],
  ])("%s", (_, plugins, expected) => {
    const text = [
      "apiVersion: llm-d.ai/v1alpha1",
      "kind: EndpointPickerConfig",
      "plugins:",
      ...plugins.map((plugin) => `- ${plugin}`),
    ];
    expect(errorsOf(text.join("\n"))).toEqual([expected]);
  });
});
