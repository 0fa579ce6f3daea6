// The demo's simulated model servers: two equal sets of four, each set on a port of its own.

import { type Sim, type SimOptions, startSim } from "../sim/server.ts";

export const MODEL = "demo-model";

/** Speed of each server of a set, in parts of the fastest. */
export const SPEEDS = [1, 1, 0.5, 0.25] as const;

/** The last byte of the first server's address; the others follow. */
export const FIRST_SET = 11;
export const SECOND_SET = 21;

const PREFILL_TOKENS_PER_S = 8_000;
const DECODE_TOKENS_PER_S = 40;
const PORT_TRIES = 20;

export function optionsOf(speed: number): SimOptions {
  return {
    model: MODEL,
    maxRunning: 16,
    blocks: 1025,
    blockSize: 16,
    prefillTokensPerS: PREFILL_TOKENS_PER_S * speed,
    decodeTokensPerS: DECODE_TOKENS_PER_S * speed,
    decodeSlowdown: 0.3,
  };
}

/** One server per speed at 127.0.0.`first` and the addresses after it, all on one port, as pods of a pool are. */
export async function startServers(first: number): Promise<Sim[]> {
  for (let tries = 1; ; tries += 1) {
    const sims: Sim[] = [];
    try {
      for (const [index, speed] of SPEEDS.entries()) {
        const port = sims[0]?.address.port ?? 0;
        sims.push(await startSim({ ...optionsOf(speed), listen: { host: `127.0.0.${first + index}`, port } }));
      }
      return sims;
    } catch (error) {
      await Promise.all(sims.map((sim) => sim.stop()));
      // The port that the system chose for the first address may be taken at another.
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || tries === PORT_TRIES) {
        throw new Error(`the simulated servers can't listen on 127.0.0.${first}…: ${(error as Error).message}`);
      }
    }
  }
}
