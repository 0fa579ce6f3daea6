// How often endpoints are asked for their metrics. A few are asked as often as is useful; many, only as often as one
// processor can do beside everything else. What is asked less often goes stale later, as rows say their interval.

/** Of an idle endpoint, and of one that does not answer. */
const IDLE_INTERVAL_MS = 1_000;
/** A scrape takes 0.1 to 0.2 ms of processor: 2,000 a second are a third of one. 100 busy endpoints stay below that. */
const MS_PER_BUSY_SCRAPE = 0.5;
/**
 * Less for what has nothing to tell. At 5,000 endpoints that is 3.5 s: connections are kept for 4 s, and to make one
 * for each scrape would cost twice as much.
 */
const MS_PER_IDLE_SCRAPE = 0.7;
/** The first one connects, too. */
const MS_PER_FIRST_SCRAPE = 1;

export class Pace {
  readonly #busyIntervalMs: number;
  #endpoints = 0;
  #busy = 0;

  /** Of an endpoint with work, while there are not too many of those. */
  constructor(busyIntervalMs: number) {
    this.#busyIntervalMs = busyIntervalMs;
  }

  /** How many endpoints there are, and how many of them have work. */
  set(endpoints: number, busy: number): void {
    this.#endpoints = endpoints;
    this.#busy = busy;
  }

  get busyMs(): number {
    return Math.max(this.#busyIntervalMs, this.#busy * MS_PER_BUSY_SCRAPE);
  }

  /** The shortest of an endpoint that has nothing to tell: how long it is left alone grows from here. */
  get quietMs(): number {
    return Math.max(this.#busyIntervalMs, this.#endpoints * MS_PER_BUSY_SCRAPE);
  }

  get idleMs(): number {
    return Math.max(IDLE_INTERVAL_MS, this.#busyIntervalMs, this.#endpoints * MS_PER_IDLE_SCRAPE);
  }

  /** Over which so many first scrapes are spread. */
  firstMs(count: number): number {
    return Math.max(Math.min(this.#busyIntervalMs, 50), count * MS_PER_FIRST_SCRAPE);
  }
}
