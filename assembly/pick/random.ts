// The random numbers of a pick. The generator's state is the only state of pick/, and a seed in the
// plugin configuration makes every pick repeatable.

let state: u64 = 0;
export let isSeeded: bool = false;

export function seed(value: u64): void {
  state = value;
  isSeeded = true;
}

export function stateNow(): u64 {
  return state;
}

/** What the pick at hand drew. */
export let drawn: u32 = 0;

/**
 * Draws 32 random bits: the upper half of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
 * number generators", 2014). One draw a pick, after one for its target model where there is a choice.
 */
export function draw(): void {
  state += 0x9e3779b97f4a7c15;
  let z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  drawn = <u32>((z ^ (z >> 31)) >> 32);
}

/** Draws a number from 0 to `end` - 1, each as likely as the others to within 2⁻³². */
export function below(end: u32): u32 {
  draw();
  return <u32>((<u64>drawn * <u64>end) >> 32);
}

/**
 * Rank of `row` among equals in a pick that drew `bits`; the lowest goes first. The 32-bit finalizer of
 * MurmurHash3 over bits + row × 0x9e3779b9, all modulo 2³².
 */
export function tieRank(bits: u32, row: u32): u32 {
  let h = bits + row * 0x9e3779b9;
  h = (h ^ (h >> 16)) * 0x85ebca6b;
  h = (h ^ (h >> 13)) * 0xc2b2ae35;
  return h ^ (h >> 16);
}
