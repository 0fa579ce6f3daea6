// How would a request be picked? Asked over the control socket by the command, and by a client's header; the
// answer is the pick that the next such request gets.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Explanation } from "../../src/cli/explanation.ts";
import { formatAddress } from "../../src/envoy/address.ts";
import { HEADER_SERVED } from "../../src/wire/names.ts";
import { run } from "../cli/command-line.ts";
import { Backend } from "./support/backend.ts";
import { chat } from "./support/bodies.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";
const LONG = "The same long beginning of every conversation in this test, again and again. ".repeat(40);

describe("one of three servers has a queue", () => {
  let backends: readonly Backend[] = [];
  let gateway: Gateway;
  const dir = mkdtempSync(join(tmpdir(), "pointsman-explain-"));
  const file = join(dir, "request.json");
  const body = chat({ model: "m", messages: [{ role: "user", content: LONG }] });

  beforeAll(async () => {
    backends = await onOnePort(3, (listen) => Backend.start(listen));
    backends[1]!.load = { waiting: 9, running: 1, kvUsage: 0.75 };
    gateway = await startGateway({ servers: backends, concurrency: 2, filter: { explain: true } });
    await gateway.measured();
    writeFileSync(file, body);
  });

  afterAll(async () => {
    await gateway?.stop();
    for (const backend of backends) await backend.stop();
    rmSync(dir, { recursive: true });
  });

  const busy = () => formatAddress(backends[1]!.address);
  const explain = (...more: string[]) => run("explain", "--socket", gateway.up.socketPath, "--request", file, ...more);

  test("the command shows every candidate, every scorer, and the winner", async () => {
    const { status, stdout } = await explain("--json");
    expect(status).toBe(0);
    const told = JSON.parse(stdout) as Explanation;
    expect(told).toMatchObject({ pool: "default/chat", profile: "default", model: "m", picker: "max-score-picker" });
    expect(told.candidates.map(({ waiting, kvUsage, stale }) => ({ waiting, kvUsage, stale }))).toEqual([
      { waiting: 0, kvUsage: 0, stale: false },
      { waiting: 9, kvUsage: 0.75, stale: false },
      { waiting: 0, kvUsage: 0, stale: false },
    ]);
    const scorers = told.steps.flatMap((step) => ("scorer" in step ? [step] : []));
    expect(scorers.map(({ scorer, weight }) => [scorer, weight])).toEqual([
      ["prefix-cache-scorer", 3],
      ["queue-scorer", 2],
      ["kv-cache-utilization-scorer", 2],
      ["in-flight-scorer", 3],
    ]);
    expect(scorers[2]!.scores[1]).toEqual({ endpoint: busy(), raw: 0.25, weighted: 0.5 });
    expect(told.picked).toHaveLength(3);
    expect(told.picked[2]!.endpoint).toBe(busy());
    expect(told.picked.map(({ total }) => total)).toEqual([7, 7, 3.5]);
  });

  test("as text", async () => {
    const { stdout } = await explain();
    expect(stdout).toMatch(/^pool default\/chat, profile default, model m, \d+ tokens, draw \d+$/m);
    expect(stdout).toContain("prefix-cache-scorer × 3");
    expect(stdout).toMatch(/^max-score-picker picked /m);
  });

  test("nothing is sent, nothing is learned, and the pick comes as told", async () => {
    const before = backends.map(({ requests }) => requests);
    const client = gateway.client("h2");
    const asked = await client.call({ path: CHAT, body, headers: { "x-pointsman-explain": "1" } });
    expect(asked.status).toBe(200);
    const told = asked.json() as Explanation;
    expect(told.candidates.every(({ matchedBlocks, blocks }) => matchedBlocks === 0 && blocks > 10)).toBe(true);
    expect(backends.map(({ requests }) => requests)).toEqual(before);
    const served = await client.call({ path: CHAT, body });
    expect(served.headers[HEADER_SERVED]).toBe(told.picked[0]!.endpoint);
    const again = (await client.call({ path: CHAT, body, headers: { "x-pointsman-explain": "1" } })).json();
    const holder = (again as Explanation).candidates.find(({ endpoint }) => endpoint === told.picked[0]!.endpoint)!;
    expect(holder.matchedBlocks).toBe(holder.blocks);
  });

  test("what the client would be refused, the command is refused", async () => {
    writeFileSync(file, "no json");
    const { status, stderr } = await explain();
    writeFileSync(file, body);
    expect(status).toBe(1);
    expect(stderr).toContain("answered 400 (invalid_json): The request body is not valid JSON in UTF-8.");
  });
});

test("without leave the header is one like any other", async () => {
  const backends = await onOnePort(1, (listen) => Backend.start(listen));
  const gateway = await startGateway({ servers: backends });
  try {
    await gateway.measured();
    const answer = await gateway
      .client()
      .call({ path: CHAT, body: chat({ model: "m" }), headers: { "x-pointsman-explain": "1" } });
    expect(answer.headers[HEADER_SERVED]).toBe(formatAddress(backends[0]!.address));
  } finally {
    await gateway.stop();
    for (const backend of backends) await backend.stop();
  }
});
