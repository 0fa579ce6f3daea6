// The proxy's end of the control channel (docs/protocol.md) as a small HTTP server: it takes what decodes, refuses the
// rest, and reports what the test tells it to.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { decodeSnapshot, type SnapshotBlob } from "../../src/control/decode.ts";
import * as r from "../../src/wire/report.ts";

export type Worker = {
  readonly topologyEpoch: number;
  readonly inFlight?: readonly { readonly hash: bigint; readonly count: number }[];
};

export type Call = {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly atMs: number;
  readonly blob: SnapshotBlob | undefined;
  /** Of the request's body. */
  readonly bytes: Buffer;
};

type Answer = { readonly status: number; readonly body: Buffer | string };

export class FakeIngest {
  readonly calls: Call[] = [];
  workers: readonly Worker[] = [];
  /** When set, PUTs are refused with this. */
  refuse: { readonly status: number; readonly code: string; readonly message: string } | undefined;
  topologyEpoch = 0;
  metricsSequence = 0;
  readonly socketPath: string;
  #server: Server | undefined;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.socketPath, resolve));
  }

  /** Ends and forgets everything, as a proxy that is stopped does. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.topologyEpoch = 0;
    this.metricsSequence = 0;
    if (!server) return;
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  }

  /** Blobs taken, in order. */
  taken(kind: "topology" | "metrics"): readonly Call[] {
    return this.calls.filter((call) => call.status === 200 && call.blob?.kind === kind);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const decoded = request.method === "PUT" ? decodeSnapshot(bytes) : undefined;
    const blob = decoded?.ok ? decoded.value : undefined;
    const { status, body } = this.#answer(request.method ?? "", request.url ?? "", blob);
    this.calls.push({
      method: request.method ?? "",
      path: request.url ?? "",
      status,
      atMs: performance.now(),
      blob,
      bytes,
    });
    response.writeHead(status).end(body);
  }

  #answer(method: string, path: string, blob: SnapshotBlob | undefined): Answer {
    if (method === "GET" && path === "/v1/report") return { status: 200, body: this.#report() };
    if (method !== "PUT") return error(404, "not_found", path);
    if (this.refuse) return error(this.refuse.status, this.refuse.code, this.refuse.message);
    if (blob?.kind === "topology" && path === "/v1/topology") {
      this.topologyEpoch = blob.topology.epoch;
      this.metricsSequence = 0;
    } else if (blob?.kind === "metrics" && path === "/v1/metrics") {
      if (blob.metrics.epoch !== this.topologyEpoch) return error(409, "wrong_epoch", "not the topology in force");
      this.metricsSequence = blob.metrics.sequence;
    } else return error(400, "bad_kind", "not a blob for this path");
    return { status: 200, body: JSON.stringify({ epoch: this.topologyEpoch, sequence: this.metricsSequence }) };
  }

  #report(): Buffer {
    return encodeReport(this.topologyEpoch, this.metricsSequence, this.workers);
  }
}

function error(status: number, code: string, message: string): Answer {
  return { status, body: JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code } }) };
}

export function encodeReport(topologyEpoch: number, metricsSequence: number, workers: readonly Worker[]): Buffer {
  const header = Buffer.alloc(r.REPORT_BYTES);
  header.writeUInt32LE(r.REPORT_MAGIC, r.R_MAGIC);
  header.writeUInt32LE(r.REPORT_VERSION, r.R_VERSION);
  header.writeBigUInt64LE(BigInt(topologyEpoch), r.R_TOPOLOGY_EPOCH);
  header.writeBigUInt64LE(BigInt(metricsSequence), r.R_METRICS_SEQUENCE);
  header.writeUInt32LE(workers.length, r.R_WORKER_COUNT);
  const columns = workers.map((worker, slot) => {
    const entries = worker.inFlight ?? [];
    const column = Buffer.alloc(r.COLUMN_BYTES + entries.length * r.ENTRY_BYTES);
    column.writeBigUInt64LE(BigInt(worker.topologyEpoch), r.C_TOPOLOGY_EPOCH);
    column.writeUInt32LE(entries.length, r.C_ENTRY_COUNT);
    column.writeUInt32LE(slot, r.C_SLOT);
    entries.forEach(({ hash, count }, i) => {
      const at = r.COLUMN_BYTES + i * r.ENTRY_BYTES;
      column.writeBigUInt64LE(hash, at + r.N_ADDRESS_HASH);
      column.writeUInt32LE(count, at + r.N_IN_FLIGHT);
    });
    return column;
  });
  return Buffer.concat([header, ...columns]);
}
