// One streamed chat: when its answer began, what it said, and what the server counted.

import { type Agent, request } from "node:http";

export type Asked = {
  /** Undefined without an answer: an error, or patience was at its end. */
  readonly firstTokenMs: number | undefined;
  readonly text: string;
  readonly promptTokens: number;
  /** Of those, the ones that needed no computing. */
  readonly cachedTokens: number;
};

export type Asking = {
  readonly agent: Agent;
  readonly to: { readonly host: string; readonly port: number };
  /** JSON, with `stream` and `stream_options.include_usage`. */
  readonly body: string;
  /** How long to wait for the whole answer. */
  readonly patienceMs: number;
};

const NOTHING: Asked = { firstTokenMs: undefined, text: "", promptTokens: 0, cachedTokens: 0 };

/** Never rejects. */
export function ask({ agent, to, body, patienceMs }: Asking): Promise<Asked> {
  const { promise, resolve } = Promise.withResolvers<Asked>();
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const sentMs = performance.now();
  let firstTokenMs: number | undefined;
  const call = request({ ...to, agent, method: "POST", path: "/v1/chat/completions", headers }, (response) => {
    const pieces: Buffer[] = [];
    response.once("data", () => {
      firstTokenMs = performance.now() - sentMs;
    });
    response.on("data", (piece: Buffer) => pieces.push(piece));
    response.on("error", () => resolve(NOTHING));
    response.on("end", () => {
      const page = Buffer.concat(pieces).toString();
      resolve(response.statusCode === 200 ? { firstTokenMs, ...readEvents(page) } : NOTHING);
    });
  });
  const late = setTimeout(() => call.destroy(new Error("too late")), patienceMs);
  call.on("error", () => resolve(NOTHING));
  call.end(body);
  return promise.finally(() => clearTimeout(late));
}

type Chunk = {
  readonly choices?: readonly { readonly delta?: { readonly content?: string } }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens: number };
  };
};

function readEvents(page: string): Omit<Asked, "firstTokenMs"> {
  let text = "";
  let usage: Chunk["usage"];
  for (const line of page.split("\n")) {
    if (!line.startsWith("data: {")) continue;
    const chunk = JSON.parse(line.slice("data: ".length)) as Chunk;
    text += chunk.choices?.[0]?.delta?.content ?? "";
    usage ??= chunk.usage;
  }
  return {
    text,
    promptTokens: usage?.prompt_tokens ?? 0,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
  };
}
