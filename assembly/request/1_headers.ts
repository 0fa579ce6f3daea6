// First station: what the request headers say. One host call reads them all; routing headers that a
// client has no business to send are removed; a request whose body will be read is held.

import { HEADER_EXPLAIN, HEADERS_INTERNAL } from "../../src/wire/names";
import {
  API_CHAT,
  API_COMPLETIONS,
  API_CONVERSATIONS,
  API_EMBEDDINGS,
  API_IMAGES,
  API_MESSAGES,
  API_NONE,
  API_RESPONSES,
  API_SGLANG_GENERATE,
  API_VLLM_GENERATE,
} from "../../src/wire/program";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { endsWith, equals, pointer, startsWithIgnoringCase, utf8, utf8All } from "../abi/text";
import * as client from "./client_headers";

const methodHeader = utf8(":method");
const pathHeader = utf8(":path");
const upgradeHeader = utf8("upgrade");
const contentTypeHeader = utf8("content-type");
const contentEncodingHeader = utf8("content-encoding");
const explainHeader = utf8(HEADER_EXPLAIN);

const post = utf8("POST");
const applicationJson = utf8("application/json");
const jsonSuffix = utf8("+json");
const identity = utf8("identity");
const one = utf8("1");
const trueText = utf8("true");

/** Suffixes of paths and whose they are; one that ends as a longer one does comes after it. */
const suffixes: StaticArray<ArrayBuffer> = [
  utf8("/chat/completions"),
  utf8("/completions"),
  utf8("/messages"),
  utf8("/responses"),
  utf8("/embeddings"),
  utf8("/chat/completions/render"),
  utf8("/completions/render"),
  utf8("/inference/v1/generate"),
  utf8("/conversations"),
  utf8("/images/generations"),
];
const suffixApis: StaticArray<u32> = [
  API_CHAT,
  API_COMPLETIONS,
  API_MESSAGES,
  API_RESPONSES,
  API_EMBEDDINGS,
  API_CHAT,
  API_COMPLETIONS,
  API_VLLM_GENERATE,
  API_CONVERSATIONS,
  API_IMAGES,
];
/** SGLang's path is taken whole: as a suffix it would be in the way of other servers' paths. */
const generate = utf8("/generate");

const internal = utf8All(HEADERS_INTERNAL);
/** A bit for each length that an internal header has: most headers are told apart by it. */
const internalLengths = lengthBits();

function lengthBits(): u64 {
  let bits: u64 = 0;
  for (let i = 0; i < internal.length; ++i) bits |= (<u64>1) << internal[i].byteLength;
  return bits;
}

/** The request asks how it would be picked. */
export let explain: bool = false;

let isPost: bool = false;
let api: u32 = API_NONE;
let parsersMask: u32 = 0;
let isUpgrade: bool = false;
let isJson: bool = true;
let isEncoded: bool = false;

/**
 * Reads and cleans the request headers; of the client headers those in `believed` count (client_headers).
 * Answers the API that the body is for: one of `parsers` (a bit per API), or API_NONE when the body is not to
 * be read: another path or method, encoded, or of another type.
 */
export function read(parsers: u32, believed: u32): u8 {
  parsersMask = parsers;
  client.begin(believed);
  explain = false;
  isPost = false;
  api = API_NONE;
  isUpgrade = false;
  isJson = true;
  isEncoded = false;
  if (!host.getHeaders(REQUEST_HEADERS)) {
    removeAllInternal();
    client.removeAll();
    return <u8>API_NONE;
  }
  const pairs = host.data;
  const count = load<u32>(pairs);
  let key = pairs + 4 + ((<usize>count) << 3);
  for (let i: u32 = 0; i < count; ++i) {
    const keyLength = load<u32>(pairs + ((<usize>i) << 3), 4);
    const valueLength = load<u32>(pairs + ((<usize>i) << 3), 8);
    const value = key + keyLength + 1;
    header(key, keyLength, value, valueLength);
    key = value + valueLength + 1;
  }
  return <u8>(isPost && isJson && !isEncoded && !isUpgrade ? api : API_NONE);
}

function header(key: usize, keyLength: u32, value: usize, valueLength: u32): void {
  if (keyLength < 64 && ((internalLengths >> keyLength) & 1) != 0) removeIfInternal(key, keyLength);
  client.take(key, keyLength, value, valueLength);
  if (keyLength == 5) {
    if (equals(key, keyLength, pathHeader)) api = apiOf(value, valueLength);
  } else if (keyLength == 7) {
    if (equals(key, keyLength, methodHeader)) isPost = equals(value, valueLength, post);
    else if (equals(key, keyLength, upgradeHeader)) isUpgrade = true;
  } else if (keyLength == 12) {
    if (equals(key, keyLength, contentTypeHeader)) isJson = namesJson(value, valueLength);
  } else if (keyLength == 16) {
    if (equals(key, keyLength, contentEncodingHeader)) isEncoded = !isIdentity(value, valueLength);
  } else if (keyLength == <u32>explainHeader.byteLength) {
    if (equals(key, keyLength, explainHeader)) explain = isYes(value, valueLength);
  }
}

function removeIfInternal(key: usize, keyLength: u32): void {
  for (let i = 0; i < internal.length; ++i) {
    if (equals(key, keyLength, internal[i])) host.removeHeader(REQUEST_HEADERS, key, keyLength);
  }
}

/** Without a look: more headers than the scratch can hold. */
function removeAllInternal(): void {
  for (let i = 0; i < internal.length; ++i) {
    host.removeHeader(REQUEST_HEADERS, pointer(internal[i]), internal[i].byteLength);
  }
}

function isYes(value: usize, length: u32): bool {
  return equals(value, length, one) || equals(value, length, trueText);
}

/** The API of a path, whatever query follows and with or without a slash at its end. */
function apiOf(path: usize, length: u32): u32 {
  for (let i: u32 = 0; i < length; ++i) {
    if (load<u8>(path + i) == 0x3f) {
      length = i;
      break;
    }
  }
  if (length > 1 && load<u8>(path + length - 1) == 0x2f) --length;
  for (let i = 0; i < suffixes.length; ++i) {
    if (isParsed(suffixApis[i]) && endsWith(path, length, suffixes[i])) return suffixApis[i];
  }
  return isParsed(API_SGLANG_GENERATE) && equals(path, length, generate) ? API_SGLANG_GENERATE : API_NONE;
}

function isParsed(which: u32): bool {
  return ((parsersMask >> which) & 1) != 0;
}

/** application/json and anything/…+json, whatever parameters follow. */
function namesJson(type: usize, length: u32): bool {
  let end: u32 = 0;
  while (end < length && load<u8>(type + end) != 0x3b && load<u8>(type + end) > 0x20) ++end;
  if (end == <u32>applicationJson.byteLength && startsWithIgnoringCase(type, end, applicationJson)) return true;
  const suffix = <u32>jsonSuffix.byteLength;
  return end > suffix && startsWithIgnoringCase(type + end - suffix, suffix, jsonSuffix);
}

function isIdentity(value: usize, length: u32): bool {
  return length == <u32>identity.byteLength && startsWithIgnoringCase(value, length, identity);
}
