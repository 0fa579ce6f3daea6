// The plugin configuration: a small flat JSON object. One VM may serve several plugins, and an old
// one drains while its successor serves, so each root context has a row of its own.

import { INDEX_MIB_DEFAULT, INDEX_MIB_MAX, INSPECTION_BYTES, POOL_NAME_BYTES_MAX, ROOTS_MAX } from "../src/wire/limits";
import { equals, utf8 } from "./abi/text";
import * as client from "./request/client_headers";

export const ROLE_FILTER: u8 = 1;
/** The control listener's: takes what the agent pushes. */
export const ROLE_INGEST: u8 = 2;

/** The configuration of one root context. */
@unmanaged
export class Config {
  context: u32;
  role: u8;
  /** Until a snapshot has come: pass requests on unsteered instead of answering 503. */
  failOpen: u8;
  /** Tell clients the address that served them. */
  servedHeader: u8;
  ticking: u8;
  inspectionBytes: u32;
  prefixIndexMiB: u32;
  /** Answer requests that ask for it with an explanation of their pick. */
  explain: u8;
  /** Look for the endpoints that may be picked in the metadata of filters before this one. */
  subsetHint: u8;
  /** Name model and pool in headers and choose the route anew, also when there is one pool only. */
  modelHeader: u8;
  /** Of the text behind the row: the header in which requests name a pool; 0 = none. */
  poolHeaderLength: u8;
  /** Of the text behind the row; 0 = the only pool. */
  defaultPoolLength: u32;
  /** 0 = take one from the host. */
  seed: u64;
  /** Bits of the client headers that are believed. */
  trusted: u32;
  /** Tell the access log what came of the pick. */
  accessLogFields: u8;
  /** Ask servers for the usage of streams, and keep it from callers who did not. */
  injectUsage: u8;
}

const DEFAULT_POOL_AT: usize = 40;
const POOL_HEADER_AT: usize = DEFAULT_POOL_AT + POOL_NAME_BYTES_MAX;
const POOL_HEADER_BYTES_MAX: u32 = 64;
const ROW_BYTES: usize = POOL_HEADER_AT + POOL_HEADER_BYTES_MAX;
if (offsetof<Config>() > DEFAULT_POOL_AT) ERROR("Config must fit before the pool's name");

const rows: usize = heap.alloc(ROW_BYTES * ROOTS_MAX);

const roleKey = utf8("role");
const failureModeKey = utf8("failureMode");
const defaultPoolKey = utf8("defaultPool");
const servedHeaderKey = utf8("servedHeader");
const inspectionBytesKey = utf8("inspectionBytes");
const seedKey = utf8("seed");
const explainKey = utf8("explain");
const accessLogFieldsKey = utf8("accessLogFields");
const injectUsageKey = utf8("injectUsage");
const prefixIndexMiBKey = utf8("prefixIndexMiB");
const trustedHeadersKey = utf8("trustedHeaders");
const trustSubsetHeaderKey = utf8("trustSubsetHeader");
const subsetHintKey = utf8("subsetHint");
const poolHeaderKey = utf8("poolHeader");
const modelHeaderKey = utf8("modelHeader");
const allText = utf8("all");
const noneText = utf8("none");
const metadataText = utf8("metadata");
const offText = utf8("off");
const filterText = utf8("filter");
const ingestText = utf8("ingest");
const failOpenText = utf8("FailOpen");
const failCloseText = utf8("FailClose");
const trueText = utf8("true");
const falseText = utf8("false");

export function at(row: u32): Config {
  return changetype<Config>(rows + <usize>row * ROW_BYTES);
}

export function defaultPool(config: Config): usize {
  return changetype<usize>(config) + DEFAULT_POOL_AT;
}

/** Name of the header in which requests name a pool, poolHeaderLength bytes. */
export function poolHeader(config: Config): usize {
  return changetype<usize>(config) + POOL_HEADER_AT;
}

export const NO_ROW: u32 = 0xffffffff;

/** Row of a root context, or NO_ROW. */
export function find(context: u32): u32 {
  for (let row: u32 = 0; row < ROOTS_MAX; ++row) {
    if (at(row).context == context) return row;
  }
  return NO_ROW;
}

/** Row for a new root context (ids begin at 1, so 0 marks a free row), or NO_ROW when all are taken. */
export function open(context: u32): u32 {
  const known = find(context);
  const row = known == NO_ROW ? find(0) : known;
  if (row == NO_ROW) return NO_ROW;
  const config = at(row);
  memory.fill(changetype<usize>(config), 0, ROW_BYTES);
  config.context = context;
  config.role = ROLE_FILTER;
  config.servedHeader = 1;
  config.inspectionBytes = INSPECTION_BYTES;
  config.prefixIndexMiB = INDEX_MIB_DEFAULT;
  config.trusted = client.ALL;
  return row;
}

export function close(row: u32): void {
  at(row).context = 0;
}

// ── Reading ──

const blank: u32 = 0x20;
let cursor: usize = 0;
let stop: usize = 0;
let tokenAt: usize = 0;
let tokenLength: u32 = 0;
let tokenIsText: bool = false;

/** What is wrong with the configuration that `parse` refused. */
export let problem: ArrayBuffer = utf8("");
const notObject = utf8('expected a JSON object, such as {"role":"filter"}');
const notMember = utf8('expected "name": value, with a plain text, number or boolean as the value');
const unknownName = utf8(
  "unknown name; expected role, failureMode, defaultPool, servedHeader, inspectionBytes, prefixIndexMiB, explain, " +
    "accessLogFields, injectUsage, seed, trustedHeaders, trustSubsetHeader, subsetHint, poolHeader, modelHeader",
);
const badRole = utf8('role: expected "filter" or "ingest"');
const badFailureMode = utf8('failureMode: expected "FailOpen" or "FailClose"');
const badServedHeader = utf8("servedHeader: expected true or false");
const badDefaultPool = utf8('defaultPool: expected "namespace/name"');
const badInspectionBytes = utf8("inspectionBytes: expected a whole number from 1 to 524288");
const badExplain = utf8("explain: expected true or false");
const badAccessLogFields = utf8("accessLogFields: expected true or false");
const badInjectUsage = utf8("injectUsage: expected true or false");
const badPrefixIndexMiB = utf8("prefixIndexMiB: expected a whole number from 1 to 1024");
const badTrustedHeaders = utf8(
  'trustedHeaders: expected "all", "none" or names of client headers, such as "x-llm-d-inference-objective, prefer"',
);
const badTrustSubsetHeader = utf8("trustSubsetHeader: expected true or false");
const badSubsetHint = utf8('subsetHint: expected "metadata" or "off"');
const badPoolHeader = utf8("poolHeader: expected the name of a header in lower case, at most 64 characters");
const badModelHeader = utf8("modelHeader: expected true or false");
const badSeed = utf8("seed: expected a whole number below 2^53");

function refuse(why: ArrayBuffer): bool {
  problem = why;
  return false;
}

function skipBlanks(): void {
  while (cursor < stop && <u32>load<u8>(cursor) <= blank) ++cursor;
}

/** Takes the byte `c` if it comes next. */
function takeByte(c: u8): bool {
  skipBlanks();
  if (cursor >= stop || load<u8>(cursor) != c) return false;
  ++cursor;
  return true;
}

/** Takes a text without escapes, or a bare word or number. */
function takeToken(): bool {
  tokenIsText = takeByte(0x22);
  skipBlanks();
  tokenAt = cursor;
  while (cursor < stop && isTokenByte(load<u8>(cursor))) ++cursor;
  tokenLength = <u32>(cursor - tokenAt);
  return tokenIsText ? takeByte(0x22) : tokenLength > 0;
}

function isTokenByte(c: u8): bool {
  if (c == 0x22 || c == 0x5c || c < 0x20) return false;
  return tokenIsText || (c != 0x2c && c != 0x7d && c != 0x20);
}

function isToken(text: ArrayBuffer): bool {
  return equals(tokenAt, tokenLength, text);
}

/** The token as a whole number of at most 16 digits; u64.MAX_VALUE when it is none. */
function tokenNumber(): u64 {
  if (tokenIsText || tokenLength == 0 || tokenLength > 16) return u64.MAX_VALUE;
  let value: u64 = 0;
  for (let i: u32 = 0; i < tokenLength; ++i) {
    const c = load<u8>(tokenAt + i);
    if (c < 0x30 || c > 0x39) return u64.MAX_VALUE;
    value = value * 10 + (c - 0x30);
  }
  return value;
}

/** Reads the `length` bytes at `p` into a row. False: refused, `problem` says why. */
export function parse(row: u32, p: usize, length: u32): bool {
  cursor = p;
  stop = p + length;
  skipBlanks();
  if (cursor == stop) return true; // no configuration: the defaults
  if (!takeByte(0x7b)) return refuse(notObject);
  if (!takeByte(0x7d)) {
    do {
      if (!parseMember(at(row))) return false;
    } while (takeByte(0x2c));
    if (!takeByte(0x7d)) return refuse(notMember);
  }
  skipBlanks();
  return cursor == stop || refuse(notObject);
}

function parseMember(config: Config): bool {
  if (!takeToken() || !tokenIsText) return refuse(notMember);
  const name = tokenAt;
  const nameLength = tokenLength;
  if (!takeByte(0x3a) || !takeToken()) return refuse(notMember);
  if (equals(name, nameLength, roleKey)) return setRole(config);
  if (equals(name, nameLength, failureModeKey)) return setFailureMode(config);
  if (equals(name, nameLength, defaultPoolKey)) return setDefaultPool(config);
  if (equals(name, nameLength, servedHeaderKey)) return setServedHeader(config);
  if (equals(name, nameLength, inspectionBytesKey)) return setInspectionBytes(config);
  if (equals(name, nameLength, prefixIndexMiBKey)) return setPrefixIndexMiB(config);
  if (equals(name, nameLength, explainKey)) return setExplain(config);
  if (equals(name, nameLength, accessLogFieldsKey)) return setAccessLogFields(config);
  if (equals(name, nameLength, injectUsageKey)) return setInjectUsage(config);
  if (equals(name, nameLength, seedKey)) return setSeed(config);
  if (equals(name, nameLength, trustedHeadersKey)) return setTrustedHeaders(config);
  if (equals(name, nameLength, trustSubsetHeaderKey)) return setTrustSubsetHeader(config);
  if (equals(name, nameLength, subsetHintKey)) return setSubsetHint(config);
  if (equals(name, nameLength, poolHeaderKey)) return setPoolHeader(config);
  if (equals(name, nameLength, modelHeaderKey)) return setModelHeader(config);
  return refuse(unknownName);
}

function setRole(config: Config): bool {
  config.role = isToken(ingestText) ? ROLE_INGEST : ROLE_FILTER;
  return isToken(ingestText) || isToken(filterText) || refuse(badRole);
}

function setFailureMode(config: Config): bool {
  config.failOpen = isToken(failOpenText) ? 1 : 0;
  return isToken(failOpenText) || isToken(failCloseText) || refuse(badFailureMode);
}

function setServedHeader(config: Config): bool {
  config.servedHeader = isToken(trueText) ? 1 : 0;
  return !tokenIsText && (isToken(trueText) || isToken(falseText)) ? true : refuse(badServedHeader);
}

function setDefaultPool(config: Config): bool {
  if (!tokenIsText || tokenLength == 0 || tokenLength > POOL_NAME_BYTES_MAX) return refuse(badDefaultPool);
  memory.copy(defaultPool(config), tokenAt, tokenLength);
  config.defaultPoolLength = tokenLength;
  return true;
}

function setInspectionBytes(config: Config): bool {
  const value = tokenNumber();
  if (value == 0 || value > INSPECTION_BYTES) return refuse(badInspectionBytes);
  config.inspectionBytes = <u32>value;
  return true;
}

function setPrefixIndexMiB(config: Config): bool {
  const value = tokenNumber();
  if (value == 0 || value > INDEX_MIB_MAX) return refuse(badPrefixIndexMiB);
  config.prefixIndexMiB = <u32>value;
  return true;
}

function setExplain(config: Config): bool {
  config.explain = isToken(trueText) ? 1 : 0;
  return !tokenIsText && (isToken(trueText) || isToken(falseText)) ? true : refuse(badExplain);
}

function setAccessLogFields(config: Config): bool {
  config.accessLogFields = isToken(trueText) ? 1 : 0;
  return !tokenIsText && (isToken(trueText) || isToken(falseText)) ? true : refuse(badAccessLogFields);
}

function setInjectUsage(config: Config): bool {
  config.injectUsage = isToken(trueText) ? 1 : 0;
  return !tokenIsText && (isToken(trueText) || isToken(falseText)) ? true : refuse(badInjectUsage);
}

function setSeed(config: Config): bool {
  const value = tokenNumber();
  if (value >= (<u64>1) << 53) return refuse(badSeed);
  config.seed = value;
  return true;
}

/** The subset header has a switch of its own: no client is to have it. */
function setTrustedHeaders(config: Config): bool {
  const other = config.trusted & client.SUBSET_BIT;
  if (!tokenIsText) return refuse(badTrustedHeaders);
  config.trusted = other | (isToken(allText) ? client.ALL : 0);
  if (isToken(allText) || isToken(noneText)) return true;
  for (let from: u32 = 0; from <= tokenLength; ) {
    let end = from;
    while (end < tokenLength && load<u8>(tokenAt + end) != 0x2c) ++end;
    let last = end;
    while (from < last && load<u8>(tokenAt + from) == 0x20) ++from;
    while (from < last && load<u8>(tokenAt + last - 1) == 0x20) --last;
    const bit = client.bitOf(tokenAt + from, last - from) & client.ALL;
    if (bit == 0) return refuse(badTrustedHeaders);
    config.trusted |= bit;
    from = end + 1;
  }
  return true;
}

function setTrustSubsetHeader(config: Config): bool {
  if (isToken(trueText)) config.trusted |= client.SUBSET_BIT;
  else config.trusted &= ~client.SUBSET_BIT;
  return !tokenIsText && (isToken(trueText) || isToken(falseText)) ? true : refuse(badTrustSubsetHeader);
}

function setSubsetHint(config: Config): bool {
  config.subsetHint = isToken(metadataText) ? 1 : 0;
  return isToken(metadataText) || isToken(offText) || refuse(badSubsetHint);
}

function setPoolHeader(config: Config): bool {
  if (!tokenIsText || tokenLength == 0 || tokenLength > POOL_HEADER_BYTES_MAX) return refuse(badPoolHeader);
  for (let i: u32 = 0; i < tokenLength; ++i) if (!isNameByte(load<u8>(tokenAt + i))) return refuse(badPoolHeader);
  memory.copy(poolHeader(config), tokenAt, tokenLength);
  config.poolHeaderLength = <u8>tokenLength;
  return true;
}

/** Of a header's name, as far as anybody names one. */
function isNameByte(c: u8): bool {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c == 0x2d || c == 0x5f;
}

function setModelHeader(config: Config): bool {
  config.modelHeader = isToken(trueText) ? 1 : 0;
  return !tokenIsText && (isToken(trueText) || isToken(falseText)) ? true : refuse(badModelHeader);
}
