// KV memory in blocks with a prefix cache over them: a block that holds a known stretch of prompt stays
// findable by its hash after its last holder let go, until its room is needed (least recently used first).

/** What one sequence occupies. */
export interface Hold {
  /** Blocks findable by hash, in prompt order. */
  readonly hashes: readonly number[];
  /** Blocks nobody else can find: the tail of the prompt and the answer. */
  readonly unnamed: number;
  /** How many of `hashes` were there already: their tokens need no prefill. */
  readonly hits: number;
}

export class KvBlocks {
  /** Blocks that can be occupied: one of the configured number is the engine's own, as in vLLM. */
  readonly capacity: number;
  #free: number;
  readonly #holders = new Map<number, number>();
  /** Cached and held by nobody; the order of insertion is the order of eviction. */
  readonly #idle = new Set<number>();

  constructor(blocks: number) {
    this.capacity = Math.max(1, blocks - 1);
    this.#free = this.capacity;
  }

  /** Blocks held by at least one sequence. */
  get used(): number {
    return this.capacity - this.#free - this.#idle.size;
  }

  /**
   * Occupies `count` blocks, the first of them named by `hashes` (at most `count`). A hash stands for all
   * before it too, so a block is never there without the one before it: they are released together, the
   * later one first.
   * Undefined, with nothing changed, when too few are free.
   */
  take(hashes: readonly number[], count: number): Hold | undefined {
    let hits = 0;
    let idleHits = 0;
    for (const hash of hashes) {
      if (this.#idle.has(hash)) idleHits += 1;
      else if (!this.#holders.has(hash)) break;
      hits += 1;
    }
    if (count - hits > this.#free + this.#idle.size - idleHits) return undefined;

    for (const hash of hashes) this.#idle.delete(hash);
    this.#free += idleHits;
    this.#claim(count - hits + idleHits);
    for (const hash of hashes) this.#holders.set(hash, (this.#holders.get(hash) ?? 0) + 1);
    return { hashes, unnamed: count - hashes.length, hits };
  }

  /**
   * Lets go of everything. `continued` names the unnamed blocks that follow the named ones, as far as they
   * are full: from now on they are findable too.
   */
  release(hold: Hold, continued: readonly number[] = []): void {
    this.#free += hold.unnamed;
    for (let i = continued.length - 1; i >= 0; i -= 1) this.#keep(continued[i]!);
    // From the tail, so that a prompt loses its end before its beginning.
    for (let i = hold.hashes.length - 1; i >= 0; i -= 1) {
      const hash = hold.hashes[i]!;
      const holders = this.#holders.get(hash)! - 1;
      if (holders > 0) {
        this.#holders.set(hash, holders);
      } else {
        this.#holders.delete(hash);
        this.#idle.add(hash);
      }
    }
  }

  /** Turns a free block into an idle one of this name. What another has under that name already stays. */
  #keep(hash: number): void {
    if (this.#holders.has(hash)) return;
    if (!this.#idle.delete(hash)) this.#free -= 1;
    this.#idle.add(hash);
  }

  #claim(count: number): void {
    while (this.#free < count) {
      const oldest = this.#idle.values().next().value!;
      this.#idle.delete(oldest);
      this.#free += 1;
    }
    this.#free -= count;
  }
}
