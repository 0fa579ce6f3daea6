// The two workloads: what users ask, and when.

import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "./conversation.ts";
import { openLoop } from "./open-loop.ts";
import { Words } from "./words.ts";

export const WORKLOADS = ["conversations", "prompts"] as const;
export type WorkloadName = (typeof WORKLOADS)[number];

/** Sends a body; resolves to the text of the answer when it is whole, empty when there is none. */
export type Send = (body: string) => Promise<string>;

export type Workload = {
  /** In a few words, for the record. */
  readonly what: string;
  /** Sends for so long; resolves when nothing more is sent. */
  readonly run: (seed: number, seconds: number, send: Send) => Promise<unknown>;
};

const LIMITS = { model: "sim", stream: true, stream_options: { include_usage: true } };

const USERS = 80;
const TURNS = 10;
const THINK_MS = 2_000;
const OWN_SYSTEM_BYTES = [1_000, 6_000] as const;
const QUESTION_BYTES = [100, 1_500] as const;
const ANSWER_TOKENS = [32, 96] as const;
/** The first questions of the users are spread over this time. */
const START_MS = 20_000;

/** Asks, reads, thinks, and asks on; after ten turns something else. */
async function user(words: Words, endMs: number, send: Send): Promise<void> {
  await sleep(Math.min(words.share() * START_MS, endMs - performance.now()));
  let chat: Conversation | undefined;
  while (performance.now() < endMs) {
    if (chat === undefined || chat.turns === TURNS)
      chat = new Conversation(words.text(words.between(OWN_SYSTEM_BYTES)));
    const question = words.text(words.between(QUESTION_BYTES));
    chat.hear(await send(chat.ask(question, { ...LIMITS, max_tokens: words.between(ANSWER_TOKENS) })));
    await sleep(words.gap(THINK_MS));
  }
}

const PROMPTS = 12;
const PROMPT_BYTES = [2_000, 24_000] as const;
const INPUT_BYTES = [60, 16_000] as const;
const REPLY_TOKENS = [16, 96] as const;
const RATE_PER_S = 20;

/** As many short as long ones, by orders of magnitude. */
function spreadOut(words: Words, [from, to]: readonly [number, number]): number {
  return Math.round(from * (to / from) ** words.share());
}

/** The first is asked for twice as often as the second, three times as often as the third … */
function popular(words: Words, count: number): number {
  const weights = Array.from({ length: count }, (_, n) => 1 / (n + 1));
  let draw = words.share() * weights.reduce((sum, weight) => sum + weight, 0);
  return Math.max(
    0,
    weights.findIndex((weight) => {
      draw -= weight;
      return draw < 0;
    }),
  );
}

async function shared(seed: number, seconds: number, send: Send): Promise<void> {
  const words = new Words(seed);
  const prompts = Array.from({ length: PROMPTS }, () => words.text(spreadOut(words, PROMPT_BYTES)));
  await openLoop(words, RATE_PER_S, seconds, () => {
    const chat = new Conversation(prompts[popular(words, PROMPTS)]!);
    const input = words.text(spreadOut(words, INPUT_BYTES));
    void send(chat.ask(input, { ...LIMITS, max_tokens: words.between(REPLY_TOKENS) }));
  });
}

export const workloads: Readonly<Record<WorkloadName, Workload>> = {
  conversations: {
    what:
      `${USERS} users, each in conversations of ${TURNS} turns with a system prompt of their own; ` +
      `${THINK_MS} ms to think`,
    run: (seed, seconds, send) => {
      const endMs = performance.now() + seconds * 1000;
      return Promise.all(Array.from({ length: USERS }, (_, n) => user(new Words(seed + n), endMs, send)));
    },
  },
  prompts: {
    what:
      `${RATE_PER_S} requests a second, each with one of ${PROMPTS} system prompts, some more popular than others, ` +
      "and inputs of 60 B to 16 KB",
    run: shared,
  },
};
