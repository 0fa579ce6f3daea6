// What the head of an answer says: its status, and with response bodies also whether its body can be read.

import * as host from "../abi/host";
import { RESPONSE_HEADERS } from "../abi/status";
import { equals, pointer, startsWithIgnoringCase, utf8 } from "../abi/text";
import { READS_RESPONSES } from "../build";
import * as responses from "../state/responses";

const statusHeader = utf8(":status");
const contentTypeHeader = utf8("content-type");
const contentEncodingHeader = utf8("content-encoding");
const contentLengthHeader = utf8("content-length");
const eventStream = utf8("text/event-stream");
const json = utf8("application/json");
const identity = utf8("identity");

/** Reads the head into `row`. Answers whether there is a status. */
export function read(row: responses.Response): bool {
  return READS_RESPONSES ? readAll(row) : readStatus(row);
}

export function readStatus(row: responses.Response): bool {
  if (!host.getHeader(RESPONSE_HEADERS, statusHeader)) return false;
  row.status = numberOf(host.data, host.size);
  return true;
}

/** Only without it may a body become longer or shorter. */
export function removeLength(): void {
  host.removeHeader(RESPONSE_HEADERS, pointer(contentLengthHeader), contentLengthHeader.byteLength);
}

function numberOf(p: usize, length: u32): u16 {
  return length == 3 ? (load<u8>(p) - 0x30) * <u16>100 + (load<u8>(p + 1) - 0x30) * 10 + (load<u8>(p + 2) - 0x30) : 0;
}

let isEncoded: bool = false;

/** All headers in one host call, which costs less than two of them one by one. */
function readAll(row: responses.Response): bool {
  if (!host.getHeaders(RESPONSE_HEADERS)) return readStatus(row);
  isEncoded = false;
  const pairs = host.data;
  const count = load<u32>(pairs);
  let key = pairs + 4 + ((<usize>count) << 3);
  for (let i: u32 = 0; i < count; ++i) {
    const keyLength = load<u32>(pairs + ((<usize>i) << 3), 4);
    const valueLength = load<u32>(pairs + ((<usize>i) << 3), 8);
    const value = key + keyLength + 1;
    header(row, key, keyLength, value, valueLength);
    key = value + valueLength + 1;
  }
  if (isEncoded) row.flags &= ~responses.IS_READ;
  return row.status != 0;
}

function header(row: responses.Response, key: usize, keyLength: u32, value: usize, valueLength: u32): void {
  if (keyLength == 7) {
    if (equals(key, keyLength, statusHeader)) row.status = numberOf(value, valueLength);
  } else if (keyLength == 12) {
    if (equals(key, keyLength, contentTypeHeader)) row.flags |= formOf(value, valueLength);
  } else if (keyLength == 16) {
    if (equals(key, keyLength, contentEncodingHeader)) isEncoded = !equals(value, valueLength, identity);
  }
}

/** Of a content type, whatever parameters follow. */
function formOf(type: usize, length: u32): u8 {
  if (startsWithIgnoringCase(type, length, eventStream)) return responses.IS_READ | responses.IS_EVENTS;
  return startsWithIgnoringCase(type, length, json) ? responses.IS_READ : 0;
}
