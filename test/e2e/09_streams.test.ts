// Many streams at once, and slow ones: none of Envoy's usual limits on either is in the way.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Backend, type Exchange } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import type { Client, Live } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";
const SLOW = "/v1/completions";
const STREAMS = 3_000;
const H2_CONNECTIONS = 6;
/** Longer than the 15 s after which Envoy ends a request when nothing else is said. */
const PAUSE_MS = 17_000;
/** A connection on either side of Envoy for each stream, and some more. */
const FILES_NEEDED = 2 * STREAMS + 500;

let backends: readonly Backend[] = [];
let gateway: Gateway;
let slow: Promise<readonly string[]>;
const open: Exchange[] = [];

beforeAll(async () => {
  const handler = async (exchange: Exchange) => {
    const { read, response, request } = exchange;
    await read();
    if (request.url === SLOW) {
      if (request.headers["x-pause"] === "before") await sleep(PAUSE_MS);
      response.write("one ");
      if (request.headers["x-pause"] === "after") await sleep(PAUSE_MS);
      response.end("two");
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: first\n\n");
    open.push(exchange);
  };
  backends = await onOnePort(8, (listen) => Backend.start(listen, { handler }));
  gateway = await startGateway({ servers: backends });
  await gateway.measured();
  slow = Promise.all(
    (["before", "after"] as const).map(async (pause) => {
      const headers = { "x-pause": pause };
      const answer = await gateway.client().call({ path: SLOW, body: chat(), headers, limitMs: 2 * PAUSE_MS });
      return `${answer.status} ${answer.body.toString()}`;
    }),
  );
  slow.catch(() => {});
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

function openFilesMax(pid: number | "self"): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8")) ?? [];
  return Number(soft);
}

/** Resolves with the first event, before the answer has ended. */
async function firstEvent({ status, body }: Live): Promise<{ readonly rest: Promise<string> }> {
  expect(status).toBe(200);
  let text = "";
  const first = Promise.withResolvers<void>();
  const rest = Promise.withResolvers<string>();
  body.on("data", (piece: Buffer) => {
    text += piece.toString();
    first.resolve();
  });
  body.on("end", () => rest.resolve(text));
  body.on("error", rest.reject);
  await first.promise;
  return { rest: rest.promise };
}

test(`${STREAMS} streams at once, each event as it comes`, { timeout: 60_000 }, async () => {
  for (const pid of ["self", gateway.up.envoyPid()] as const) {
    expect(openFilesMax(pid), "open files allowed: raise them with `ulimit -n`").toBeGreaterThan(FILES_NEEDED);
  }
  const h1 = gateway.client("h1");
  const h2 = Array.from({ length: H2_CONNECTIONS }, () => gateway.client("h2"));
  const clients: readonly Client[] = [...h2, ...h2.map(() => h1)];
  const streams = await Promise.all(
    Array.from({ length: STREAMS }, async (_, n) =>
      firstEvent(await clients[n % clients.length]!.begin({ path: CHAT, body: chat({ stream: true }) })),
    ),
  );
  expect(open).toHaveLength(STREAMS);
  await eventually(
    () => gateway.inFlight(),
    (count) => count === STREAMS + 2,
  );
  const perServer = backends.map((backend) => open.filter((exchange) => exchange.backend === backend).length);
  for (const count of perServer) expect(Math.abs(count - STREAMS / 8)).toBeLessThan(STREAMS / 80);
  for (const { response } of open) response.end("data: [DONE]\n\n");
  for (const { rest } of streams) expect(await rest).toBe("data: first\n\ndata: [DONE]\n\n");
  await eventually(
    () => gateway.inFlight(),
    (count) => count <= 2,
  );
});

test("a server that thinks for 17 s before or within its answer", { timeout: 2 * PAUSE_MS }, async () => {
  expect(await slow).toEqual(["200 one two", "200 one two"]);
});
