// `pointsman explain`: how a live Envoy would pick for a request, step by step. The filter itself answers, by
// what its workers know; the request is sent to no model server.

import { readFileSync } from "node:fs";
import { PATH_EXPLAIN } from "../../wire/names.ts";
import { post } from "../control-socket.ts";
import { type Explanation, printed } from "../explanation.ts";
import { FILE, HEADER, PATH, SWITCH, URL_PATH } from "../flags.ts";
import type { Runnable } from "../main.ts";

const flags = {
  socket: { kind: PATH, required: true, help: "control socket of the Envoy to ask" },
  request: { kind: FILE, required: true, help: "the body of the request, JSON" },
  path: { kind: URL_PATH, help: "path of the request (default /v1/chat/completions)" },
  header: { kind: HEADER, many: true, help: "a header of the request; may be given several times" },
  json: { kind: SWITCH, help: "prints the filter's answer as it is" },
} as const;

export const command: Runnable<typeof flags> = {
  name: "explain",
  summary: "how a live Envoy would pick for a request: candidates, filters, scores, the winner",
  flags,
  run: async (given) => {
    const path = given.path ?? "/v1/chat/completions";
    const headers = { "content-type": "application/json", ...joined(given.header) };
    const answer = await post(given.socket, `${PATH_EXPLAIN}${path}`, headers, readFileSync(given.request));
    const text = answer.body.toString();
    if (answer.status !== 200) throw new Error(`explain: ${reasonIn(text, answer.status)}`);
    process.stdout.write(given.json ? `${text}\n` : printed(JSON.parse(text) as Explanation));
    return 0;
  },
};

/** Names are in lower case. As HTTP has it, a header that is given several times is the list of its values. */
export function joined(headers: readonly (readonly [name: string, value: string])[]): Readonly<Record<string, string>> {
  const found = new Map<string, string>();
  for (const [name, value] of headers) {
    const before = found.get(name);
    found.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return Object.fromEntries(found);
}

/** The filter's own sentence, when it gave one. */
function reasonIn(text: string, status: number): string {
  try {
    const { error } = JSON.parse(text) as { readonly error?: { readonly message?: string; readonly code?: string } };
    if (error?.message !== undefined) return `answered ${status} (${error.code}): ${error.message}`;
  } catch {
    // No JSON: no filter of ours answered.
  }
  return `answered ${status}: ${text.trim() || "nothing"}`;
}
