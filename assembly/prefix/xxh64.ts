// xxh64 with seed 0: the hash of the prefix cache, as the reference computes it. Four lanes of 8 bytes
// take turns on 32 bytes (a stripe); what is left, and the length, are mixed in at the end.
// https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md

const PRIME_1: u64 = 0x9e3779b185ebca87;
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME_3: u64 = 0x165667b19e3779f9;
const PRIME_4: u64 = 0x85ebca77c2b2ae63;
const PRIME_5: u64 = 0x27d4eb2f165667c5;

const STRIPE: usize = 32;
/** V8 builds a 64-bit constant anew at each use; one that was loaded stays in a register. */
const LOADED = memory.data<u64>([PRIME_1, PRIME_2]);

export function hash(p: usize, length: u32): u64 {
  const end = p + <usize>length;
  let h = PRIME_5;
  if (length >= <u32>STRIPE) {
    const stripesEnd = p + (<usize>length & ~(STRIPE - 1));
    h = stripes(p, stripesEnd);
    p = stripesEnd;
  }
  h += <u64>length;
  for (; p + 8 <= end; p += 8) h = mixWord(h, load<u64>(p));
  if (p + 4 <= end) {
    h = rotl<u64>(h ^ (<u64>load<u32>(p) * PRIME_1), 23) * PRIME_2 + PRIME_3;
    p += 4;
  }
  for (; p < end; ++p) h = rotl<u64>(h ^ (<u64>load<u8>(p) * PRIME_5), 11) * PRIME_1;
  return avalanche(h);
}

/** xxh64 of 16 bytes: LE64(a) ‖ LE64(b). What depends on `b` comes last, as `b` is known last. */
export function hashPair(a: u64, b: u64): u64 {
  return avalanche(mixWord(mixWord(PRIME_5 + 16, a), b));
}

/** Whole stripes, at least one. */
function stripes(p: usize, end: usize): u64 {
  const prime1 = load<u64>(LOADED);
  const prime2 = load<u64>(LOADED, 8);
  let a: u64 = PRIME_1 + PRIME_2;
  let b: u64 = PRIME_2;
  let c: u64 = 0;
  let d: u64 = 0 - PRIME_1;
  do {
    a = round(a, load<u64>(p), prime1, prime2);
    b = round(b, load<u64>(p, 8), prime1, prime2);
    c = round(c, load<u64>(p, 16), prime1, prime2);
    d = round(d, load<u64>(p, 24), prime1, prime2);
    p += STRIPE;
  } while (p < end);
  let h = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
  h = (h ^ round(0, a, prime1, prime2)) * prime1 + PRIME_4;
  h = (h ^ round(0, b, prime1, prime2)) * prime1 + PRIME_4;
  h = (h ^ round(0, c, prime1, prime2)) * prime1 + PRIME_4;
  return (h ^ round(0, d, prime1, prime2)) * prime1 + PRIME_4;
}

function round(lane: u64, word: u64, prime1: u64, prime2: u64): u64 {
  return rotl<u64>(lane + word * prime2, 31) * prime1;
}

function mixWord(h: u64, word: u64): u64 {
  return rotl<u64>(h ^ round(0, word, PRIME_1, PRIME_2), 27) * PRIME_1 + PRIME_4;
}

function avalanche(h: u64): u64 {
  h = (h ^ (h >> 33)) * PRIME_2;
  h = (h ^ (h >> 29)) * PRIME_3;
  return h ^ (h >> 32);
}
