// Three times what the servers can do, critical and sheddable requests mixed, through two workers: critical
// ones are all served and hardly notice, sheddable ones are told to come back later.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openLoop } from "../../bench/quality/open-loop.ts";
import { Words } from "../../bench/quality/words.ts";
import { type Sim, startSim } from "../../src/sim/server.ts";
import { HEADER_DROPPED_REASON } from "../../src/wire/names.ts";
import type { Client } from "./support/client.ts";
import { eventually } from "./support/eventually.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { CHAT, type Objective, Queueing, type Settings, wishes } from "./support/queueing.ts";

const SERVERS = 8;
const SLOTS = 8;
const DECODE_TOKENS_PER_S = 50;
const DECODE_SLOWDOWN = 0.3;
const ANSWER_TOKENS = 128;
/** 60 ms of prefill: what a time to first token is measured by, and seldom waits for another one's. */
const PREFILL_TOKENS_PER_S = 4_000;
const PROMPT_BYTES = 960;
const ANSWERS_PER_S = (SERVERS * SLOTS * DECODE_TOKENS_PER_S * (1 - DECODE_SLOWDOWN)) / ANSWER_TOKENS;
const CRITICAL_PER_S = 0.4 * ANSWERS_PER_S;
const SHEDDABLE_PER_S = 2.6 * ANSWERS_PER_S;
const SECONDS = 12;
/** What the issue asks for, and a tick of the servers' clock. */
const SLOWER_AT_MOST = 1.3;
const TICK_MS = 5;

const AT_FIRST: Settings = { queues: false, maxConcurrency: SLOTS };
/** Sheddable work stops at 5 of 8 slots: the others are for critical work. */
const GATE_OFF: Settings = { queues: false, maxConcurrency: 5 };
const GATE_ON: Settings = {
  queues: true,
  maxConcurrency: SLOTS,
  flowControl: {
    usageLimitPolicyPluginRef: "steps",
    priorityBands: [{ priority: 10 }, { priority: 0 }, { priority: -1, maxRequests: 10, defaultRequestTTL: "2s" }],
  },
  plugins: [{ name: "steps", type: "priority-holdback-policy", parameters: { minCeiling: 0.6 } }],
};

const SEED = Number(process.env.QUALITY_SEED ?? Date.now() % 1_000_000);

let sims: readonly Sim[];
let queueing: Queueing;
/** One on each worker. */
let clients: readonly Client[];

async function start(workers: number): Promise<void> {
  sims = await onOnePort(SERVERS, (listen) =>
    startSim({
      listen,
      maxRunning: SLOTS,
      prefillTokensPerS: PREFILL_TOKENS_PER_S,
      decodeTokensPerS: DECODE_TOKENS_PER_S,
      decodeSlowdown: DECODE_SLOWDOWN,
    }),
  );
  queueing = await Queueing.start({ settings: AT_FIRST, servers: sims, concurrency: workers });
  await queueing.gateway.measured();
  clients = (await queueing.gateway.clientsByWorker()).map(([client]) => client!);
  await queueing.gateway.joined(workers);
}

afterEach(async () => {
  await eventually(
    () => sims.reduce((sum, sim) => sum + sim.stats().running + sim.stats().waiting, 0),
    (count) => count === 0,
    20_000,
  );
});

async function stop(): Promise<void> {
  await queueing?.stop();
  await Promise.all((sims ?? []).map((sim) => sim.stop()));
}

/** What came of the requests of one objective. */
interface Share {
  readonly firstTokenMs: number[];
  served: number;
  refused: number;
  readonly other: string[];
}

function newShare(): Share {
  return { firstTokenMs: [], served: 0, refused: 0, other: [] };
}

const REFUSALS = ["rejected-saturated", "rejected-ttl-expired"];

async function send(words: Words, client: Client, objective: Objective, share: Share): Promise<void> {
  const messages = [{ role: "user", content: words.text(PROMPT_BYTES) }];
  const body = JSON.stringify({ model: "sim", messages, max_tokens: ANSWER_TOKENS, stream: true });
  const sentMs = performance.now();
  try {
    const live = await client.begin({ path: CHAT, body, headers: wishes({ objective }) });
    let text = "";
    for await (const piece of live.body) {
      if (text === "" && live.status === 200) share.firstTokenMs.push(performance.now() - sentMs);
      text += String(piece);
    }
    if (live.status === 200 && text.includes("[DONE]")) share.served += 1;
    else if (
      live.status === 429 &&
      REFUSALS.includes(String(live.headers[HEADER_DROPPED_REASON])) &&
      /^[1-9]\d?$/.test(String(live.headers["retry-after"]))
    )
      share.refused += 1;
    else share.other.push(`${live.status} ${JSON.stringify(live.headers)} ${text.slice(-200)}`);
  } catch (error) {
    share.other.push((error as Error).message);
  }
}

interface Shares {
  readonly critical: Share;
  readonly sheddable: Share;
}

async function load(sheddablePerS: number): Promise<Shares> {
  const words = new Words(SEED);
  const shares = { critical: newShare(), sheddable: newShare() };
  const under: Promise<void>[] = [];
  let sent = 0;
  const sender = (objective: Objective, share: Share) => () => {
    under.push(send(words, clients[sent++ % clients.length]!, objective, share));
  };
  await Promise.all([
    openLoop(words, CRITICAL_PER_S, SECONDS, sender("critical", shares.critical)),
    sheddablePerS > 0 && openLoop(words, sheddablePerS, SECONDS, sender("sheddable", shares.sheddable)),
  ]);
  await Promise.all(under);
  return shares;
}

function p90(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.9)] ?? Number.NaN;
}

describe.each([
  { workers: 2, named: "off and on", all: [GATE_OFF, GATE_ON] },
  { workers: 4, named: "on", all: [GATE_ON] },
])("$workers workers, the gate $named", ({ workers, all }) => {
  beforeAll(() => start(workers));
  afterAll(stop);

  test("critical requests are served as if they were alone", async ({ annotate }) => {
    const alone = await load(0);
    expect(alone.critical.other).toEqual([]);
    const limitMs = p90(alone.critical.firstTokenMs) * SLOWER_AT_MOST + TICK_MS;
    for (const settings of all) {
      await queueing.use(settings);
      const { critical, sheddable } = await load(SHEDDABLE_PER_S);
      const gate = settings.queues ? "on" : "off";
      const found =
        `gate ${gate}: p90 of the time to first token ${p90(critical.firstTokenMs).toFixed(1)} ms, ` +
        `alone ${p90(alone.critical.firstTokenMs).toFixed(1)}; critical ${critical.served} served, sheddable ` +
        `${sheddable.served} served and ${sheddable.refused} refused; seed ${SEED}`;
      await annotate(found);
      expect([critical.other, critical.refused], found).toEqual([[], 0]);
      expect(p90(critical.firstTokenMs), found).toBeLessThan(limitMs);
      expect(sheddable.other, found).toEqual([]);
      expect(sheddable.refused, found).toBeGreaterThan(sheddable.served);
      expect(sheddable.served, found).toBeGreaterThan(0);
    }
  }, 180_000);
});
