// Answers that this filter gives itself: always JSON, errors in OpenAI's shape.

import { HEADER_DROPPED_REASON, REASON_NO_ENDPOINTS, REASON_SATURATED } from "../src/wire/names";
import * as host from "./abi/host";
import { put, utf8 } from "./abi/text";

const body = memory.data(2048);
const headers = memory.data(512);

const jsonType = utf8("application/json");
const bytesType = utf8("application/octet-stream");
const contentType = utf8("content-type");
const droppedReason = utf8(HEADER_DROPPED_REASON);
const retryAfter = utf8("retry-after");
/** As long as Envoy asks for when a cluster has no members. */
const oneSecond = utf8("1");
export const noEndpointsReason = utf8(REASON_NO_ENDPOINTS);
export const saturatedReason = utf8(REASON_SATURATED);

const beforeMessage = utf8('{"error":{"message":"');
const beforeType = utf8('","type":"');
const beforeCode = utf8('","param":null,"code":"');
const afterCode = utf8('"}}');

export const INVALID_REQUEST = utf8("invalid_request_error");
export const NOT_FOUND_ERROR = utf8("not_found_error");
export const INTERNAL = utf8("internal_error");
export const RATE_LIMITED = utf8("rate_limit_error");
export const UNAVAILABLE = utf8("service_unavailable_error");

function putHeader(n: u32, to: usize, key: ArrayBuffer, value: ArrayBuffer): usize {
  store<u32>(headers + 4 + n * 8, key.byteLength);
  store<u32>(headers + 8 + n * 8, value.byteLength);
  to = put(to, key);
  store<u8>(to, 0);
  to = put(to + 1, value);
  store<u8>(to, 0);
  return to + 1;
}

/** Serialises the headers, returns their length. `dropped`: why a request was dropped, or null. */
function writeHeaders(type: ArrayBuffer, dropped: ArrayBuffer | null): u32 {
  const count: u32 = dropped === null ? 1 : 3;
  store<u32>(headers, count);
  let end = putHeader(0, headers + 4 + count * 8, contentType, type);
  if (dropped !== null) {
    end = putHeader(1, end, droppedReason, dropped);
    end = putHeader(2, end, retryAfter, oneSecond);
  }
  return <u32>(end - headers);
}

/**
 * Answers an error. The texts are ours, so they need no escaping. `dropped`: why a request was dropped
 * that may be sent again in a second, or null.
 */
export function error(
  status: u32,
  type: ArrayBuffer,
  code: ArrayBuffer,
  message: ArrayBuffer,
  dropped: ArrayBuffer | null,
): void {
  let end = put(body, beforeMessage);
  end = put(put(end, message), beforeType);
  end = put(put(end, type), beforeCode);
  end = put(put(end, code), afterCode);
  const length = writeHeaders(jsonType, dropped);
  host.reply(status, headers, length, body, <u32>(end - body));
}

/** Answers JSON text. */
export function json(status: u32, p: usize, length: u32): void {
  const headersLength = writeHeaders(jsonType, null);
  host.reply(status, headers, headersLength, p, length);
}

/** Answers bytes. */
export function bytes(p: usize, length: u32): void {
  const headersLength = writeHeaders(bytesType, null);
  host.reply(200, headers, headersLength, p, length);
}
