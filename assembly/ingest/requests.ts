// The control listener's role: docs/protocol.md. Which call it is, and what it answers.

import { SNAPSHOT_BYTES_MAX } from "../../src/wire/limits";
import {
  HEADER_EXPLAIN,
  KEY_METRICS,
  KEY_TOPOLOGY,
  PATH_EXPLAIN,
  PATH_METRICS,
  PATH_REPORT,
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
const explainHeader = utf8(HEADER_EXPLAIN);
const explainPath = utf8(PATH_EXPLAIN);
const yes = utf8("1");
const topologyPath = utf8(PATH_TOPOLOGY);
const metricsPath = utf8(PATH_METRICS);
const reportPath = utf8(PATH_REPORT);
const topologyKey = utf8(KEY_TOPOLOGY);
const metricsKey = utf8(KEY_METRICS);

const unknownPath = utf8("unknown_path");
const unknownMethod = utf8("unknown_method");
const tooLarge = utf8("too_large");
const tooShort = utf8("too_short");
const none = utf8("no_snapshot");
const pathMessage = utf8("Expected /v1/topology, /v1/metrics, /v1/report or /v1/explain/ and a request's path.");
const methodMessage = utf8("Expected PUT or GET of a snapshot, GET of the report, or POST to explain.");
const largeMessage = utf8("A snapshot is at most 3145728 bytes.");
const emptyMessage = utf8("A PUT needs a snapshot as its body.");
const noneMessage = utf8("Nothing has been pushed yet.");

export function onHeaders(stream: streams.Stream, isEnd: bool): i32 {
  if (!host.getHeader(REQUEST_HEADERS, pathHeader)) return refuse(stream, 404, unknownPath, pathMessage);
  const isTopology = equals(host.data, host.size, topologyPath);
  const isMetrics = equals(host.data, host.size, metricsPath);
  const isReport = equals(host.data, host.size, reportPath);
  if (namesRequest(host.data, host.size)) return handOn(stream);
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

function refuse(stream: streams.Stream, status: u32, code: ArrayBuffer, message: ArrayBuffer): i32 {
  stream.body = ANSWERED;
  reply.error(status, reply.INVALID_REQUEST, code, message, null);
  return STOP_ITERATION;
}

function answerBlob(key: ArrayBuffer): void {
  if (host.getShared(pointer(key), key.byteLength)) reply.bytes(host.data, host.size);
  else reply.error(404, reply.NOT_FOUND_ERROR, none, noneMessage, null);
}
