// The control listener's role: docs/protocol.md. Which call it is, and what it answers.

import { SNAPSHOT_BYTES_MAX, WORKERS_MAX } from "../../src/wire/limits";
import {
  HEADER_EXPLAIN,
  KEY_DRAIN,
  KEY_METRICS,
  KEY_TOPOLOGY,
  PATH_DRAIN,
  PATH_EXPLAIN,
  PATH_METRICS,
  PATH_REPORT,
  PATH_SERIES,
  PATH_TOPOLOGY,
} from "../../src/wire/names";
import { KIND_METRICS, KIND_TOPOLOGY } from "../../src/wire/snapshot";
import * as host from "../abi/host";
import {
  CONTINUE,
  REQUEST_BODY,
  REQUEST_HEADERS,
  STOP_AND_BUFFER,
  STOP_ITERATION,
  STOP_NO_BUFFER,
} from "../abi/status";
import { equals, pointer, utf8 } from "../abi/text";
import * as reply from "../reply";
import * as series from "../share/series";
import * as streams from "../state/streams";
import { receive } from "./receive";
import { report } from "./report";

// What the stream is, kept in Stream.body
const ANSWERED: u8 = 0;
const PUT_TOPOLOGY: u8 = 1;
const PUT_METRICS: u8 = 2;
/** For the filter behind this one, which answers. */
const HANDED_ON: u8 = 3;

const methodHeader = utf8(":method");
const pathHeader = utf8(":path");
const get = utf8("GET");
const put = utf8("PUT");
const post = utf8("POST");
const del = utf8("DELETE");
const explainHeader = utf8(HEADER_EXPLAIN);
const explainPath = utf8(PATH_EXPLAIN);
const yes = utf8("1");
const topologyPath = utf8(PATH_TOPOLOGY);
const metricsPath = utf8(PATH_METRICS);
const reportPath = utf8(PATH_REPORT);
const drainPath = utf8(PATH_DRAIN);
const seriesPath = utf8(PATH_SERIES);
const topologyKey = utf8(KEY_TOPOLOGY);
const metricsKey = utf8(KEY_METRICS);
const drainKey = utf8(KEY_DRAIN);
const draining = utf8('{"draining":true}');
const notDraining = utf8('{"draining":false}');

const unknownPath = utf8("unknown_path");
const unknownMethod = utf8("unknown_method");
const tooLarge = utf8("too_large");
const tooShort = utf8("too_short");
const none = utf8("no_snapshot");
const pathMessage = utf8(
  "Expected /v1/topology, /v1/metrics, /v1/report, /v1/series/ and a slot, /v1/drain, or /v1/explain/ and a " +
    "request's path.",
);
const methodMessage = utf8(
  "Expected PUT or GET of a snapshot, GET of the report, PUT or DELETE of the drain, or POST to explain.",
);
const largeMessage = utf8("A snapshot is at most 6291456 bytes.");
const emptyMessage = utf8("A PUT needs a snapshot as its body.");
const noSeries = utf8("no_series");
const noSeriesMessage = utf8("No worker has counted anything in that slot.");
const noneMessage = utf8("Nothing has been pushed yet.");

export function onHeaders(stream: streams.Stream, isEnd: bool): i32 {
  if (!host.getHeader(REQUEST_HEADERS, pathHeader)) return refuse(stream, 404, unknownPath, pathMessage);
  const isTopology = equals(host.data, host.size, topologyPath);
  const isMetrics = equals(host.data, host.size, metricsPath);
  const isReport = equals(host.data, host.size, reportPath);
  if (namesRequest(host.data, host.size)) return handOn(stream);
  if (equals(host.data, host.size, drainPath)) return drain(stream);
  const slot = slotOf(host.data, host.size);
  if (slot < WORKERS_MAX) return answerSeries(stream, slot);
  if (!isTopology && !isMetrics && !isReport) return refuse(stream, 404, unknownPath, pathMessage);
  const hasMethod = host.getHeader(REQUEST_HEADERS, methodHeader);
  if (hasMethod && equals(host.data, host.size, get)) {
    stream.body = ANSWERED;
    if (isReport) report();
    else answerBlob(isTopology ? topologyKey : metricsKey);
    return STOP_ITERATION;
  }
  if (!hasMethod || !equals(host.data, host.size, put) || isReport) {
    return refuse(stream, 405, unknownMethod, methodMessage);
  }
  if (isEnd) return refuse(stream, 400, tooShort, emptyMessage);
  stream.body = isTopology ? PUT_TOPOLOGY : PUT_METRICS;
  return STOP_ITERATION;
}

/** `size` bytes of the snapshot have come in all. */
export function onBody(stream: streams.Stream, size: u32, isEnd: bool): i32 {
  if (stream.body == HANDED_ON) return CONTINUE;
  if (stream.body == ANSWERED) return STOP_NO_BUFFER;
  if (size > SNAPSHOT_BYTES_MAX) {
    refuse(stream, 413, tooLarge, largeMessage);
    return STOP_NO_BUFFER;
  }
  if (!isEnd) return STOP_AND_BUFFER;
  const isTopology = stream.body == PUT_TOPOLOGY;
  stream.body = ANSWERED;
  const length = host.getBuffer(REQUEST_BODY, 0, size) ? host.size : 0;
  receive(host.data, length, isTopology ? KIND_TOPOLOGY : KIND_METRICS);
  return STOP_NO_BUFFER;
}

/** A body that ends in trailers ends without a last piece; no agent of ours sends any. */
export function onTrailers(stream: streams.Stream): i32 {
  if (stream.body == ANSWERED || stream.body == HANDED_ON) return CONTINUE;
  return refuse(stream, 400, unknownMethod, methodMessage);
}

/** /v1/explain and the path of a request behind it. */
function namesRequest(path: usize, length: u32): bool {
  const prefix = <u32>explainPath.byteLength;
  return length > prefix && equals(path, prefix, explainPath) && load<u8>(path + prefix) == 0x2f;
}

/** The slot behind /v1/series/; WORKERS_MAX when the path is no such one. */
function slotOf(path: usize, length: u32): u32 {
  const prefix = <u32>seriesPath.byteLength;
  if (length <= prefix || length > prefix + 2 || !equals(path, prefix, seriesPath)) return WORKERS_MAX;
  let slot: u32 = 0;
  for (let i = prefix; i < length; ++i) {
    const digit = <u32>load<u8>(path + i) - 0x30;
    if (digit > 9) return WORKERS_MAX;
    slot = slot * 10 + digit;
  }
  return slot;
}

function answerSeries(stream: streams.Stream, slot: u32): i32 {
  if (!host.getHeader(REQUEST_HEADERS, methodHeader) || !equals(host.data, host.size, get)) {
    return refuse(stream, 405, unknownMethod, methodMessage);
  }
  stream.body = ANSWERED;
  const key = series.key(slot);
  if (host.getShared(key, series.keyLength)) reply.bytes(host.data, host.size);
  else reply.error(404, reply.NOT_FOUND_ERROR, noSeries, noSeriesMessage, null);
  return STOP_ITERATION;
}

/**
 * The request whose pick is to be explained goes on under its own path to the filter of the workers, which
 * runs behind this one on the control listener: so it is explained by all that a worker knows.
 */
function handOn(stream: streams.Stream): i32 {
  const prefix = <u32>explainPath.byteLength;
  host.setHeader(REQUEST_HEADERS, pathHeader, host.data + prefix, host.size - prefix);
  if (!host.getHeader(REQUEST_HEADERS, methodHeader) || !equals(host.data, host.size, post)) {
    return refuse(stream, 405, unknownMethod, methodMessage);
  }
  host.setHeader(REQUEST_HEADERS, explainHeader, pointer(yes), yes.byteLength);
  stream.body = HANDED_ON;
  return CONTINUE;
}

/** The proxy is about to end, or goes on after all. */
function drain(stream: streams.Stream): i32 {
  const hasMethod = host.getHeader(REQUEST_HEADERS, methodHeader);
  const begins = hasMethod && equals(host.data, host.size, put);
  const ends = hasMethod && equals(host.data, host.size, del);
  if (!begins && !ends) return refuse(stream, 405, unknownMethod, methodMessage);
  host.setShared(pointer(drainKey), drainKey.byteLength, pointer(yes), begins ? 1 : 0, 0);
  stream.body = ANSWERED;
  const answer = begins ? draining : notDraining;
  reply.json(200, pointer(answer), answer.byteLength);
  return STOP_ITERATION;
}

function refuse(stream: streams.Stream, status: u32, code: ArrayBuffer, message: ArrayBuffer): i32 {
  stream.body = ANSWERED;
  reply.error(status, reply.INVALID_REQUEST, code, message, null);
  return STOP_ITERATION;
}

function answerBlob(key: ArrayBuffer): void {
  if (host.getShared(pointer(key), key.byteLength)) reply.bytes(host.data, host.size);
  else reply.error(404, reply.NOT_FOUND_ERROR, none, noneMessage, null);
}
