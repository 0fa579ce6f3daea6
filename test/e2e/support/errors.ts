// The one shape that errors to clients have.

import { expect } from "vitest";
import type { Answer } from "./client.ts";

/** `{"error":{"message","type","param","code"}}` and nothing else, with this status and code. */
export function expectOpenAiError(answer: Answer, status: number, code?: string): void {
  expect(answer.status).toBe(status);
  expect(answer.headers["content-type"]).toMatch(/^application\/json/);
  const body = answer.json() as { readonly error: { readonly message: string } };
  expect(body).toEqual({
    error: {
      message: expect.any(String),
      type: expect.stringMatching(/^[a-z_]+_error$/),
      param: null,
      code: code ?? expect.stringMatching(/^[a-z_]+$/),
    },
  });
  expect(body.error.message.length).toBeGreaterThan(10);
}
