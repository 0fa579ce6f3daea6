// The text of one file to Kubernetes objects. Documents are cut apart before they are parsed, so that one that cannot
// be parsed leaves its neighbours whole, and so that an edit of one document does not parse the others again.

import { type Alias, type Document, LineCounter, parseDocument, visit } from "yaml";
import { apiVersionsOf, converterOf } from "../kinds/menu.ts";
import { type ConfigObject, objectKey } from "../kinds/object.ts";
import { check, type Misfit, mapping, metadata, misfit, NAMESPACE_DEFAULT, text } from "../kinds/schema.ts";

/** What one document says. `line` counts from 1. A List counts as one document for each of its items. */
export type DocumentState =
  | { readonly status: "good"; readonly key: string; readonly line: number; readonly object: ConfigObject }
  /** `key` is undefined when the document is too broken to say which object it is, a guess when it is not `certain`. */
  | {
      readonly status: "broken";
      readonly key: string | undefined;
      readonly certain: boolean;
      readonly line: number;
      readonly reason: string;
    }
  /** Of a kind that means nothing here. */
  | { readonly status: "foreign"; readonly line: number; readonly apiVersion: string; readonly kind: string };

type Broken = Extract<DocumentState, { status: "broken" }>;
type Path = readonly (string | number)[];
/** Line of the deepest node on a path that exists. */
type Locate = (path: Path) => number;

const typeMeta = mapping({ apiVersion: text, kind: text });

/** Documents already read, by their text. Lines in it count from the document's own first line. */
export type DocumentCache = ReadonlyMap<string, readonly DocumentState[]>;

/** Reads every document of a file. `known` is the cache that the previous reading of the file returned. */
export function readDocuments(
  fileText: string,
  known: DocumentCache,
): { readonly documents: readonly DocumentState[]; readonly cache: DocumentCache } {
  const documents: DocumentState[] = [];
  const cache = new Map<string, readonly DocumentState[]>();
  let line = 1;
  for (const part of cutDocuments(fileText)) {
    const states = cache.get(part) ?? known.get(part) ?? readPart(part);
    cache.set(part, states);
    for (const state of states) documents.push({ ...state, line: state.line + line - 1 });
    line += part.split("\n").length - 1;
  }
  return { documents, cache };
}

/** YAML ends a document at a line "---" or "...", even inside quotes and block text. */
function cutDocuments(fileText: string): string[] {
  const parts = fileText.replace(/^\uFEFF/, "").split(/(?=^---(?:[ \t\r]|$))|(?<=^\.\.\.[ \t]*\r?\n)/m);
  return parts.filter((part) => part !== "");
}

function readPart(part: string): DocumentState[] {
  if (/^(?:[ \t]*(?:#.*)?\r?\n|%.*\r?\n)*$/.test(part)) return [];
  try {
    const parsed = part.startsWith("{") ? parseJson(part) : parseYaml(part);
    if (parsed.status === "broken") return [parsed];
    if (parsed.value === null || parsed.value === undefined) return [];
    return interpret(parsed.value, [], parsed.locate);
  } catch (failure) {
    // What nests thousands deep is more than the stack holds.
    const reason = `document: expected one that nests less deeply: ${(failure as Error).message}`;
    return [{ status: "broken", key: undefined, certain: false, line: 1, reason }];
  }
}

type Parsed = { readonly status: "parsed"; readonly value: unknown; readonly locate: Locate } | Broken;

/** JSON is also YAML, but JSON.parse is many times faster; only an error needs the parser that knows lines. */
function parseJson(part: string): Parsed {
  try {
    const value: unknown = JSON.parse(part);
    return { status: "parsed", value, locate: (path) => locator(part)(path) };
  } catch {
    return parseYaml(part);
  }
}

function locator(part: string): Locate {
  const lines = new LineCounter();
  return locate(parseDocument(part, { lineCounter: lines, prettyErrors: false }), lines);
}

function parseYaml(part: string): Parsed {
  const lines = new LineCounter();
  const document = parseDocument(part, { lineCounter: lines, prettyErrors: false });
  const error = document.errors[0];
  if (error) {
    return brokenSyntax(
      document,
      lineAt(lines, Math.min(error.pos[0], part.trimEnd().length - 1)),
      `not YAML: ${error.message}`,
    );
  }
  const loop = part.includes("*") ? loopIn(document) : undefined;
  if (loop) {
    const line = lineAt(lines, loop.range?.[0] ?? 0);
    return brokenSyntax(document, line, `*${loop.source}: expected a value that does not contain itself`);
  }
  try {
    return { status: "parsed", value: document.toJS(), locate: locate(document, lines) };
  } catch (failure) {
    return brokenSyntax(document, 1, `not YAML that can be read: ${(failure as Error).message}`);
  }
}

/** An alias inside the value that it stands for. An alias cannot come before its anchor, so there is no other loop. */
function loopIn(document: Document): Alias | undefined {
  let loop: Alias | undefined;
  visit(document, {
    Alias: (_, alias, ancestors) => {
      const target = alias.resolve(document);
      if (target === undefined || !ancestors.includes(target)) return undefined;
      loop = alias;
      return visit.BREAK;
    },
  });
  return loop;
}

function lineAt(lines: LineCounter, offset: number): number {
  return Math.max(1, lines.linePos(offset).line);
}

function locate(document: Document, lines: LineCounter): Locate {
  return (path) => {
    for (let depth = path.length; depth > 0; --depth) {
      const node = document.getIn(path.slice(0, depth), true) as { range?: [number, number, number] } | undefined;
      if (node?.range) return lineAt(lines, node.range[0]);
    }
    const range = document.contents?.range;
    return range ? lineAt(lines, range[0]) : 1;
  };
}

/** Which object it means is guessed from the part that was understood. */
function brokenSyntax(document: Document, line: number, reason: string): Broken {
  const at = (path: Path): unknown => document.getIn(path);
  let key: string | undefined;
  try {
    key = keyOf(at(["kind"]), at(["metadata", "name"]), at(["metadata", "namespace"]));
  } catch {
    key = undefined;
  }
  return { status: "broken", key, certain: false, line, reason };
}

function keyOf(kind: unknown, name: unknown, namespace: unknown): string | undefined {
  const named = check(metadata, { name, namespace });
  if (typeof kind !== "string" || !named.ok) return undefined;
  return `${kind}/${named.value.namespace ?? NAMESPACE_DEFAULT}/${named.value.name}`;
}

function brokenValue(value: unknown, line: number, reason: string): Broken {
  const { kind, metadata: meta } = (value ?? {}) as {
    kind?: unknown;
    metadata?: { name?: unknown; namespace?: unknown };
  };
  return { status: "broken", key: keyOf(kind, meta?.name, meta?.namespace), certain: true, line, reason };
}

function interpret(value: unknown, path: Path, lineOf: Locate): DocumentState[] {
  const broken = ({ path: inside, reason }: Misfit): Broken[] => [
    brokenValue(value, lineOf([...path, ...inside]), reason),
  ];
  if (Array.isArray(value)) return broken(misfit([], "a mapping", value));
  const typed = check(typeMeta, value);
  if (!typed.ok) return broken(typed.misfit);
  const { apiVersion, kind } = typed.value;
  const items = (value as { items?: unknown }).items;
  if (apiVersion === "v1" && kind === "List" && Array.isArray(items))
    return items.flatMap((item, i) => interpret(item, [...path, "items", i], lineOf));
  const convert = converterOf(apiVersion, kind);
  if (!convert) {
    const versions = apiVersionsOf(kind);
    if (versions.length > 0) return broken(misfit(["apiVersion"], `${versions.join(" or ")} for ${kind}`, apiVersion));
    return [{ status: "foreign", line: lineOf(path), apiVersion, kind }];
  }
  const converted = convert(value);
  if (!converted.ok) return broken(converted.misfit);
  const object = converted.value;
  return [{ status: "good", key: objectKey(object), line: path.length > 0 ? lineOf(path) : 1, object }];
}
