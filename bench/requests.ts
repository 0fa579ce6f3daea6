// Which request a connection sends next. What was sent before decides what the filter's prefix index
// knows, so the mix of bodies is a part of what is measured; both sides get the same.

import { chatBody, chatRequest, freshMarkIn, LONG_SYSTEM, markFresh } from "./bodies.ts";

/**
 * warm    some bodies again and again
 * shared  the same, and all of them begin with one long system prompt
 * cold    a prompt that nobody has seen, each time
 */
export type Prompts = "warm" | "shared" | "cold";

export type Mix = {
  readonly prompts: Prompts;
  readonly bodyBytes: number;
  /** How many bodies there are; of cold ones, how many differ in more than a number. */
  readonly distinct: number;
};

/** The request to be written now. The buffer is the connection's until its answer is complete. */
export type NextRequest = () => Buffer;

/** The mix used last: one size may take tens of megabytes. */
let encoded: { readonly key: string; readonly requests: readonly Buffer[] } | undefined;

function encodedOf({ prompts, bodyBytes, distinct }: Mix): readonly Buffer[] {
  const key = `${prompts === "shared"} ${bodyBytes} ${distinct}`;
  if (encoded?.key !== key) {
    const system = prompts === "shared" ? [LONG_SYSTEM] : [];
    const requests = Array.from({ length: distinct }, (_, seed) => chatRequest(chatBody(bodyBytes, seed, ...system)));
    encoded = { key, requests };
  }
  return encoded.requests;
}

/** Numbers of cold prompts: no Envoy sees one twice. */
let sent = 0;

/**
 * What each of `connections` sends. They go through the same bodies in the same order, each from a
 * place of its own, so that the same body is not under way several times at once.
 */
export function requestsOf(mix: Mix, connections: number): readonly NextRequest[] {
  const requests = encodedOf(mix);
  return Array.from({ length: connections }, (_, i) => {
    let at = Math.floor((i * requests.length) / connections);
    if (mix.prompts !== "cold") return () => requests[at++ % requests.length] as Buffer;
    const own = Buffer.from(requests[at % requests.length] as Buffer);
    const mark = freshMarkIn(own);
    return () => {
      markFresh(own, mark, ++sent);
      return own;
    };
  });
}
