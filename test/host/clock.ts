// The time that the modules of one process see. It moves only when a test moves it.

export class Clock {
  /** Nanoseconds of the monotonic clock (WASI clock 1). Starts away from zero, as a real machine's does. */
  monotonicNs = 1_000_000_000_000n;
  /** Nanoseconds since 1970 (WASI clock 0, proxy_get_current_time_nanoseconds). */
  wallNs = 1_767_225_600_000_000_000n;

  /** Moves both clocks; a fraction of a millisecond is kept to the nanosecond. No timer fires. */
  advanceMs(ms: number): void {
    this.advanceNs(BigInt(Math.round(ms * 1e6)));
  }

  advanceNs(ns: bigint): void {
    this.monotonicNs += ns;
    this.wallNs += ns;
  }
}
