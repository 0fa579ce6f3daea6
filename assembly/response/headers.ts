// What the response headers tell: who served, and whether those asked before failed.

import { HEADER_SERVED } from "../../src/wire/names";
import { API_NONE } from "../../src/wire/program";
import { monotonicNs } from "../abi/clock";
import * as host from "../abi/host";
import { RESPONSE_HEADERS } from "../abi/status";
import { equals, hash, utf8 } from "../abi/text";
import { READS_RESPONSES } from "../build";
import { Config } from "../config";
import { tell, tellIfDue } from "../share/sync";
import * as endpoints from "../state/endpoints";
import { moveTo, noteAnswer } from "../state/in_flight";
import * as responses from "../state/responses";
import * as streams from "../state/streams";
import * as answer from "./answer";
import * as session from "./session";
import * as usage from "./usage";
import * as usageEvent from "./usage_event";

const servedHeader = utf8(HEADER_SERVED);
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
  stream.flags |= streams.ANSWERS;
  const row = responses.answerTo(stream);
  const isFailure = answer.read(row) && row.status >= 500;
  if (READS_RESPONSES) prepareBody(stream, row);
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

/** Only answers to requests whose body was read name tokens and models. */
function prepareBody(stream: streams.Stream, row: responses.Response): void {
  if (<u32>stream.body == API_NONE) row.flags &= ~responses.IS_READ;
  if ((row.flags & responses.IS_READ) == 0) return;
  usage.begin(row);
  const isRenamed = stream.rename != streams.NO_RENAME;
  if (isRenamed) row.flags |= responses.IS_RENAMED;
  if (isRenamed || usageEvent.isSought(stream, row)) answer.removeLength();
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
