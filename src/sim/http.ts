// What every route of the simulated server does with HTTP.

import type { IncomingMessage, ServerResponse } from "node:http";

/** An answer that is there as a whole. */
export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  /** For 405. */
  readonly allow?: string;
}

const BODY_BYTES_MAX = 67_108_864;

export function json(status: number, body: string): Reply {
  return { status, type: "application/json", body };
}

export function send(res: ServerResponse, reply: Reply): void {
  res.setHeader("content-length", String(Buffer.byteLength(reply.body)));
  if (reply.body !== "") res.setHeader("content-type", reply.type);
  if (reply.allow !== undefined) res.setHeader("allow", reply.allow);
  res.writeHead(reply.status).end(reply.body);
}

/** The whole body; "gone" when the client left before its end. */
export async function readBody(req: IncomingMessage): Promise<Buffer | "gone" | "too large"> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of req as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > BODY_BYTES_MAX) return "too large";
      chunks.push(chunk);
    }
  } catch {
    return "gone";
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

export function pathOf(req: IncomingMessage): string {
  const url = req.url ?? "/";
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}
