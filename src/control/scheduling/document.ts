// One YAML document, read field by field with the place of each. Nothing is thrown: what is wrong becomes a complaint,
// and reading goes on, so that all errors of a document are known at once.

import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
  type Document as Yaml,
} from "yaml";
import { mergedPairs } from "./merge-keys.ts";
import { suggest } from "./suggest.ts";

export type Complaint = { readonly line: number; readonly column: number; readonly message: string };

export type NumberRange = {
  readonly whole?: boolean;
  readonly min?: number;
  readonly max?: number;
  /** Larger than this. */
  readonly above?: number;
};

const SECOND_DOCUMENT = "expected one document in a file, found another one here";

export class Document {
  readonly #lines = new LineCounter();
  readonly #yaml: Yaml;
  readonly errors: Complaint[] = [];
  readonly warnings: Complaint[] = [];

  constructor(text: string) {
    this.#yaml = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const { code, pos, message } of this.#yaml.errors)
      this.error(pos[0], code === "MULTIPLE_DOCS" ? SECOND_DOCUMENT : `not YAML: ${message.split("\n", 1)[0]}`);
    for (const { pos, message } of this.#yaml.warnings) this.warn(pos[0], `YAML: ${message.split("\n", 1)[0]}`);
    this.#expectAnchors();
  }

  root(): Value {
    return new Value(this, this.#yaml.contents as Node | null, "", this.#yaml.contents?.range?.[0] ?? 0);
  }

  error(offset: number, message: string): void {
    this.errors.push({ ...this.#at(offset), message });
  }

  warn(offset: number, message: string): void {
    this.warnings.push({ ...this.#at(offset), message });
  }

  /** The node itself, or what its alias stands for; aliases of aliases are no YAML. */
  resolve(node: Node | null): Node | null {
    return (isAlias(node) ? node.resolve(this.#yaml) : node) ?? null;
  }

  /** An anchor stands before its aliases. */
  #expectAnchors(): void {
    const anchors = new Set<string>();
    visit(this.#yaml, {
      Node: (_, node) => {
        if (!isAlias(node) && node.anchor !== undefined) anchors.add(node.anchor);
      },
      Alias: (_, { source, range }) => {
        if (!anchors.has(source)) this.error(range?.[0] ?? 0, `no anchor named ${source}`);
      },
    });
  }

  #at(offset: number): { readonly line: number; readonly column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

/** A value of the document. The readers give undefined, after a complaint, for a value of another kind. */
export class Value {
  readonly #document: Document;
  readonly #node: Node | null;
  readonly #offset: number;
  /** As in `plugins[0].parameters.threshold`. */
  readonly path: string;

  constructor(document: Document, node: Node | null, path: string, offset: number) {
    this.#document = document;
    this.#node = document.resolve(node);
    this.path = path;
    this.#offset = offset;
  }

  error(message: string): void {
    this.#document.error(this.#offset, this.#sentence(message));
  }

  warn(message: string): void {
    this.#document.warn(this.#offset, this.#sentence(message));
  }

  #sentence(message: string): string {
    return `${this.path || "document"}: ${message}`;
  }

  expected(what: string): undefined {
    this.error(`expected ${what}, found ${this.#shown()}`);
    return undefined;
  }

  #shown(): string {
    const node = this.#node;
    if (isMap(node)) return "a mapping";
    if (isSeq(node)) return "a list";
    const value: unknown = isScalar(node) ? node.value : null;
    if (value === null) return "nothing";
    const json = typeof value === "number" ? String(value) : JSON.stringify(value);
    return json.length > 60 ? `${json.slice(0, 57)}...` : json;
  }

  /** A mapping with these members and no others. */
  fields(known: readonly string[]): Fields | undefined {
    const node = this.#node;
    if (!isMap(node)) return this.expected("a mapping");
    const values = new Map<string, Value>();
    for (const { key, value } of this.#pairs(node)) {
      const name = isScalar(key) ? String(key.value) : "";
      const keyOffset = (key as Node).range?.[0] ?? this.#offset;
      const path = this.path === "" ? name : `${this.path}.${name}`;
      const at = new Value(this.#document, (value as Node | null) ?? null, path, offsetOf(value, keyOffset));
      if (known.includes(name)) values.set(name, at);
      else this.#document.error(keyOffset, `${path}: ${unknownField(name, known)}`);
    }
    return new Fields(this, values);
  }

  /** A mapping of texts with any members. */
  texts(): ReadonlyMap<string, string> | undefined {
    const node = this.#node;
    if (!isMap(node)) return this.expected("a mapping of texts");
    const found = new Map<string, string>();
    for (const { key, value } of this.#pairs(node)) {
      const name = isScalar(key) ? String(key.value) : "";
      const offset = offsetOf(value, (key as Node).range?.[0] ?? this.#offset);
      const text = new Value(this.#document, (value as Node | null) ?? null, `${this.path}.${name}`, offset).text();
      if (text !== undefined) found.set(name, text);
    }
    return found;
  }

  /** The members of a mapping, those of merge keys among them. */
  #pairs(node: YAMLMap): readonly Pair[] {
    return mergedPairs(node, {
      resolve: (alias) => this.#document.resolve(alias),
      complain: (at) => {
        const message = this.#sentence("expected a mapping to merge, or a list of them");
        this.#document.error(offsetOf(at, this.#offset), message);
      },
    });
  }

  list(): readonly Value[] | undefined {
    const node = this.#node;
    if (!isSeq(node)) return this.expected("a list");
    return node.items.map((item, i) => {
      const offset = offsetOf(item, this.#offset);
      return new Value(this.#document, (item as Node | null) ?? null, `${this.path}[${i}]`, offset);
    });
  }

  text(expected = "text (put numbers, true and false in quotes)"): string | undefined {
    const value = this.#scalar();
    return typeof value === "string" ? value : this.expected(expected);
  }

  number(range: NumberRange = {}): number | undefined {
    const value = this.#scalar();
    return isFit(value, range) ? value : this.expected(phrase(range));
  }

  /** As the reference has it, a number out of range stands for another. */
  numberOr(range: NumberRange, otherwise: number): number {
    const { whole = false } = range;
    const value = this.#scalar();
    if (isFit(value, range) || !isFit(value, { whole })) return this.number(range) ?? otherwise;
    this.warn(`expected ${phrase(range)}, found ${this.#shown()}: ${otherwise} counts, as in the reference`);
    return otherwise;
  }

  boolean(): boolean | undefined {
    const value = this.#scalar();
    return typeof value === "boolean" ? value : this.expected("true or false");
  }

  choice<const Word extends string>(words: readonly Word[]): Word | undefined {
    const value = this.#scalar();
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const near = typeof value === "string" && words.length > 1 ? suggest(value, words) : undefined;
    return this.expected(`${oneOf(words)}${near === undefined ? "" : ` (did you mean ${near}?)`}`);
  }

  /** Milliseconds of a duration as Go writes it, such as 200ms or 1m30s. */
  duration(): number | undefined {
    const expected = "a duration such as 200ms, 1.5s or 1m30s";
    const text = this.#scalar();
    if (typeof text !== "string") return this.expected(expected);
    const ms = durationMs(text);
    return ms ?? this.expected(expected);
  }

  /** The whole number that a Kubernetes quantity such as 100, 500M or 1Gi stands for, rounded up. */
  quantity(): number | undefined {
    const value = this.#scalar();
    const isWritten = typeof value === "string" || typeof value === "number";
    return (isWritten ? quantityOf(String(value)) : undefined) ?? this.expected("a quantity such as 100, 500M or 1Gi");
  }

  #scalar(): unknown {
    return isScalar(this.#node) ? this.#node.value : undefined;
  }

  /** A member that is not there, to complain about in the place of its mapping. */
  missing(name: string): Value {
    return new Value(this.#document, null, `${this.path}.${name}`, this.#offset);
  }

  /** Whether a mapping has no members. Undefined, after a complaint, for a value of another kind. */
  isEmpty(): boolean | undefined {
    return isMap(this.#node) ? this.#node.items.length === 0 : this.expected("a mapping");
  }

  /** Null, or nothing at all: the same as a member that is not there. */
  isAbsent(): boolean {
    return this.#node === null || (isScalar(this.#node) && this.#node.value === null);
  }
}

/** The members of a mapping. */
export class Fields {
  readonly at: Value;
  readonly #values: ReadonlyMap<string, Value>;

  constructor(at: Value, values: ReadonlyMap<string, Value>) {
    this.at = at;
    this.#values = values;
  }

  get(name: string): Value | undefined {
    const value = this.#values.get(name);
    return value === undefined || value.isAbsent() ? undefined : value;
  }

  /** Complains when it is not there. */
  require(name: string, expected: string): Value | undefined {
    const value = this.get(name);
    if (value === undefined) this.at.error(`${name} is missing, expected ${expected}`);
    return value;
  }

  /** A text; "" is the same as none. */
  text(name: string): string | undefined {
    return this.get(name)?.text() || undefined;
  }
}

function offsetOf(node: unknown, otherwise: number): number {
  return (node as Node | null | undefined)?.range?.[0] ?? otherwise;
}

function unknownField(name: string, known: readonly string[]): string {
  const near = suggest(name, known);
  if (near !== undefined) return `unknown field, did you mean ${near}?`;
  return known.length === 0 ? "unknown field, expected none here" : `unknown field, expected ${oneOf(known)}`;
}

export function oneOf(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : `one of ${words.join(", ")}`;
}

function isFit(value: unknown, range: NumberRange): value is number {
  const { whole = false, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, above } = range;
  if (typeof value !== "number" || !Number.isFinite(value) || (whole && !Number.isInteger(value))) return false;
  return value >= min && value <= max && (above === undefined || value > above);
}

function phrase({ whole = false, min, max, above }: NumberRange): string {
  const kind = whole ? "a whole number" : "a number";
  if (above !== undefined) return `${kind} above ${above}${max === undefined ? "" : ` and up to ${max}`}`;
  if (min !== undefined && max !== undefined) return `${kind} from ${min} to ${max}`;
  if (min !== undefined) return `${kind} of at least ${min}`;
  return max === undefined ? kind : `${kind} of at most ${max}`;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

function durationMs(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g))
    ms += Number(amount) * UNIT_MS[unit!]!;
  return text.startsWith("-") ? -ms : ms;
}

const DECIMAL_POWERS: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const BINARY_PREFIXES = "KMGTPE";

function quantityOf(text: string): number | undefined {
  const [, amount, exponent, decimal, binary] =
    /^\+?(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+)|([numkMGTPE])|([KMGTPE])i)?$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  if (binary !== undefined) return Math.ceil(Number(amount) * 1024 ** (BINARY_PREFIXES.indexOf(binary) + 1));
  return Math.ceil(Number(`${amount}e${exponent ?? DECIMAL_POWERS[decimal ?? ""] ?? 0}`));
}
