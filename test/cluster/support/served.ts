// Model servers at the addresses of pods, and what requests tell of who serves them and why.

import type { Explanation } from "../../../src/cli/explanation.ts";
import { HEADER_EXPLAIN } from "../../../src/wire/names.ts";
import { Backend, type Exchange } from "../../e2e/support/backend.ts";
import { chat } from "../../e2e/support/bodies.ts";
import type { Answer, Client } from "../../e2e/support/client.ts";

const CHAT = "/v1/chat/completions";
/** In which requests name a pool, where the filter is told so. */
export const POOL_HEADER = "x-pool";

/** Starts a server at each address, "10.77.1.1:8000". Answers name the server and the model it was asked for. */
export function startServers(...addresses: readonly string[]): Promise<readonly Backend[]> {
  return Promise.all(
    addresses.map((address) => {
      const [host = "", port] = address.split(":");
      return Backend.start({ host, port: Number(port) }, { handler: nameAndModel });
    }),
  );
}

async function nameAndModel({ backend, request, response }: Exchange): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const { model } = JSON.parse(Buffer.concat(pieces).toString()) as { readonly model: string };
  response.end(JSON.stringify({ by: backend.name, model }));
}

interface Asked {
  readonly model?: string;
  /** "namespace/name" */
  readonly pool?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function ask(client: Client, { model = "m", pool, headers = {} }: Asked): Promise<Answer> {
  const named = pool === undefined ? headers : { ...headers, [POOL_HEADER]: pool };
  return client.call({ path: CHAT, body: chat({ model }), headers: named });
}

/** Which server answers, and the model it was asked for; only the status where none does. */
export async function served(
  client: Client,
  asked: Asked = {},
): Promise<{ readonly status: number; readonly by?: string; readonly model?: string }> {
  const answer = await ask(client, asked);
  return answer.status === 200 ? { status: 200, ...answer.json() } : { status: answer.status };
}

/** What the filter would do with a request, which is not sent on. */
export async function explained(
  client: Client,
  { headers = {}, ...asked }: Asked = {},
): Promise<Explanation & { readonly priority?: number }> {
  const answer = await ask(client, { ...asked, headers: { ...headers, [HEADER_EXPLAIN]: "1" } });
  if (answer.status !== 200) throw new Error(`explained with ${answer.status}: ${answer.body.toString()}`);
  return answer.json();
}
