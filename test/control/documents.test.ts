// The text of a file to objects: where one document ends, what is wrong and in which line.

import { describe, expect, test } from "vitest";
import { type DocumentState, readDocuments } from "../../src/control/source/documents.ts";
import { podYaml, poolYaml } from "./objects.ts";

function read(text: string): readonly DocumentState[] {
  return readDocuments(text, new Map()).documents;
}

/** `status line key reason`, what is there. */
function shown(text: string): readonly string[] {
  return read(text).map((state) => {
    if (state.status === "good") return `good ${state.line} ${state.key}`;
    if (state.status === "foreign") return `foreign ${state.line} ${state.apiVersion} ${state.kind}`;
    return `broken ${state.line} ${state.key ?? "?"} ${state.reason}`;
  });
}

describe("documents", () => {
  test("are cut at ---, also inside quotes, and after ...", () => {
    const [a, b, p] = [podYaml("a", "10.0.0.1"), podYaml("b", "10.0.0.2"), poolYaml("p", [8000])];
    const text = `# first\n${a}--- # second\nkind: "Pod\n---\n${b}...\n${p}`;
    const keys = shown(text).map((line) => line.split(" ").slice(0, 3).join(" "));
    expect(keys).toEqual([
      "good 1 Pod/default/a",
      "broken 14 ?",
      "good 15 Pod/default/b",
      "good 28 InferencePool/default/p",
    ]);
  });

  test("that are empty or comments only say nothing", () => {
    expect(read("%YAML 1.2\n---\n# nothing\n---\n\n--- # nor here\n---\nnull\n")).toEqual([]);
  });

  test("may be JSON, a byte order mark and CRLF do not disturb", () => {
    const json = JSON.stringify(
      { apiVersion: "v1", kind: "Pod", metadata: { name: "a", namespace: "n" } },
      undefined,
      "\t",
    );
    expect(shown(json)).toEqual(["good 1 Pod/n/a"]);
    expect(shown(`\uFEFF${podYaml("b", "10.0.0.2").replaceAll("\n", "\r\n")}---\r\n${json}`)).toEqual([
      "good 1 Pod/default/b",
      "good 12 Pod/n/a",
    ]);
  });

  test("a List is its items, each with its own line and error", () => {
    const text = [
      "apiVersion: v1",
      "kind: List",
      "items:",
      "  - apiVersion: v1",
      "    kind: Pod",
      "    metadata: {name: a}",
      "  - apiVersion: v1",
      "    kind: Pod",
      "    metadata: {name: b}",
      "    status:",
      "      podIP: 10.0.0.300",
    ].join("\n");
    expect(shown(text)).toEqual([
      "good 4 Pod/default/a",
      'broken 11 Pod/default/b status.podIP: expected an IPv4 or IPv6 address, found "10.0.0.300"',
    ]);
  });

  test("errors say line, place, what was expected and what was found", () => {
    const name = "a name of lower-case letters, digits, '-' and '.', at most 253 long";
    expect(shown(poolYaml("p", [8000, 70_000]))).toEqual([
      "broken 11 InferencePool/default/p " +
        "spec.targetPorts[1].number: expected a port number from 1 to 65535, found 70000",
    ]);
    expect(shown('\n{"apiVersion": "v1",\n "kind": "Pod",\n "metadata": {"name": "A b"}}')).toEqual([
      `broken 4 ? metadata.name: expected ${name}, found "A b"`,
    ]);
    expect(shown("apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n")).toEqual([
      `broken 4 ? metadata.name: expected ${name}, found nothing`,
    ]);
    expect(shown("- 1\n- 2\n")).toEqual(["broken 1 ? document: expected a mapping, found [1,2]"]);
  });

  test("a syntax error still says which object is meant, where that can be read", () => {
    const broken = podYaml("a", "10.0.0.1").replace("conditions:", "conditions: [");
    expect(shown(broken)[0]).toMatch(/^broken \d+ Pod\/default\/a not YAML: /);
  });

  test("another version of a known kind is an error, an unknown kind is none", () => {
    const old = poolYaml("p", [8000]).replace(
      "inference.networking.k8s.io/v1",
      "inference.networking.x-k8s.io/v1alpha1",
    );
    const read = "inference.networking.k8s.io/v1 or inference.networking.x-k8s.io/v1alpha2";
    expect(shown(old)).toEqual([
      `broken 1 InferencePool/default/p apiVersion: expected ${read} for InferencePool, ` +
        'found "inference.networking.x-k8s.io/v1alpha1"',
    ]);
    expect(shown("apiVersion: v1\nkind: Service\n")).toEqual(["foreign 1 v1 Service"]);
  });

  test("aliases cannot blow up", () => {
    const layers = Array.from(
      { length: 12 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(", ")}]`,
    );
    expect(shown(`apiVersion: v1\nkind: Pod\nl0: &l0 x\n${layers.join("\n")}\n`)[0]).toMatch(
      /^broken 1 \? not YAML that/,
    );
  });

  test("one that contains itself, or nests without end, is an error of its own alone", () => {
    const good = podYaml("a", "10.0.0.1");
    const looped = "apiVersion: v1\nkind: Pod\nmetadata: &a\n  name: *a\n";
    const items = "apiVersion: v1\nkind: List\nitems: &b [{apiVersion: v1, kind: List, items: *b}]\n";
    const named = "apiVersion: v1\nkind: Pod\nmetadata: {name: b, labels: &c {app: [*c]}}\n";
    const shared = "x: &a 10.0.0.2\ny: &b [*a]\nz: [*a, *b]\n";
    const [first, second, third, ...rest] = shown([looped, items, named, good, shared + good].join("---\n"));
    const reason = "expected a value that does not contain itself";
    expect([first, second, third]).toEqual([
      `broken 4 ? *a: ${reason}`,
      `broken 8 ? *b: ${reason}`,
      `broken 12 Pod/default/b *c: ${reason}`,
    ]);
    expect(rest).toEqual(["good 13 Pod/default/a", "good 25 Pod/default/a"]);

    const deep = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":${"[".repeat(50_000)}${"]".repeat(50_000)}}}\n`;
    const [broken, neighbour] = shown(`${deep}---\n${good}`);
    expect(broken).toMatch(/^broken 1 \? document: expected one that nests less deeply: Maximum call stack/);
    expect(neighbour).toBe("good 2 Pod/default/a");
  });

  test("an unchanged document is not parsed again", () => {
    const text = `${podYaml("a", "10.0.0.1")}---\n${podYaml("b", "10.0.0.2")}`;
    const first = readDocuments(text, new Map());
    const second = readDocuments(`# a line more\n---\n${text.replace("10.0.0.2", "10.0.0.3")}`, first.cache);
    const [a, b] = second.documents;
    expect(a?.status === "good" && b?.status === "good").toBe(true);
    const objectOf = (state: DocumentState | undefined) => (state?.status === "good" ? state.object : undefined);
    expect(objectOf(b)).toMatchObject({ ip: "10.0.0.3" });
    expect(first.cache.has(podYaml("a", "10.0.0.1"))).toBe(true);
  });
});
