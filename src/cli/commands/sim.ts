// `pointsman sim`: one simulated vLLM server, in the foreground.

import { formatAddress } from "../../envoy/address.ts";
import { runSim, type SimValues, simOptions } from "../../sim/command.ts";
import { type Flag, SWITCH, TEXT, UsageError } from "../flags.ts";
import type { Runnable } from "../main.ts";
import { toldToStop } from "../signals.ts";

const flags: Readonly<Record<string, Flag<string | boolean>>> = Object.fromEntries(
  Object.entries(simOptions).map(([name, option]) => [
    name,
    option.type === "boolean"
      ? { kind: SWITCH, help: option.description }
      : { kind: { ...TEXT, placeholder: option.placeholder }, help: option.description },
  ]),
);

export const command: Runnable<typeof flags> = {
  name: "sim",
  summary: "one simulated vLLM server, an instrument for trying things",
  flags,
  run: async (given) => {
    const stopping = toldToStop();
    const sim = await runSim(given as SimValues).catch((error: Error) => {
      throw error instanceof RangeError ? new UsageError(`pointsman sim: ${error.message}`) : error;
    });
    console.log(`pointsman: simulated vLLM server on http://${formatAddress(sim.address)}`);
    await stopping;
    await sim.stop();
    return 0;
  },
};
