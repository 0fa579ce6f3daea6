// Steady load: clients that ask again as soon as they have their answer, and what failed of it.

import { setTimeout as sleep } from "node:timers/promises";
import { HEADER_DESTINATION } from "../../../src/wire/names.ts";
import type { Received } from "./backend.ts";
import { chat } from "./bodies.ts";
import type { Running } from "./gateway.ts";

export interface Load {
  readonly answered: () => number;
  readonly failures: readonly string[];
  readonly stop: () => Promise<void>;
}

export interface LoadOptions {
  /** Half of each protocol. */
  readonly clients?: number;
  /** Of each client, between an answer and its next request. */
  readonly pauseMs?: number;
}

const CHAT = "/v1/chat/completions";

/** The servers must answer with what they received. */
export function startLoad(gateway: Running, { clients = 8, pauseMs = 0 }: LoadOptions = {}): Load {
  const failures: string[] = [];
  let answered = 0;
  let going = true;
  const loops = Array.from({ length: clients }, async (_, n) => {
    const client = gateway.client(n % 2 === 0 ? "h1" : "h2", 1);
    while (going) {
      try {
        const answer = await client.call({ path: CHAT, body: chat() });
        answered += 1;
        if (answer.status !== 200) failures.push(`${answer.status} ${answer.body.toString()}`);
        else failures.push(...strayed(answer.json() as Received));
      } catch (error) {
        failures.push(String(error));
      }
      if (pauseMs > 0) await sleep(pauseMs);
    }
  });
  return {
    answered: () => answered,
    failures,
    stop: async () => {
      going = false;
      await Promise.all(loops);
    },
  };
}

/** Envoy serves by itself what is steered to a server that it does not know. */
function strayed({ by, headers }: Received): readonly string[] {
  const list = headers[HEADER_DESTINATION]?.[0] ?? "nobody";
  return list.split(",")[0] === by ? [] : [`steered to ${list}, served by ${by}`];
}
