// The two functions behind random order, as assembly/pick/random.ts documents them, over BigInt:
// the upper half of splitmix64, and the 32-bit finalizer of MurmurHash3.

const MASK_64 = (1n << 64n) - 1n;

export class Draws {
  private state: bigint;

  constructor(seed: number | bigint) {
    this.state = BigInt(seed) & MASK_64;
  }

  /** Draws what this one will. */
  copy(): Draws {
    return new Draws(this.state);
  }

  /** The 32 random bits of the next pick. */
  draw(): number {
    this.state = (this.state + 0x9e3779b97f4a7c15n) & MASK_64;
    let z = this.state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK_64;
    return Number((z ^ (z >> 31n)) >> 32n);
  }
}

/** Rank of a row among equals in the pick that drew `drawn`: the lowest goes first. */
export function tieRank(drawn: number, row: number): number {
  const mask = 0xffffffffn;
  let h = (BigInt(drawn) + BigInt(row) * 0x9e3779b9n) & mask;
  h = ((h ^ (h >> 16n)) * 0x85ebca6bn) & mask;
  h = ((h ^ (h >> 13n)) * 0xc2b2ae35n) & mask;
  return Number(h ^ (h >> 16n));
}
