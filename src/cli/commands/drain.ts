// `pointsman drain`: before an Envoy is ended, whoever waits for a place is told so, and nobody waits any more.

import { drain } from "../control-socket.ts";
import { PATH } from "../flags.ts";
import type { Runnable } from "../main.ts";

const flags = {
  socket: { kind: PATH, required: true, help: "control socket of the Envoy that is about to end" },
} as const;

export const command: Runnable<typeof flags> = {
  name: "drain",
  summary: "answers every request that waits for a place, before Envoy is ended (a preStop hook)",
  flags,
  run: async ({ socket }) => {
    const waiting = await drain(socket);
    if (waiting > 0) throw new Error(`drain: ${waiting} requests still wait`);
    return 0;
  },
};
