// What the response headers tell: who served, and whether those asked before failed.

import { HEADER_SERVED } from "../../src/wire/names";
import { monotonicNs } from "../abi/clock";
import * as host from "../abi/host";
import { RESPONSE_HEADERS } from "../abi/status";
import { equals, hash, utf8 } from "../abi/text";
import { Config } from "../config";
import { tell, tellIfDue } from "../share/sync";
import * as endpoints from "../state/endpoints";
import { moveTo, noteAnswer } from "../state/in_flight";
import * as streams from "../state/streams";
import * as session from "./session";

const servedHeader = utf8(HEADER_SERVED);
const statusHeader = utf8(":status");
const upstreamAddress = utf8("upstream\0address");
const responseFlags = utf8("response\0flags");
const codeDetails = utf8("response\0code_details");
const viaUpstream = utf8("via_upstream");

/**
 * Envoy's response flags that say that the last endpoint asked could not serve: connection failure (bit
 * 5), connection termination (6), remote reset (4), timed-out request (2), its own 5xx with no retry
 * left (15). Numbered as in Envoy's stream info.
 */
const ENDPOINT_FAILED: u64 = (1 << 5) | (1 << 6) | (1 << 4) | (1 << 2) | (1 << 15);

export function read(stream: streams.Stream, config: Config): void {
  const hasReleased = noteAnswer(stream);
  const isFailure = isServerError();
  if (!host.getProperty(upstreamAddress) || host.size == 0) return;
  const isOther = (stream.flags & streams.OTHER_PORT) != 0;
  const id = isOther ? <u32>stream.counted : endpoints.find(hash(host.data, host.size));
  if (config.servedHeader != 0) host.setHeader(RESPONSE_HEADERS, servedHeader, host.data, host.size);
  if (stream.destinationCount == 0) return;
  if ((stream.flags & streams.TELLS_SESSION) != 0) session.tell(id, stream, config);
  const isUsual = !isFailure && id == stream.counted && endpoints.at(id).failures == 0;
  if (isUsual && !hasReleased) return;
  const nowNs = monotonicNs();
  let isNews: bool = id != stream.counted && failBefore(stream, id, nowNs);
  if (id != endpoints.NO_ID) {
    moveTo(stream, id);
    isNews = (isFailure ? noteFailure(id, nowNs) : noteSuccess(id)) || isNews;
  }
  if (isNews) tell(nowNs);
  else tellIfDue(nowNs, config.context);
}

function noteFailure(id: u32, nowNs: u64): bool {
  return isEndpointsFault() && endpoints.noteFailure(endpoints.at(id), nowNs);
}

/** Only an answer of the endpoint's own speaks for it: Envoy's 413 does not. */
function noteSuccess(id: u32): bool {
  const endpoint = endpoints.at(id);
  if (endpoint.failures == 0) return false;
  if (host.getProperty(codeDetails) && !equals(host.data, host.size, viaUpstream)) return false;
  endpoints.noteSuccess(endpoint);
  return true;
}

function isServerError(): bool {
  return host.getHeader(RESPONSE_HEADERS, statusHeader) && host.size == 3 && load<u8>(host.data) == 0x35;
}

/** Whether a 5xx is the endpoint's own, or Envoy's because the endpoint failed; not when Envoy had other reasons. */
function isEndpointsFault(): bool {
  if (!host.getProperty(responseFlags) || host.size != 8) return true;
  const flags = load<u64>(host.data);
  return flags == 0 || (flags & ENDPOINT_FAILED) != 0;
}

/**
 * Endpoints of the list before the one that answered were asked and failed. When another answered,
 * only of the first is it known that it was asked. Answers whether a failure is news.
 */
function failBefore(stream: streams.Stream, served: u32, nowNs: u64): bool {
  let isNews: bool = false;
  let place: u32 = 0;
  while (place < stream.destinationCount && <u32>streams.destination(stream, place) != served) ++place;
  const asked: u32 = place == <u32>stream.destinationCount ? 1 : place;
  for (let n: u32 = 0; n < asked; ++n) {
    const endpoint = endpoints.at(streams.destination(stream, n));
    if (endpoint.addressHash == 0 || endpoint.born > stream.topology) continue;
    isNews = endpoints.noteFailure(endpoint, nowNs) || isNews;
  }
  return isNews;
}
