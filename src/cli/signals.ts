// The end of a foreground job.

/** Resolves at the first SIGINT, SIGTERM or SIGHUP; for a child with a channel, also when its parent is gone. */
export function toldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
    if (process.connected) process.once("disconnect", () => resolve());
  });
}
