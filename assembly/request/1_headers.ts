// First station: what the request headers say. One host call reads them all; routing headers that a
// client has no business to send are removed; a request whose body will be read is held.

import {
  HEADER_DATA_PARALLEL,
  HEADER_DESTINATION,
  HEADER_ENCODERS,
  HEADER_HEDGE,
  HEADER_KV_SOURCE,
  HEADER_MAX_RETRIES,
  HEADER_PREFILLER,
  HEADER_RETRIABLE_CODES,
  HEADER_RETRIABLE_HEADERS,
  HEADER_RETRY_GRPC_ON,
  HEADER_RETRY_ON,
  HEADER_SERVED,
  HEADER_SUBSET,
  HEADER_TIMEOUT_MS,
  HEADER_TRY_TIMEOUT_MS,
} from "../../src/wire/names";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { endsWith, equals, pointer, startsWithIgnoringCase, utf8 } from "../abi/text";

// What a body is
/** Not read: another path or method, encoded, or of another type. */
export const OPAQUE: u8 = 0;
/** JSON for an inference API, to be scanned. */
export const INFERENCE: u8 = 1;

const methodHeader = utf8(":method");
const pathHeader = utf8(":path");
const upgradeHeader = utf8("upgrade");
const contentTypeHeader = utf8("content-type");
const contentEncodingHeader = utf8("content-encoding");

const post = utf8("POST");
const applicationJson = utf8("application/json");
const jsonSuffix = utf8("+json");
const identity = utf8("identity");
const completions = utf8("/completions");

const internal: StaticArray<ArrayBuffer> = [
  utf8(HEADER_DESTINATION),
  utf8(HEADER_SERVED),
  utf8(HEADER_SUBSET),
  utf8(HEADER_PREFILLER),
  utf8(HEADER_ENCODERS),
  utf8(HEADER_DATA_PARALLEL),
  utf8(HEADER_KV_SOURCE),
  utf8(HEADER_MAX_RETRIES),
  utf8(HEADER_RETRY_ON),
  utf8(HEADER_RETRY_GRPC_ON),
  utf8(HEADER_RETRIABLE_CODES),
  utf8(HEADER_RETRIABLE_HEADERS),
  utf8(HEADER_TIMEOUT_MS),
  utf8(HEADER_TRY_TIMEOUT_MS),
  utf8(HEADER_HEDGE),
];
/** A bit for each length that an internal header has: most headers are told apart by it. */
const internalLengths = lengthBits();

function lengthBits(): u64 {
  let bits: u64 = 0;
  for (let i = 0; i < internal.length; ++i) bits |= (<u64>1) << internal[i].byteLength;
  return bits;
}

let isPost: bool = false;
let isInferencePath: bool = false;
let isUpgrade: bool = false;
let isJson: bool = true;
let isEncoded: bool = false;

/** Reads and cleans the request headers. Answers what the body is: OPAQUE or INFERENCE. */
export function read(): u8 {
  isPost = false;
  isInferencePath = false;
  isUpgrade = false;
  isJson = true;
  isEncoded = false;
  if (!host.getHeaders(REQUEST_HEADERS)) {
    removeAllInternal();
    return OPAQUE;
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
  return isPost && isInferencePath && isJson && !isEncoded && !isUpgrade ? INFERENCE : OPAQUE;
}

function header(key: usize, keyLength: u32, value: usize, valueLength: u32): void {
  if (keyLength < 64 && ((internalLengths >> keyLength) & 1) != 0) removeIfInternal(key, keyLength);
  if (keyLength == 5) {
    if (equals(key, keyLength, pathHeader)) isInferencePath = namesInference(value, valueLength);
  } else if (keyLength == 7) {
    if (equals(key, keyLength, methodHeader)) isPost = equals(value, valueLength, post);
    else if (equals(key, keyLength, upgradeHeader)) isUpgrade = true;
  } else if (keyLength == 12) {
    if (equals(key, keyLength, contentTypeHeader)) isJson = namesJson(value, valueLength);
  } else if (keyLength == 16) {
    if (equals(key, keyLength, contentEncodingHeader)) isEncoded = !isIdentity(value, valueLength);
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

/** …/completions and …/chat/completions, whatever query follows. */
function namesInference(path: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; ++i) {
    if (load<u8>(path + i) == 0x3f) {
      length = i;
      break;
    }
  }
  return endsWith(path, length, completions);
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
