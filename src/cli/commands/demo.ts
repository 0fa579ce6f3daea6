// `pointsman demo`: simulated model servers, Pointsman beside round robin, a live table.

import { runDemo } from "../../demo/main.ts";
import { ADDRESS, UsageError, whole } from "../flags.ts";
import type { Runnable } from "../main.ts";
import { present } from "../present.ts";
import { toldToStop } from "../signals.ts";

const SECONDS = whole(1, 86_400);

const flags = {
  listen: { kind: ADDRESS, help: "where Pointsman's Envoy listens (default 127.0.0.1:8080)" },
  seconds: { kind: SECONDS, help: "ends after so long (default DEMO_SECONDS, else at Ctrl-C)" },
} as const;

export const command: Runnable<typeof flags> = {
  name: "demo",
  summary: "the same workload through Pointsman and through round robin, as a live table",
  flags,
  run: async (given) => {
    const stopping = new AbortController();
    void toldToStop().then(() => stopping.abort());
    const seconds = given.seconds ?? secondsOf(process.env.DEMO_SECONDS);
    return runDemo({ signal: stopping.signal, out: process.stdout, ...present({ listen: given.listen, seconds }) });
  },
};

function secondsOf(text: string | undefined): number | undefined {
  if (!text) return undefined;
  const seconds = SECONDS.parse(text);
  if (seconds === undefined) throw new UsageError(`pointsman demo: DEMO_SECONDS=${text}: expected ${SECONDS.expected}`);
  return seconds;
}
