// How long a call takes when nothing disturbs it.

const ROUNDS = 7;
/** Long enough for V8's optimizing tier. */
const ROUND_MS = 150;
/** Calls between two looks at the clock, which itself takes as long as a short call. */
const BATCH = 32;

/** CPU time of this thread: what other processes take of the core does not count. */
function threadUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** The fastest of some rounds, in µs per call. */
export function fastestUs(run: () => void): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const [startUs, endMs] = [threadUs(), performance.now() + ROUND_MS];
    let calls = 0;
    while (performance.now() < endMs) {
      for (let i = 0; i < BATCH; i++) run();
      calls += BATCH;
    }
    return (threadUs() - startUs) / calls;
  });
  return Math.min(...rounds);
}
