// The end of a stream, whatever it was: done, reset by either side, timed out, answered here.

import { monotonicNs } from "../abi/clock";
import * as configs from "../config";
import { tellIfDue } from "../share/sync";
import { release } from "../state/in_flight";
import * as renames from "../state/renames";
import * as streams from "../state/streams";

/** Called exactly once for each stream, when Envoy deletes its context. */
export function finish(stream: streams.Stream): void {
  const wasCounted = stream.counted != streams.NO_ENDPOINT;
  const root = stream.root;
  release(stream);
  renames.release(stream.rename);
  streams.close(stream);
  if (wasCounted) tellIfDue(monotonicNs(), configs.at(root).context);
}
