// Times as the API server writes those of Leases and Events: a point in time to the microsecond.

/** Now, by the clock of this machine. */
export function microTime(): string {
  // JavaScript's clock knows milliseconds.
  return new Date().toISOString().replace("Z", "000Z");
}
