// The process that asks: one workload at a time.

import { Agent } from "node:http";
import { answerQuestions } from "../worker.ts";
import { ask } from "./ask.ts";
import { type WorkloadName, workloads } from "./workloads.ts";

export type ClientQuestion = {
  readonly workload: WorkloadName;
  readonly to: { readonly host: string; readonly port: number };
  readonly seed: number;
  /** What is sent before counts for nothing. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
};

export type ClientAnswer = {
  /** Of each request; who gave up waited PATIENCE_MS. */
  readonly firstTokenMs: readonly number[];
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Requests without an answer. */
  readonly failed: number;
};

/** Of a client that has no whole answer. */
const PATIENCE_MS = 30_000;

answerQuestions(async ({ workload, to, seed, warmUpSeconds, seconds }: ClientQuestion): Promise<ClientAnswer> => {
  const agent = new Agent({ keepAlive: true });
  const countFromMs = performance.now() + warmUpSeconds * 1000;
  const firstTokenMs: number[] = [];
  const underWay = new Set<Promise<unknown>>();
  let [promptTokens, cachedTokens, failed] = [0, 0, 0];
  const send = async (body: string): Promise<string> => {
    const counts = performance.now() >= countFromMs;
    const asking = ask({ agent, to, body, patienceMs: PATIENCE_MS });
    underWay.add(asking);
    const asked = await asking;
    underWay.delete(asking);
    if (!counts) return asked.text;
    firstTokenMs.push(asked.firstTokenMs ?? PATIENCE_MS);
    promptTokens += asked.promptTokens;
    cachedTokens += asked.cachedTokens;
    if (asked.firstTokenMs === undefined) failed += 1;
    return asked.text;
  };
  await workloads[workload].run(seed, warmUpSeconds + seconds, send);
  await Promise.all(underWay);
  agent.destroy();
  return { firstTokenMs, promptTokens, cachedTokens, failed };
});
