// One timer for every simulated server of the process: it runs while any of them has work.

/** A token may come this much later than computed. */
const TICK_MS = 5;

type Tick = (nowMs: number) => void;

const ticks = new Set<Tick>();
let timer: NodeJS.Timeout | undefined;

/** Calls `tick` every few milliseconds until `stopTicking`. Adding one twice is adding it once. */
export function startTicking(tick: Tick): void {
  ticks.add(tick);
  timer ??= setInterval(tickAll, TICK_MS);
}

export function stopTicking(tick: Tick): void {
  ticks.delete(tick);
  if (ticks.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

function tickAll(): void {
  const nowMs = performance.now();
  for (const tick of ticks) tick(nowMs);
}
