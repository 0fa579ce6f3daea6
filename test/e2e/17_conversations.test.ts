// Conversations stay where their beginning is cached, whichever worker a turn comes through.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, expect, test } from "vitest";
import { Conversation } from "../../bench/quality/conversation.ts";
import { Words } from "../../bench/quality/words.ts";
import { startPlainEnvoy } from "../../src/demo/plain-envoy.ts";
import { type Sim, startSim } from "../../src/sim/server.ts";
import { Client } from "./support/client.ts";
import { startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const SESSIONS = 20;
const TURNS = 10;
const SERVERS = 8;
const BLOCK_TOKENS = 16;
/** Lengths of what is said: in bytes, but of the answers. From, to. */
const SYSTEM_BYTES = [1_000, 4_000] as const;
const QUESTION_BYTES = [200, 1_200] as const;
const ANSWER_TOKENS = [16, 64] as const;
const PAUSE_MS = [0, 60] as const;

const SEED = Number(process.env.QUALITY_SEED ?? Date.now() % 1_000_000);

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function startServers(): Promise<readonly Sim[]> {
  const sims = await onOnePort(SERVERS, (listen) =>
    startSim({ listen, blockSize: BLOCK_TOKENS, blocks: 4_097, maxRunning: 16, decodeTokensPerS: 400 }),
  );
  undo.push(() => Promise.all(sims.map((sim) => sim.stop())));
  return sims;
}

/** Tokens of prompts that were said before in their conversation, in whole blocks of the servers. */
interface Reuse {
  readonly possible: number;
  readonly share: number;
}

/** All sessions at once; each takes its turns through one client after the other. */
async function converse(clients: readonly Client[], sims: readonly Sim[]): Promise<Reuse> {
  const possible = await Promise.all(
    Array.from({ length: SESSIONS }, async (_, n) => {
      // Of its own, so that the same is said whatever the order of the answers.
      const words = new Words(SEED + n);
      const session = new Conversation(words.text(words.between(SYSTEM_BYTES)));
      let reusable = 0;
      let soFar = 0;
      for (let turn = 0; turn < TURNS; ++turn) {
        await sleep(words.between(PAUSE_MS));
        const limits = { model: "sim", max_tokens: words.between(ANSWER_TOKENS) };
        const body = session.ask(words.text(words.between(QUESTION_BYTES)), limits);
        const client = clients[(n + turn) % clients.length]!;
        const answer = await client.call({ path: "/v1/chat/completions", body });
        expect(answer.status, answer.body.toString()).toBe(200);
        const { choices, usage } = answer.json();
        session.hear(choices[0].message.content);
        reusable += soFar;
        // A server never has the last token of what it says.
        soFar = Math.floor((usage.total_tokens - 1) / BLOCK_TOKENS) * BLOCK_TOKENS;
      }
      return reusable;
    }),
  );
  const sum = possible.reduce((all, one) => all + one, 0);
  const cached = sims.reduce((all, sim) => all + sim.stats().prefixHitTokens, 0);
  return { possible: sum, share: cached / sum };
}

async function throughPointsman(workers: number): Promise<Reuse> {
  const sims = await startServers();
  const gateway = await startGateway({ servers: sims, concurrency: workers });
  undo.push(() => gateway.stop());
  await gateway.measured();
  const clients = (await gateway.clientsByWorker()).flat();
  await gateway.joined(workers);
  return converse(clients, sims);
}

async function throughRoundRobin(workers: number): Promise<Reuse> {
  const sims = await startServers();
  const dir = mkdtempSync(join(tmpdir(), "pointsman-round-robin-"));
  undo.push(() => rmSync(dir, { recursive: true, force: true }));
  const servers = sims.map(({ address }) => address);
  const envoy = await startPlainEnvoy({ servers, policy: "ROUND_ROBIN", dir, workers });
  undo.push(() => envoy.stop());
  const clients = Array.from({ length: workers }, () => new Client(envoy.listen, "h2"));
  undo.push(() => clients.map((client) => client.close()));
  return converse(clients, sims);
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

let four: Reuse;

beforeAll(async () => {
  four = await throughPointsman(4);
});

test("of what was said before, nine tenths need not be computed again", async ({ annotate }) => {
  const inTurn = await throughRoundRobin(4);
  const shares = `${percent(four.share)}, round robin ${percent(inTurn.share)}`;
  const found = `of ${four.possible} tokens: ${shares}, seed ${SEED}`;
  await annotate(`from cache, ${found}`);
  expect(four.possible, "the same was said").toBe(inTurn.possible);
  expect(four.share, found).toBeGreaterThanOrEqual(0.9);
  expect(four.share, "no more than there was").toBeLessThanOrEqual(1);
});

test("four workers find as much as one", async ({ annotate }) => {
  const one = await throughPointsman(1);
  const found = `4 workers ${percent(four.share)}, 1 worker ${percent(one.share)}, seed ${SEED}`;
  await annotate(`from cache, ${found}`);
  expect(Math.abs(four.share - one.share), found).toBeLessThanOrEqual(0.02);
});
