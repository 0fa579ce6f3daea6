// Requests to a simulated server over connections of their own.

import { type IncomingHttpHeaders, request } from "node:http";
import type { Sim } from "../../src/sim/server.ts";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Call {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string goes as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export function call(sim: Sim, options: Call): Promise<Answer> {
  const { path = "/v1/chat/completions", body, signal } = options;
  const bytes = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  const headers = { ...(bytes === undefined ? {} : { "content-type": "application/json" }), ...options.headers };
  const method = options.method ?? (bytes === undefined ? "GET" : "POST");
  const { host, port } = sim.address;
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, path, method, headers, agent: false, ...(signal && { signal }) }, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      res.on("end", () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text }));
      res.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(bytes);
  });
}

export function chat(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { model: "sim", messages: [{ role: "user", content: "How deep is the sea?" }], max_tokens: 3, ...fields };
}

/** Resolves when `condition` holds; looks again with every turn of the event loop, for up to 5 s. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`did not come true within 5 s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
