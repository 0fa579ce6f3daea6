// The random numbers of a pick. The generator's state is the only state of pick/, and a seed in the
// plugin configuration makes every pick repeatable.

let state: u64 = 0;

export function seed(value: u64): void {
  state = value;
}

/**
 * 32 random bits: the upper half of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
 * number generators", 2014). One draw a pick.
 */
export function draw(): u32 {
  state += 0x9e3779b97f4a7c15;
  let z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return <u32>((z ^ (z >> 31)) >> 32);
}

/**
 * Rank of `row` among equals in the pick that drew `drawn`; the lowest goes first. The 32-bit
 * finalizer of MurmurHash3 over drawn + row × 0x9e3779b9, all modulo 2³².
 */
export function tieRank(drawn: u32, row: u32): u32 {
  let h = drawn + row * 0x9e3779b9;
  h = (h ^ (h >> 16)) * 0x85ebca6b;
  h = (h ^ (h >> 13)) * 0xc2b2ae35;
  return h ^ (h >> 16);
}
