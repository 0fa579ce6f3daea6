// The control listener of the process: the module in its ingest role, in a VM of its own.

import type { Process } from "./process.ts";
import type { Root } from "./root.ts";
import { encodeMetrics, encodeTopology, type PoolSpec, type RowSpec } from "./snapshot.ts";
import type { Vm } from "./vm.ts";

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** The body as JSON, undefined when it is not. */
  readonly json: unknown;
}

export class Control {
  readonly vm: Vm;
  readonly root: Root;
  private epoch = 0;
  private sequence = 0;

  constructor(process: Process) {
    this.vm = process.newVm();
    this.root = this.vm.root({ role: "ingest" }, "ingest");
  }

  /** One HTTP exchange; the body arrives in chunks of at most `chunkBytes`. */
  exchange(method: string, path: string, body?: Uint8Array, chunkBytes = 65_536): Answer {
    const stream = this.vm.stream(this.root);
    const headers: [string, string][] = [
      [":authority", "pointsman"],
      [":path", path],
      [":method", method],
    ];
    if (body !== undefined) headers.push(["content-length", String(body.length)]);
    stream.requestHeaders(headers, body === undefined);
    for (let at = 0; body !== undefined && stream.live; at += chunkBytes) {
      const end = at + chunkBytes >= body.length;
      stream.requestBody(body.subarray(at, at + chunkBytes), end);
      if (end) break;
    }
    const reply = stream.localResponse;
    stream.end();
    if (reply === undefined) throw new Error(`ingest did not answer ${method} ${path}`);
    return { status: reply.status, body: Buffer.from(reply.body), json: parsed(reply.body) };
  }

  /** Puts a topology in force under the next epoch. Throws when it is refused. */
  topology(pools: readonly PoolSpec[]): void {
    this.accepted(this.exchange("PUT", "/v1/topology", encodeTopology(++this.epoch, pools)));
    this.sequence = 0;
  }

  /** Puts metrics for that topology in force. Throws when they are refused. */
  metrics(rows: readonly RowSpec[]): void {
    this.accepted(this.exchange("PUT", "/v1/metrics", encodeMetrics(this.epoch, ++this.sequence, rows)));
  }

  private accepted(answer: Answer): void {
    if (answer.status !== 200) throw new Error(`refused: ${answer.status} ${answer.body.toString()}`);
  }
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return undefined;
  }
}
