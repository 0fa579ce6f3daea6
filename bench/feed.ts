// Keeps the filter supplied as the agent would: a topology once, then a metrics blob every 50 ms in
// which every row is new. The agent itself stays out, so that its CPU cannot disturb the slices.

import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeMetrics, encodeTopology, type MetricsRow } from "../src/control/encode.ts";
import { poolName } from "../src/control/endpoints.ts";
import type { Program } from "../src/control/scheduling/program.ts";
import { HEADER_SERVED, PATH_METRICS, PATH_TOPOLOGY } from "../src/wire/names.ts";
import { chatBody, randomFrom } from "./bodies.ts";
import { type Endpoint, POOL, type Side } from "./sides.ts";

export type Feed = {
  /** Throws when a push was refused since the start. */
  check(): void;
  /** Pushes rows of the caller's while `use` runs, in the place of its own. */
  withRows(use: (push: (rows: readonly Load[]) => Promise<void>) => Promise<void>): Promise<void>;
  stop(): void;
};

/** What an endpoint says of its load. */
export type Load = { readonly waiting: number; readonly running: number; readonly kvUsage: number };

const INTERVAL_MS = 50;
const EPOCH = 1;
const FORCE_LIMIT_MS = 10_000;
const PUSH_LIMIT_MS = 5_000;

/** Resolves when a request through `side` has been steered. Without a program the filter picks by its own default. */
export async function startFeed(side: Side, endpoints: readonly Endpoint[], program?: Program): Promise<Feed> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const random = randomFrom(1);
  const addresses = endpoints.map(({ host, port }, i) => ({ address: `${host}:${port}`, pod: `server-${i}` }));
  const topology = {
    epoch: EPOCH,
    ...(program === undefined ? {} : { program }),
    pools: [{ name: poolName(POOL), failureMode: POOL.failureMode, endpoints: addresses }],
  };
  let problem: Error | undefined;
  let sequence = 0;
  let held = false;
  const push = (loads: readonly Load[]) => {
    sequence++;
    const rows = loads.map((load) => metricsRow(load, random() * INTERVAL_MS, sequence));
    return put(agent, side.socketPath, PATH_METRICS, encodeMetrics({ epoch: EPOCH, sequence, rows }));
  };
  const pushOwn = () => push(endpoints.map(() => loadAtWork(random)));
  await put(agent, side.socketPath, PATH_TOPOLOGY, encodeTopology(topology));
  await pushOwn();
  const timer = setInterval(() => {
    if (held) return;
    pushOwn().catch((error: Error) => {
      problem ??= error;
    });
  }, INTERVAL_MS);
  const feed: Feed = {
    check() {
      if (problem !== undefined) throw problem;
    },
    async withRows(use) {
      held = true;
      try {
        await use(push);
      } finally {
        held = false;
      }
    },
    stop() {
      clearInterval(timer);
      agent.destroy();
    },
  };
  try {
    await untilSteered(side);
    return feed;
  } catch (error) {
    feed.stop();
    throw error;
  }
}

/**
 * A server at work with little to tell it from its peers, and many exactly like it: new prompts spread over
 * all of them as round robin's requests do, so that the sides differ by the filter and not by how warm
 * upstream connections are.
 */
function loadAtWork(random: () => number): Load {
  const kvUsage = 0.3 + Math.floor(random() * 4) * 0.005;
  return { waiting: random() < 0.1 ? 1 : 0, running: Math.floor(random() * 4), kvUsage };
}

/** Its cache is a large one, 1 M tokens: what was warmed up stays. */
function metricsRow(load: Load, ageMs: number, scrape: number): MetricsRow {
  return { ...load, blockSize: 16, blocks: 65_536, maxAdapters: undefined, ageMs, intervalMs: INTERVAL_MS, scrape };
}

function put(agent: Agent, socketPath: string, path: string, body: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { "content-length": body.length, "content-type": "application/octet-stream" };
    const call = request({ agent, socketPath, path, method: "PUT", headers, timeout: PUSH_LIMIT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`PUT ${path} was answered ${response.statusCode}: ${text}`));
      });
    });
    call.on("timeout", () => call.destroy(new Error(`PUT ${path}: no answer in ${PUSH_LIMIT_MS} ms`)));
    call.on("error", reject).end(body);
  });
}

/** Until the filter picks: an unsteered request would measure something else. */
async function untilSteered(side: Side): Promise<void> {
  const body = new Uint8Array(chatBody(1024, 0));
  let last = "no answer";
  for (const deadline = Date.now() + FORCE_LIMIT_MS; Date.now() < deadline; await sleep(20)) {
    const response = await fetch(`http://127.0.0.1:${side.port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: AbortSignal.timeout(5_000),
    });
    // A stream of events has no end to wait for.
    await response.body?.cancel();
    if (response.headers.has(HEADER_SERVED)) return;
    last = `status ${response.status} without ${HEADER_SERVED}`;
  }
  throw new Error(`the filter picked no endpoint within ${FORCE_LIMIT_MS} ms: ${last}`);
}
