// Makes every endpoint hold the common system prompt, and proves that the filter believes so.

import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { post } from "../src/cli/control-socket.ts";
import type { Explanation } from "../src/cli/explanation.ts";
import { HEADER_SERVED, PATH_EXPLAIN } from "../src/wire/names.ts";
import { chatBody, LONG_SYSTEM, SYSTEM_BLOCKS } from "./bodies.ts";
import type { Feed, Load } from "./feed.ts";
import type { Endpoint, Side } from "./sides.ts";

const IDLE: Load = { waiting: 0, running: 0, kvUsage: 0 };
/** So much that no cached prompt makes up for it. */
const BUSY: Load = { waiting: 100, running: 100, kvUsage: 1 };
/** Workers look for new metrics at most once in 1 ms. */
const HEARD_MS = 1;
const ATTEMPTS = 20;
const REQUEST_LIMIT_MS = 5_000;
const PATH = "/v1/chat/completions";
/** Seeds of bodies that no mix uses: the system prompt is all that they leave behind. */
const SEED = 1_000_000;

/** One endpoint after the other is the only idle one, and gets a request of its own. */
export async function placeEverywhere(side: Side, feed: Feed, endpoints: readonly Endpoint[], bodyBytes: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    await feed.withRows(async (push) => {
      for (const [only, { host }] of endpoints.entries()) {
        const body = chatBody(bodyBytes, SEED + only, LONG_SYSTEM);
        await push(endpoints.map((_, i) => (i === only ? IDLE : BUSY)));
        await untilServedBy(host, () => ask(agent, side.port, body));
      }
    });
  } finally {
    agent.destroy();
  }
}

async function untilServedBy(host: string, ask: () => Promise<string>): Promise<void> {
  let served = "";
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    await sleep(HEARD_MS);
    served = await ask();
    if (served.startsWith(`${host}:`)) return;
  }
  throw new Error(`the only idle endpoint, ${host}, got none of ${ATTEMPTS} requests; the last went to ${served}`);
}

/** Sends a request; answers who served it. */
function ask(agent: Agent, port: number, body: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const options = { agent, host: "127.0.0.1", port, path: PATH, method: "POST", headers, timeout: REQUEST_LIMIT_MS };
    const call = request(options, (response) => {
      response.resume();
      response.on("end", () => resolve(String(response.headers[HEADER_SERVED])));
    });
    call.on("timeout", () => call.destroy(new Error(`no answer in ${REQUEST_LIMIT_MS} ms`)));
    call.on("error", reject).end(body);
  });
}

/** Throws unless the filter believes that every endpoint holds the system prompt. */
export async function checkEverywhere(side: Side, endpoints: readonly Endpoint[], bodyBytes: number): Promise<void> {
  const body = chatBody(bodyBytes, SEED - 1, LONG_SYSTEM);
  const headers = { "content-type": "application/json" };
  const { status, body: answer } = await post(side.socketPath, `${PATH_EXPLAIN}${PATH}`, headers, body);
  if (status !== 200) throw new Error(`the filter explains no pick: ${status} ${answer.toString("utf8", 0, 400)}`);
  const { candidates } = JSON.parse(answer.toString()) as Explanation;
  const holders = candidates.filter(({ matchedBlocks }) => matchedBlocks >= SYSTEM_BLOCKS);
  if (holders.length < endpoints.length) {
    throw new Error(`${holders.length} of ${endpoints.length} endpoints hold the system prompt, expected all`);
  }
}
