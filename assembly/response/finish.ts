// The end of a stream, whatever it was: done, reset by either side, timed out, answered here.

import { monotonicNs } from "../abi/clock";
import * as configs from "../config";
import { tellIfDue } from "../share/sync";
import * as endpoints from "../state/endpoints";
import * as streams from "../state/streams";

/** Called exactly once for each stream, when Envoy deletes its context. */
export function finish(stream: streams.Stream): void {
  const counted = stream.counted;
  const root = stream.root;
  streams.close(stream);
  if (counted == streams.NO_ENDPOINT) return;
  --endpoints.at(counted).inFlight;
  tellIfDue(monotonicNs(), configs.at(root).context);
}
