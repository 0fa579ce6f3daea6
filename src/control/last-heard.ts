// What each worker told last, so that only what it counted since is added to the totals. Workers that are gone are
// remembered for a while: one that was only silent goes on where it was.

export class LastHeard<Told> {
  /** By what tells workers apart; the one that told last comes last. */
  readonly #told = new Map<bigint, Told>();
  readonly #most: number;

  /** `most`: workers that are remembered. */
  constructor(most: number) {
    this.#most = most;
  }

  of(worker: bigint): Told | undefined {
    return this.#told.get(worker);
  }

  put(worker: bigint, told: Told): void {
    this.#told.delete(worker);
    this.#told.set(worker, told);
  }

  all(): Iterable<readonly [worker: bigint, told: Told]> {
    return this.#told;
  }

  /** Forgets those that have been silent for longest; to be called when all that told have been put. */
  trim(): void {
    for (const worker of this.#told.keys()) {
      if (this.#told.size <= this.#most) return;
      this.#told.delete(worker);
    }
  }
}
