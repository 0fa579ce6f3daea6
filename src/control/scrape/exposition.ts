// One pass over the Prometheus text of a model server, for the families of one engine.
//
// A page has some 600 lines, of which about ten are wanted. The pass steps from line to line with indexOf (memchr) and
// looks at one character of each: the first after the prefix that all wanted names share. Only lines that pass that
// are compared with whole names, and only wanted lines have their labels and value read.
//
// Several series of a family, such as the ranks or models behind one port, are read as one: queues and running
// requests are summed, of shares and sizes the largest counts. The order of series does not matter: Triton's changes.

import type { Family, Gauge } from "./engines.ts";

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
  /** Undefined too when several models are behind the port. */
  baseModel: string | undefined;
  /** What a document asks for, by its key. */
  attributes: ReadonlyMap<string, number>;
  /** At most ERRORS_MAX. */
  readonly errors: string[];
};

/** What an empty page says. */
export const NOTHING_READ: Readonly<Omit<Reading, "errors">> = {
  waiting: undefined,
  running: undefined,
  kvUsage: undefined,
  blockSize: undefined,
  blocks: undefined,
  maxAdapters: undefined,
  activeAdapters: undefined,
  waitingAdapters: undefined,
  baseModel: undefined,
  attributes: new Map(),
};

/** A page can be wrong in every line; what is wrong first says enough. */
export const ERRORS_MAX = 16;

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

const U32_MAX = 0xffff_ffff;
const add = (a: number, b: number): number => a + b;
const requests = { most: U32_MAX, whole: false, fold: add, expected: "a number of requests" };
const size = { most: U32_MAX, whole: true, fold: Math.max, expected: "a whole number" };
/** What a gauge can be, and how its series become one. */
const GAUGES = {
  waiting: requests,
  running: requests,
  kvUsage: { most: 1, whole: false, fold: Math.max, expected: "a share from 0 to 1" },
  blockSize: size,
  blocks: size,
} as const;

/** The families of one name. */
type Metric = { readonly name: string; readonly families: readonly Family[]; readonly labels: readonly string[] };

/** Makes the reader of an engine's pages. */
export function pageReader(families: readonly Family[]): PageReader {
  const metrics = metricsOf(families);
  const prefixLength = commonPrefixLength(metrics.map((metric) => metric.name));
  const wanted = new Uint8Array(256);
  for (const { name } of metrics) wanted[name.charCodeAt(prefixLength)] = 1;
  return (page) => {
    const state = new PageState(page);
    for (let at = 0; at < page.length; ) {
      while (isBlank(page.charCodeAt(at))) ++at;
      if (wanted[page.charCodeAt(at + prefixLength)] === 1) readLine(state, metrics, at);
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

function metricsOf(families: readonly Family[]): readonly Metric[] {
  const names = [...new Set(families.map((family) => family.name))];
  return names.map((name) => {
    const own = families.filter((family) => family.name === name);
    return { name, families: own, labels: [...new Set(own.flatMap(labelsOf))] };
  });
}

/** Shorter than any of the names, so that each has a character after the prefix. */
function commonPrefixLength(names: readonly string[]): number {
  const first = names[0] ?? "";
  const most = Math.min(...names.map((name) => name.length)) - 1;
  let length = 0;
  while (length < most && names.every((name) => name[length] === first[length])) ++length;
  return length;
}

/** What a page has said so far. */
class PageState {
  readonly page: string;
  readonly reading: Reading = { ...NOTHING_READ, errors: [] };
  /** A gauge with one series that cannot be used is not used at all: a part of a sum would be too small. */
  readonly spoiled = new Set<Gauge>();
  readonly models = new Set<string>();
  readonly attributes = new Map<string, number>();
  readonly spoiledAttributes = new Set<string>();
  adaptersTime = Number.NEGATIVE_INFINITY;

  constructor(page: string) {
    this.page = page;
  }

  finish(): Reading {
    const { reading, models, attributes } = this;
    for (const gauge of this.spoiled) reading[gauge] = undefined;
    if (models.size === 1) [reading.baseModel] = models;
    for (const key of this.spoiledAttributes) attributes.delete(key);
    if (attributes.size > 0) reading.attributes = attributes;
    return reading;
  }
}

function readLine(state: PageState, metrics: readonly Metric[], at: number): void {
  const { page } = state;
  for (const metric of metrics) {
    if (!page.startsWith(metric.name, at)) continue;
    const nameEnd = at + metric.name.length;
    const next = page.charCodeAt(nameEnd);
    if (next !== OPEN && !isBlank(next)) continue;
    readSample(state, metric, nameEnd);
    return;
  }
}

/** Reads labels and value of a wanted line, from the end of its name to the end of the line. */
function readSample(state: PageState, metric: Metric, nameEnd: number): void {
  const { page } = state;
  const newline = page.indexOf("\n", nameEnd);
  const lineEnd = newline < 0 ? page.length : newline;
  let at = skipBlanks(page, nameEnd);
  const labels = new Map<string, string>();
  if (page.charCodeAt(at) === OPEN) at = readLabels(page, at + 1, lineEnd, metric.labels, labels);
  const rest = page.slice(at < 0 ? nameEnd : at, lineEnd).trim();
  const [text = "", time, ...more] = rest.split(/[ \t]+/);
  const wellFormed = at >= 0 && more.length === 0 && (time === undefined || /^-?\d+$/.test(time));
  const value = wellFormed && NUMBER.test(text) ? Number(text) : Number.NaN;
  for (const family of metric.families) if (at < 0 || counts(family, labels)) take(state, family, labels, value, rest);
}

/** Whether a series with these labels is of the family. Of a malformed series nobody knows. */
function counts(family: Family, labels: ReadonlyMap<string, string>): boolean {
  return family.only === undefined || family.only.every(([label, value]) => labels.get(label) === value);
}

function labelsOf(family: Family): readonly string[] {
  return [...(family.only ?? []).map(([label]) => label), ...labelsRead(family)];
}

function labelsRead(family: Family): readonly string[] {
  switch (family.role) {
    case "cache":
      return [family.blockSize, family.blocks];
    case "adapters":
      return [family.active, family.waiting, family.max];
    case "attribute":
      return [];
    default:
      return family.model === undefined ? [] : [family.model];
  }
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
  switch (family.role) {
    case "cache":
      if (isNumber(state, family, value, found)) takeCache(state, family, labels);
      break;
    case "adapters":
      if (isNumber(state, family, value, found)) takeAdapters(state, family, labels, value);
      break;
    case "attribute":
      takeAttribute(state, family, value, found);
      break;
    default:
      takeGauge(state, family.name, family.role, value, found);
      takeModel(state, family.model, labels);
  }
}

function isNumber({ reading }: PageState, { name }: Family, value: number, found: string): boolean {
  if (Number.isFinite(value)) return true;
  misread(reading, name, "labels and a number", found);
  return false;
}

function takeModel({ models }: PageState, label: string | undefined, labels: ReadonlyMap<string, string>): void {
  const model = label === undefined ? undefined : labels.get(label);
  if (model) models.add(model);
}

function takeAttribute(
  state: PageState,
  { name, key }: Extract<Family, { role: "attribute" }>,
  value: number,
  found: string,
): void {
  if (!Number.isFinite(Math.fround(value))) {
    state.spoiledAttributes.add(key);
    misread(state.reading, name, "a number", found);
    return;
  }
  const before = state.attributes.get(key);
  state.attributes.set(key, before === undefined ? value : Math.max(before, value));
}

function misread(reading: Reading, what: string, expected: string, found: string): void {
  if (reading.errors.length < ERRORS_MAX)
    reading.errors.push(`${what}: expected ${expected}, found ${found.length > 60 ? `${found.slice(0, 60)}…` : found}`);
}

function takeGauge(state: PageState, name: string, gauge: Gauge, value: number, found: string): void {
  const { reading } = state;
  const { most, whole, fold, expected } = GAUGES[gauge];
  if (!(value >= 0 && value <= most) || (whole && !Number.isInteger(value))) {
    state.spoiled.add(gauge);
    misread(reading, name, expected, found);
    return;
  }
  const before = reading[gauge];
  reading[gauge] = before === undefined ? value : fold(before, value);
}

function takeCache(
  { reading }: PageState,
  family: Extract<Family, { role: "cache" }>,
  labels: ReadonlyMap<string, string>,
): void {
  for (const gauge of ["blockSize", "blocks"] as const) {
    const value = wholeNumber(reading, family.name, family[gauge], labels);
    if (value !== undefined) reading[gauge] = Math.max(reading[gauge] ?? 0, value);
  }
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
  if (value <= U32_MAX) return value;
  misread(reading, `${family}{${label}}`, "a whole number", text);
  return undefined;
}
