// Answers that this filter gives itself: always JSON, errors in OpenAI's shape.

import {
  HEADER_DROPPED_REASON,
  REASON_EVICTED,
  REASON_NO_ENDPOINTS,
  REASON_SATURATED,
  REASON_SHUTTING_DOWN,
  REASON_TTL_EXPIRED,
} from "../src/wire/names";
import * as host from "./abi/host";
import { pointer, put, putNumber, utf8 } from "./abi/text";

const body = memory.data(2048);
const headers = memory.data(512);

const jsonType = utf8("application/json");
const bytesType = utf8("application/octet-stream");
const contentType = utf8("content-type");
const droppedReason = utf8(HEADER_DROPPED_REASON);
const retryAfter = utf8("retry-after");
/** Seconds that a client may be asked to wait: at least as long as Envoy asks for when a cluster has no members. */
const RETRY_S_MIN: f64 = 1;
const RETRY_S_MAX: f64 = 60;
const secondsText = memory.data(8);
export const noEndpointsReason = utf8(REASON_NO_ENDPOINTS);
export const saturatedReason = utf8(REASON_SATURATED);
export const ttlExpiredReason = utf8(REASON_TTL_EXPIRED);
export const shuttingDownReason = utf8(REASON_SHUTTING_DOWN);
export const evictedReason = utf8(REASON_EVICTED);

const beforeMessage = utf8('{"error":{"message":"');
const beforeType = utf8('","type":"');
const beforeCode = utf8('","param":null,"code":"');
const afterCode = utf8('"}}');

export const INVALID_REQUEST = utf8("invalid_request_error");
export const NOT_FOUND_ERROR = utf8("not_found_error");
export const INTERNAL = utf8("internal_error");
export const RATE_LIMITED = utf8("rate_limit_error");
export const UNAVAILABLE = utf8("service_unavailable_error");

function putHeader(n: u32, to: usize, key: ArrayBuffer, value: usize, valueLength: u32): usize {
  store<u32>(headers + 4 + n * 8, key.byteLength);
  store<u32>(headers + 8 + n * 8, valueLength);
  to = put(to, key);
  store<u8>(to, 0);
  memory.copy(to + 1, value, valueLength);
  to += 1 + valueLength;
  store<u8>(to, 0);
  return to + 1;
}

/** Serialises the headers, returns their length. `dropped`: why a request was dropped, or null. */
function writeHeaders(type: ArrayBuffer, dropped: ArrayBuffer | null, retryS: f64): u32 {
  const count: u32 = dropped === null ? 1 : 3;
  store<u32>(headers, count);
  let end = putHeader(0, headers + 4 + count * 8, contentType, pointer(type), type.byteLength);
  if (dropped !== null) {
    end = putHeader(1, end, droppedReason, pointer(dropped), dropped.byteLength);
    const seconds = putNumber(secondsText, <u64>min<f64>(max<f64>(Math.ceil(retryS), RETRY_S_MIN), RETRY_S_MAX));
    end = putHeader(2, end, retryAfter, secondsText, <u32>(seconds - secondsText));
  }
  return <u32>(end - headers);
}

/**
 * Answers an error. The texts are ours, so they need no escaping. `dropped`: why a request was dropped that may
 * be sent again in `retryS` seconds, or null.
 */
export function error(
  status: u32,
  type: ArrayBuffer,
  code: ArrayBuffer,
  message: ArrayBuffer,
  dropped: ArrayBuffer | null,
  retryS: f64 = RETRY_S_MIN,
): void {
  let end = put(body, beforeMessage);
  end = put(put(end, message), beforeType);
  end = put(put(end, type), beforeCode);
  end = put(put(end, code), afterCode);
  const length = writeHeaders(jsonType, dropped, retryS);
  host.reply(status, headers, length, body, <u32>(end - body));
}

/** Answers JSON text. */
export function json(status: u32, p: usize, length: u32): void {
  const headersLength = writeHeaders(jsonType, null, 0);
  host.reply(status, headers, headersLength, p, length);
}

/** Answers bytes. */
export function bytes(p: usize, length: u32): void {
  const headersLength = writeHeaders(bytesType, null, 0);
  host.reply(200, headers, headersLength, p, length);
}
