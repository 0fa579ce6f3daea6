// What a stream counts on its endpoint, taken back or moved to another endpoint as a whole.

import * as adapters from "./adapters";
import * as endpoints from "./endpoints";
import * as streams from "./streams";

/** The endpoint has begun to answer: the prompt is computed. Answers whether its tokens no longer count. */
export function noteAnswer(stream: streams.Stream): bool {
  return (stream.flags & streams.HOLDS_TOKENS) == 0 && releaseTokens(stream);
}

function releaseTokens(stream: streams.Stream): bool {
  if (stream.tokens == 0 || stream.counted == streams.NO_ENDPOINT) return false;
  endpoints.removeTokens(endpoints.at(stream.counted), stream.tokens);
  stream.tokens = 0;
  return true;
}

/** The stream is over, whatever its end. */
export function release(stream: streams.Stream): void {
  if (stream.counted == streams.NO_ENDPOINT) return;
  releaseTokens(stream);
  --endpoints.at(stream.counted).inFlight;
  if (stream.adapter != 0) adapters.remove(stream.counted, stream.adapter);
  stream.counted = streams.NO_ENDPOINT;
}

/** Another endpoint serves it. */
export function moveTo(stream: streams.Stream, id: u32): void {
  if (stream.counted == <u16>id) return;
  const tokens = stream.tokens;
  release(stream);
  stream.counted = <u16>id;
  ++endpoints.at(id).inFlight;
  if (tokens != 0) stream.tokens = endpoints.addTokens(endpoints.at(id), tokens);
  if (stream.adapter != 0 && !adapters.add(id, stream.adapter)) stream.adapter = 0;
}
