// Mean and percentiles of any number of samples in bounded memory.

/** Neighbouring buckets differ by this factor, so a percentile is off by 1 % at most. */
const GROWTH = 1.02;
const SMALLEST_MS = 0.1;

export class Latencies {
  /** Samples per power of GROWTH above SMALLEST_MS. */
  readonly #buckets: number[] = [];
  #count = 0;
  #sumMs = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    const bucket = Math.max(0, Math.round(Math.log(ms / SMALLEST_MS) / Math.log(GROWTH)));
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#sumMs += ms;
  }

  /** In ms; undefined without samples. */
  mean(): number | undefined {
    return this.#count === 0 ? undefined : this.#sumMs / this.#count;
  }

  /** The smallest value, in ms, that a `share` of the samples do not exceed; undefined without samples. */
  quantile(share: number): number | undefined {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (const [bucket, samples] of this.#buckets.entries()) {
      seen += samples ?? 0;
      if (seen >= rank) return SMALLEST_MS * GROWTH ** bucket;
    }
    return undefined;
  }
}
