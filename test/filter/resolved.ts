// What a worker takes a request for, by an explained one: it is sent nowhere and counted nowhere.

import { headerOf, type Outcome, type Request } from "../host/drive.ts";
import { CHAT, type Worker } from "./gateway.ts";

export interface ResolvedRequest {
  readonly pool: string;
  readonly priority: number;
  /** The model that the server would be asked for. */
  readonly target: string;
}

/** The gateway must allow explaining. */
export function resolved(worker: Worker, request: Request = {}): ResolvedRequest {
  const headers = [["x-pointsman-explain", "1"] as const, ...(request.headers ?? [])];
  const reply = worker.drive({ body: CHAT, ...request, headers }).localResponse;
  if (reply?.status !== 200) throw new Error(`explained with ${reply?.status}`);
  const { pool, model, target = model, priority = 0 } = JSON.parse(Buffer.from(reply.body).toString());
  return { pool, priority, target };
}

/** What the server got: the model in its body, and how long it was told that body is. */
export function sent({ forwardedBody, forwardedHeaders }: Outcome): { model: string; length: string | undefined } {
  const { model } = JSON.parse(Buffer.from(forwardedBody).toString());
  return { model, length: headerOf(forwardedHeaders, "content-length") };
}
