// The open loop: the same requests at the same moments to every side, whether they keep up or not.

import type { Side } from "./side.ts";
import type { Workload } from "./workload.ts";

/** A request may be sent this much later than planned. */
const TICK_MS = 5;
/** After a longer standstill of the process the plan goes on from the present. */
const LAG_MS_MAX = 1_000;

/** Starts to send; the function it returns stops it. What is under way goes on. */
export function startLoad(workload: Workload, ratePerS: number, sides: readonly Side[]): () => void {
  let dueMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    if (nowMs - dueMs > LAG_MS_MAX) dueMs = nowMs;
    while (dueMs <= nowMs) {
      const planned = workload.next();
      for (const side of sides) side.send(planned);
      dueMs += workload.gapMs(ratePerS);
    }
  }, TICK_MS);
  return () => clearInterval(timer);
}
