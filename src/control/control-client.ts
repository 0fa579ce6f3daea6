// The connection to the proxy's control socket, docs/protocol.md.

import { Client } from "undici";

const ANSWER_MS = 2_000;
/** Ingest answers with 2 MiB at most, a snapshot or a report; what is far beyond that is no proxy of ours. */
const ANSWER_BYTES_MAX = 16_777_216;

/** One connection, made when it is needed. The caller destroys it. */
export function controlClient(socketPath: string): Client {
  return new Client("http://pointsman", {
    socketPath,
    headersTimeout: ANSWER_MS,
    bodyTimeout: ANSWER_MS,
    maxResponseSize: ANSWER_BYTES_MAX,
  });
}
