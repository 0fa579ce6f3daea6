// What a worker thinks of a pool's endpoints, by an explained request: for tests that want to know it and
// change nothing.

import type { Worker } from "./gateway.ts";

export interface Explained {
  readonly tokens: number;
  readonly candidates: readonly {
    readonly endpoint: string;
    readonly matchedBlocks: number;
    readonly blocks: number;
  }[];
  readonly steps: readonly { readonly scorer: string; readonly scores: readonly { readonly raw: number }[] }[];
}

/** A chat request whose prompt has that text. The gateway must allow explaining. */
export function explained(worker: Worker, text: string): Explained {
  const reply = worker.drive({ body: chat(text), headers: [["x-pointsman-explain", "1"]] }).localResponse;
  if (reply?.status !== 200) throw new Error(`explained with ${reply?.status}`);
  return JSON.parse(Buffer.from(reply.body).toString()) as Explained;
}

export function chat(text: string): string {
  return JSON.stringify({ model: "m", messages: [{ role: "user", content: text }] });
}
