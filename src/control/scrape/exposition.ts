// One pass over the Prometheus text of a model server, for the families of one engine.
//
// A page has some 600 lines, of which about ten are wanted. The pass steps from line to line with indexOf (memchr) and
// looks at one character of each: the first after the prefix that all wanted names share. Only lines that pass that
// are compared with whole names, and only wanted lines have their labels and value read.

import type { Engine, Family } from "./engines.ts";

/** Undefined is a value that the page does not have, or that is not usable; then `errors` says why. */
export type Reading = {
  waiting: number | undefined;
  running: number | undefined;
  /** 0…1. */
  kvUsage: number | undefined;
  /** Tokens. */
  blockSize: number | undefined;
  blocks: number | undefined;
  maxAdapters: number | undefined;
  activeAdapters: readonly string[] | undefined;
  waitingAdapters: readonly string[] | undefined;
  readonly errors: string[];
};

type Gauge = "waiting" | "running" | "kvUsage";
/** Reads a page given as a latin1 string (one character per byte); text in it is UTF-8. */
export type PageReader = (page: string) => Reading;

const TAB = 9;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const EQUALS = 61;
const BACKSLASH = 92;
const OPEN = 123;
const CLOSE = 125;

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Makes the reader of an engine's pages. */
export function pageReader(engine: Engine): PageReader {
  const { families } = engine;
  const prefixLength = commonPrefixLength(families.map((family) => family.name));
  const wanted = new Uint8Array(256);
  for (const { name } of families) wanted[name.charCodeAt(prefixLength)] = 1;
  return (page) => {
    const state = new PageState(page);
    for (let at = 0; at < page.length; ) {
      while (isBlank(page.charCodeAt(at))) ++at;
      if (wanted[page.charCodeAt(at + prefixLength)] === 1) readLine(state, families, at);
      const newline = page.indexOf("\n", at);
      if (newline < 0) break;
      at = newline + 1;
    }
    return state.finish();
  };
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

function commonPrefixLength(names: readonly string[]): number {
  const first = names[0] ?? "";
  let length = 0;
  while (length < first.length && names.every((name) => name[length] === first[length])) ++length;
  return length;
}

/** What a page has said so far. */
class PageState {
  readonly page: string;
  readonly reading: Reading = {
    waiting: undefined,
    running: undefined,
    kvUsage: undefined,
    blockSize: undefined,
    blocks: undefined,
    maxAdapters: undefined,
    activeAdapters: undefined,
    waitingAdapters: undefined,
    errors: [],
  };
  /** A gauge with one series that cannot be used is not used at all: a part of a sum would be too small. */
  readonly spoiled = new Set<Gauge>();
  adaptersTime = Number.NEGATIVE_INFINITY;

  constructor(page: string) {
    this.page = page;
  }

  finish(): Reading {
    for (const gauge of this.spoiled) this.reading[gauge] = undefined;
    return this.reading;
  }
}

function readLine(state: PageState, families: readonly Family[], at: number): void {
  const { page } = state;
  for (const family of families) {
    if (!page.startsWith(family.name, at)) continue;
    const nameEnd = at + family.name.length;
    const next = page.charCodeAt(nameEnd);
    if (next !== OPEN && !isBlank(next)) continue;
    const newline = page.indexOf("\n", nameEnd);
    readSample(state, family, nameEnd, newline < 0 ? page.length : newline);
    return;
  }
}

/** Reads labels and value of a wanted line, from the end of its name to the end of the line. */
function readSample(state: PageState, family: Family, nameEnd: number, lineEnd: number): void {
  const { page } = state;
  let at = skipBlanks(page, nameEnd);
  const labels = new Map<string, string>();
  if (page.charCodeAt(at) === OPEN) at = readLabels(page, at + 1, lineEnd, labelsOf(family), labels);
  const rest = at < 0 ? page.slice(nameEnd, lineEnd) : page.slice(at, lineEnd);
  const [value = "", time, ...more] = rest.trim().split(/[ \t]+/);
  const wellFormed = at >= 0 && more.length === 0 && (time === undefined || /^-?\d+$/.test(time));
  take(state, family, labels, wellFormed && NUMBER.test(value) ? Number(value) : Number.NaN, rest.trim());
}

function labelsOf(family: Family): readonly string[] {
  if (family.role === "cache") return [family.blockSize, family.blocks];
  if (family.role === "adapters") return [family.active, family.waiting, family.max];
  return [];
}

/**
 * Reads labels from the character after `{` and keeps those of `names` in `kept`.
 * Returns where the value starts, after `}`; -1 when the labels are malformed.
 */
function readLabels(
  page: string,
  from: number,
  end: number,
  names: readonly string[],
  kept: Map<string, string>,
): number {
  let at = skipBlanks(page, from);
  while (page.charCodeAt(at) !== CLOSE) {
    const nameAt = at;
    while (isLabelCharacter(page.charCodeAt(at))) ++at;
    const nameEnd = at;
    at = skipBlanks(page, at);
    if (nameEnd === nameAt || page.charCodeAt(at) !== EQUALS) return -1;
    at = skipBlanks(page, at + 1);
    if (page.charCodeAt(at) !== QUOTE) return -1;
    const close = closingQuote(page, at + 1, end);
    if (close < 0) return -1;
    for (const name of names)
      if (name.length === nameEnd - nameAt && page.startsWith(name, nameAt))
        kept.set(name, decode(page.slice(at + 1, close)));
    at = skipBlanks(page, close + 1);
    if (page.charCodeAt(at) === COMMA) at = skipBlanks(page, at + 1);
    else if (page.charCodeAt(at) !== CLOSE) return -1;
  }
  return at + 1;
}

function skipBlanks(page: string, from: number): number {
  let at = from;
  while (isBlank(page.charCodeAt(at))) ++at;
  return at;
}

function isLabelCharacter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code === 95;
}

/** The quote that ends a label's value: the first with an even number of backslashes before it. */
function closingQuote(page: string, from: number, end: number): number {
  for (let at = page.indexOf('"', from); at >= 0 && at < end; at = page.indexOf('"', at + 1)) {
    let slashes = 0;
    while (at - slashes > from && page.charCodeAt(at - slashes - 1) === BACKSLASH) ++slashes;
    if (slashes % 2 === 0) return at;
  }
  return -1;
}

function decode(raw: string): string {
  const plain = raw.includes("\\") ? raw.replace(/\\(["\\n])/g, (_, code) => (code === "n" ? "\n" : code)) : raw;
  return /[\x80-\xff]/.test(plain) ? Buffer.from(plain, "latin1").toString("utf8") : plain;
}

function take(
  state: PageState,
  family: Family,
  labels: ReadonlyMap<string, string>,
  value: number,
  found: string,
): void {
  if (family.role !== "cache" && family.role !== "adapters") takeGauge(state, family.name, family.role, value, found);
  else if (!Number.isFinite(value)) misread(state.reading, family.name, "labels and a number", found);
  else if (family.role === "cache") takeCache(state, family, labels);
  else takeAdapters(state, family, labels, value);
}

function misread(reading: Reading, what: string, expected: string, found: string): void {
  reading.errors.push(`${what}: expected ${expected}, found ${found.slice(0, 60)}`);
}

function takeGauge(state: PageState, name: string, gauge: Gauge, value: number, found: string): void {
  const { reading } = state;
  const most = gauge === "kvUsage" ? 1 : Number.MAX_VALUE;
  if (!(value >= 0 && value <= most)) {
    state.spoiled.add(gauge);
    misread(reading, name, gauge === "kvUsage" ? "a share from 0 to 1" : "a number of requests", found);
    return;
  }
  const before = reading[gauge] ?? 0;
  reading[gauge] = gauge === "kvUsage" ? Math.max(before, value) : before + value;
}

function takeCache(
  { reading }: PageState,
  family: Extract<Family, { role: "cache" }>,
  labels: ReadonlyMap<string, string>,
): void {
  reading.blockSize ??= wholeNumber(reading, family.name, family.blockSize, labels);
  reading.blocks ??= wholeNumber(reading, family.name, family.blocks, labels);
}

function takeAdapters(
  state: PageState,
  family: Extract<Family, { role: "adapters" }>,
  labels: ReadonlyMap<string, string>,
  time: number,
): void {
  const { reading } = state;
  if (time <= state.adaptersTime) return;
  state.adaptersTime = time;
  reading.activeAdapters = listIn(labels.get(family.active));
  reading.waitingAdapters = listIn(labels.get(family.waiting));
  reading.maxAdapters = wholeNumber(reading, family.name, family.max, labels);
}

function listIn(text: string | undefined): readonly string[] {
  const items = (text ?? "").split(",").map((item) => item.trim());
  return items.filter((item) => item !== "");
}

/** A label that is a whole number. Absent, empty and None (which vLLM writes for not known yet) are no error. */
function wholeNumber(
  reading: Reading,
  family: string,
  label: string,
  labels: ReadonlyMap<string, string>,
): number | undefined {
  const text = labels.get(label) ?? "";
  if (text === "" || text === "None") return undefined;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= 0xffff_ffff) return value;
  misread(reading, `${family}{${label}}`, "a whole number", text);
  return undefined;
}
