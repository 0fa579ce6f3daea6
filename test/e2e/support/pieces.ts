// A model server whose answers come in pieces that the test cuts: each is written by itself, a moment after the
// one before, so that it crosses the gateway by itself.

import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Handler } from "./backend.ts";

export interface Answer {
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly pieces: readonly (string | Buffer)[];
  readonly trailers?: Readonly<Record<string, string>>;
}

/** Requests name the answer they get in this header. */
export const ANSWER_HEADER = "x-answer";
const MOMENT_MS = 15;

/** Writes the answer and ends it. */
export async function answerInPieces(response: ServerResponse, answer: Answer): Promise<void> {
  const { type = "application/json", headers = {}, pieces, trailers } = answer;
  response.writeHead(200, { "content-type": type, ...headers });
  for (const piece of pieces) {
    response.write(piece);
    await sleep(MOMENT_MS);
  }
  if (trailers !== undefined) response.addTrailers(trailers);
  response.end();
}

export function answering(answers: Readonly<Record<string, Answer>>): Handler {
  return async ({ request, response, read }) => {
    await read();
    const answer = answers[String(request.headers[ANSWER_HEADER])];
    if (answer === undefined) throw new Error("no such answer");
    await answerInPieces(response, answer);
  };
}

/** The text cut before each place, counted from its beginning. */
export function cut(text: string, ...places: readonly number[]): readonly string[] {
  return [...places, text.length].map((end, n) => text.slice(n === 0 ? 0 : places[n - 1], end));
}
