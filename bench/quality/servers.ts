// The process of the simulated model servers: all alike, all on one port.

import { type Sim, startSim } from "../../src/sim/server.ts";
import { answerQuestions } from "../worker.ts";
import { SERVERS, SPEED } from "./speed.ts";

/** Starts servers, empty ones, in place of those from before. */
export type ServersQuestion = { readonly kind: "start" };

export type ServersAnswer = { readonly servers: readonly { readonly host: string; readonly port: number }[] };

const PORT_TRIES = 20;

let sims: Sim[] = [];

async function startAll(): Promise<void> {
  for (let n = 0; n < SERVERS; n += 1) {
    const listen = { host: `127.0.1.${n + 1}`, port: sims[0]?.address.port ?? 0 };
    sims.push(await startSim({ ...SPEED, listen }));
  }
}

async function stopAll(): Promise<void> {
  await Promise.all(sims.map((sim) => sim.stop()));
  sims = [];
}

answerQuestions(async (_: ServersQuestion): Promise<ServersAnswer> => {
  for (let tries = 1; ; tries += 1) {
    await stopAll();
    try {
      await startAll();
      return { servers: sims.map(({ address }) => address) };
    } catch (error) {
      // The port that the system chose for the first address may be taken at another.
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || tries === PORT_TRIES) throw error;
    }
  }
});
