// What the response headers tell: who served, and whether those asked before failed.

import { HEADER_SERVED } from "../../src/wire/names";
import { monotonicNs } from "../abi/clock";
import * as host from "../abi/host";
import { RESPONSE_HEADERS } from "../abi/status";
import { hash, utf8 } from "../abi/text";
import { Config } from "../config";
import { noteChange } from "../share/sync";
import * as endpoints from "../state/endpoints";
import * as streams from "../state/streams";

const servedHeader = utf8(HEADER_SERVED);
const statusHeader = utf8(":status");
const upstreamAddress = utf8("upstream\0address");
const responseFlags = utf8("response\0flags");

/**
 * Envoy's response flags that say that the last endpoint asked could not serve: connection failure,
 * connection termination, remote reset, timed-out request (source/common stream_info: bits 5, 6, 4, 2).
 */
const ENDPOINT_FAILED: u64 = (1 << 5) | (1 << 6) | (1 << 4) | (1 << 2);

export function read(stream: streams.Stream, config: Config): void {
  const isFailure = isServerError();
  if (!host.getProperty(upstreamAddress) || host.size == 0) return;
  const id = endpoints.find(hash(host.data, host.size));
  if (config.servedHeader != 0) host.setHeader(RESPONSE_HEADERS, servedHeader, host.data, host.size);
  if (stream.destinationCount == 0) return;
  const nowNs = isFailure || id != stream.counted ? monotonicNs() : 0;
  const isOwn = !isFailure || !isFromEnvoy();
  if (id != stream.counted) failBefore(stream, id, nowNs);
  if (id == endpoints.NO_ID) return;
  moveTo(stream, id);
  const endpoint = endpoints.at(id);
  if (isFailure && (isOwn || endpointFailed)) {
    endpoints.noteFailure(endpoint, nowNs);
    noteChange();
  } else if (!isFailure && endpoint.failures != 0) {
    endpoints.noteSuccess(endpoint);
    noteChange();
  }
}

function isServerError(): bool {
  return host.getHeader(RESPONSE_HEADERS, statusHeader) && host.size == 3 && load<u8>(host.data) == 0x35;
}

let endpointFailed: bool = false;

/** Whether Envoy itself made this answer; sets `endpointFailed`, whether it did so for the endpoint's failure. */
function isFromEnvoy(): bool {
  endpointFailed = false;
  if (!host.getProperty(responseFlags) || host.size != 8) return false;
  const flags = load<u64>(host.data);
  endpointFailed = (flags & ENDPOINT_FAILED) != 0;
  return flags != 0;
}

/**
 * Endpoints of the list before the one that answered were asked and failed. When another answered,
 * only of the first is it known that it was asked.
 */
function failBefore(stream: streams.Stream, served: u32, nowNs: u64): void {
  let place: u32 = 0;
  while (place < stream.destinationCount && <u32>streams.destination(stream, place) != served) ++place;
  const asked: u32 = place == <u32>stream.destinationCount ? 1 : place;
  for (let n: u32 = 0; n < asked; ++n) {
    const endpoint = endpoints.at(streams.destination(stream, n));
    if (endpoint.addressHash == 0 || endpoint.born > stream.topology) continue;
    endpoints.noteFailure(endpoint, nowNs);
    noteChange();
  }
}

/** The request counts as in flight where it is served. */
function moveTo(stream: streams.Stream, id: u32): void {
  if (stream.counted == <u16>id) return;
  if (stream.counted != streams.NO_ENDPOINT) --endpoints.at(stream.counted).inFlight;
  ++endpoints.at(id).inFlight;
  stream.counted = <u16>id;
  noteChange();
}
