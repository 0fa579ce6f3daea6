// What the access log says of each pick, and that nobody pays for it who has none.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Backend } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";

let dir: string;
let backends: readonly Backend[] = [];
let gateway: Gateway;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "pointsman-log-"));
  backends = await onOnePort(2, (listen) => Backend.start(listen));
  gateway = await startGateway({ servers: backends, accessLogPath: join(dir, "access.log") });
  await gateway.measured();
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Envoy writes its log every 10 s. */
const WRITTEN_WITHIN_MS = 20_000;

/** The line of the request with that user agent. */
async function lineOf(agent: string): Promise<string> {
  const line = () =>
    readFileSync(join(dir, "access.log"), "utf8")
      .split("\n")
      .find((each) => each.includes(`"${agent}"`));
  return (await eventually(async () => line(), Boolean, WRITTEN_WITHIN_MS)) ?? "";
}

test("a request that was picked for shows pool, endpoint, score and reason", async () => {
  const answer = await gateway.client().call({ path: CHAT, body: chat(), headers: { "user-agent": "picked" } });
  expect(answer.status).toBe(200);
  const line = await lineOf("picked");
  const [, endpoint, score] = / pool=default\/chat endpoint=(\S+) score=(\d+\.\d{3}) reason=scored$/.exec(line) ?? [];
  expect(backends.map(({ name }) => name)).toContain(endpoint);
  expect(Number(score)).toBeGreaterThan(0);
  expect(line).toContain(` 200 - `);
});

test("one that was refused shows why", async () => {
  await gateway.client().call({ path: CHAT, body: "no json", headers: { "user-agent": "refused" } });
  expect(await lineOf("refused")).toMatch(/ pool=default\/chat endpoint=- score=- reason=bad_request$/);
});
