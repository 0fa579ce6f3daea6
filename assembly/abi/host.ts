// Every call out of the module, one thin function each. Expected absence is a value; what a host
// call returned lies at `data`, `size` bytes, until the callback ends.

import {
  proxy_call_foreign_function,
  proxy_close_stream,
  proxy_continue_stream,
  proxy_define_metric,
  proxy_dequeue_shared_queue,
  proxy_enqueue_shared_queue,
  proxy_get_buffer_bytes,
  proxy_get_header_map_pairs,
  proxy_get_header_map_value,
  proxy_get_property,
  proxy_get_shared_data,
  proxy_increment_metric,
  proxy_log,
  proxy_record_metric,
  proxy_register_shared_queue,
  proxy_remove_header_map_value,
  proxy_replace_header_map_value,
  proxy_resolve_shared_queue,
  proxy_send_local_response,
  proxy_set_buffer_bytes,
  proxy_set_effective_context,
  proxy_set_property,
  proxy_set_shared_data,
  proxy_set_tick_period_milliseconds,
} from "@gcoredev/proxy-wasm-sdk-as/assembly/imports";
import { REPLY_DETAILS } from "../../src/wire/names";
import { NO_GRPC_STATUS, OK, REQUEST_STREAM, RESPONSE_STREAM } from "./status";
import { pointer, utf8 } from "./text";

export const LOG_WARN = 3;
export const LOG_CRITICAL = 5;

/** What the last successful get returned. */
export let data: usize = 0;
export let size: u32 = 0;
/** The compare-and-swap number of the value that `getShared` returned. */
export let cas: u32 = 0;

const outPointer = memory.data(4, 4);
const outSize = memory.data(4, 4);
const outCas = memory.data(4, 4);

function returned(status: u32): bool {
  if (status != OK) return false;
  data = load<u32>(outPointer);
  size = load<u32>(outSize);
  return data != 0 || size == 0;
}

export function logText(level: u32, p: usize, length: u32): void {
  proxy_log(level, p, length);
}

/** All headers, serialised: u32 count, (u32 key length, u32 value length) each, then key NUL value NUL each. */
export function getHeaders(map: i32): bool {
  return returned(proxy_get_header_map_pairs(map, outPointer, outSize));
}

export function getHeader(map: i32, key: ArrayBuffer): bool {
  return returned(proxy_get_header_map_value(map, pointer(key), key.byteLength, outPointer, outSize));
}

/** The header whose name is the `length` bytes at `p`. */
export function getHeaderNamed(map: i32, p: usize, length: u32): bool {
  return returned(proxy_get_header_map_value(map, p, length, outPointer, outSize));
}

export function setHeader(map: i32, key: ArrayBuffer, p: usize, length: u32): void {
  proxy_replace_header_map_value(map, pointer(key), key.byteLength, p, length);
}

/** Sets the header whose name is the `nameLength` bytes at `name`. */
export function setHeaderNamed(map: i32, name: usize, nameLength: u32, p: usize, length: u32): void {
  proxy_replace_header_map_value(map, name, nameLength, p, length);
}

export function removeHeader(map: i32, p: usize, length: u32): void {
  proxy_remove_header_map_value(map, p, length);
}

export function getBuffer(buffer: i32, start: u32, length: u32): bool {
  return returned(proxy_get_buffer_bytes(buffer, start, length, outPointer, outSize));
}

/** Puts `length` bytes at `p` in the place of the buffer's first `replaced` bytes. False when it cannot be changed. */
export function replaceFront(buffer: i32, replaced: u32, p: usize, length: u32): bool {
  return proxy_set_buffer_bytes(buffer, 0, replaced, p, length) == OK;
}

/** A property; the parts of its path are separated by NUL. */
export function getProperty(path: ArrayBuffer): bool {
  return returned(proxy_get_property(pointer(path), path.byteLength, outPointer, outSize));
}

/** A field of the stream that access logs can show: "x" as %FILTER_STATE(wasm.x:PLAIN)%. */
export function setProperty(name: ArrayBuffer, p: usize, length: u32): void {
  proxy_set_property(pointer(name), name.byteLength, p, length);
}

/** A value that all VMs share; false when there is none. Sets `cas`. */
export function getShared(key: usize, keyLength: u32): bool {
  const found = returned(proxy_get_shared_data(key, keyLength, outPointer, outSize, outCas));
  cas = load<u32>(outCas);
  return found;
}

/** Unconditional when `expected` is 0 or there is no such key yet, else only if nobody wrote since. */
export function setShared(key: usize, keyLength: u32, p: usize, length: u32, expected: u32): bool {
  return proxy_set_shared_data(key, keyLength, p, length, expected) == OK;
}

/** In the place of a queue: there is none. */
export const NO_QUEUE: u32 = 0;

/**
 * The queue of that name with this VM as its reader, be it new or another's; NO_QUEUE when that fails. Its
 * messages are announced to the root context of the callback under way for as long as that one lives.
 */
export function registerQueue(name: usize, nameLength: u32): u32 {
  return proxy_register_shared_queue(name, nameLength, outSize) == OK ? load<u32>(outSize) : NO_QUEUE;
}

/** The queue of that name, made by a VM of the same vm_id; NO_QUEUE when nobody has made it. */
export function resolveQueue(name: usize, nameLength: u32): u32 {
  return proxy_resolve_shared_queue(0, 0, name, nameLength, outSize) == OK ? load<u32>(outSize) : NO_QUEUE;
}

/** Puts a copy of the bytes in a queue, whoever reads it, if anybody does. */
export function enqueue(queue: u32, p: usize, length: u32): bool {
  return proxy_enqueue_shared_queue(queue, p, length) == OK;
}

/** Takes a queue's oldest message; false when it is empty. */
export function dequeue(queue: u32): bool {
  return returned(proxy_dequeue_shared_queue(queue, outPointer, outSize));
}

/** A statistic of Envoy's, by name; the same name gives the same statistic in every VM. */
export function defineMetric(kind: i32, name: usize, nameLength: u32): u32 {
  proxy_define_metric(kind, name, nameLength, outSize);
  return load<u32>(outSize);
}

/** Adds to a counter. */
export function add(metric: u32, count: u32): void {
  proxy_increment_metric(metric, count);
}

/** A gauge's new value, or one observation of a histogram. */
export function record(metric: u32, value: u64): void {
  proxy_record_metric(metric, value);
}

const clearRouteCache = utf8("clear_route_cache");

/** The stream's route is chosen anew when its headers go on: by what they say then. */
export function chooseRouteAnew(): void {
  proxy_call_foreign_function(pointer(clearRouteCache), clearRouteCache.byteLength, 0, 0, outPointer, outSize);
}

export function setTickMs(period: u32): void {
  proxy_set_tick_period_milliseconds(period);
}

const replyDetails = utf8(REPLY_DETAILS);

/** Ends the stream here with `status`; `headers` are serialised as in getHeaders. */
export function reply(status: u32, headers: usize, headersLength: u32, body: usize, bodyLength: u32): void {
  const details = pointer(replyDetails);
  const length = replyDetails.byteLength;
  proxy_send_local_response(status, details, length, body, bodyLength, headers, headersLength, NO_GRPC_STATUS);
}

/** The calls that follow are about that stream, until another is named or the callback ends. */
export function actFor(context: u32): void {
  proxy_set_effective_context(context);
}

/** The request that is held goes on, when the callback under way has ended. */
export function continueRequest(): void {
  proxy_continue_stream(REQUEST_STREAM);
}

/** Resets the stream, when the callback under way has ended. */
export function resetStream(): void {
  proxy_close_stream(RESPONSE_STREAM);
}
