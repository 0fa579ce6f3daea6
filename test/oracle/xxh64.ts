// xxHash, 64 bits, seed 0, in BigInt as its specification says it (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).

const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;
const MASK = 0xffff_ffff_ffff_ffffn;

export function xxh64(bytes: Uint8Array): bigint {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stripes = Math.floor(buffer.length / 32);
  let hash = stripes === 0 ? PRIME_5 : ofStripes(buffer, stripes);
  hash = wrap(hash + BigInt(buffer.length));
  let at = stripes * 32;
  for (; at + 8 <= buffer.length; at += 8) {
    hash ^= round(0n, buffer.readBigUInt64LE(at));
    hash = wrap(rotate(hash, 27n) * PRIME_1 + PRIME_4);
  }
  for (; at + 4 <= buffer.length; at += 4) {
    hash ^= wrap(BigInt(buffer.readUInt32LE(at)) * PRIME_1);
    hash = wrap(rotate(hash, 23n) * PRIME_2 + PRIME_3);
  }
  for (; at < buffer.length; at++) {
    hash ^= wrap(BigInt(buffer[at]!) * PRIME_5);
    hash = wrap(rotate(hash, 11n) * PRIME_1);
  }
  return avalanche(hash);
}

function ofStripes(buffer: Buffer, stripes: number): bigint {
  const lanes = [wrap(PRIME_1 + PRIME_2), PRIME_2, 0n, wrap(-PRIME_1)];
  for (let stripe = 0; stripe < stripes; stripe++) {
    for (let lane = 0; lane < 4; lane++) {
      lanes[lane] = round(lanes[lane]!, buffer.readBigUInt64LE(stripe * 32 + lane * 8));
    }
  }
  const [a, b, c, d] = lanes as [bigint, bigint, bigint, bigint];
  let hash = wrap(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
  for (const lane of lanes) hash = wrap((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4);
  return hash;
}

function round(lane: bigint, input: bigint): bigint {
  return wrap(rotate(wrap(lane + input * PRIME_2), 31n) * PRIME_1);
}

function avalanche(hash: bigint): bigint {
  const first = wrap((hash ^ (hash >> 33n)) * PRIME_2);
  const second = wrap((first ^ (first >> 29n)) * PRIME_3);
  return second ^ (second >> 32n);
}

function rotate(value: bigint, by: bigint): bigint {
  return wrap(value << by) | (value >> (64n - by));
}

function wrap(value: bigint): bigint {
  return value & MASK;
}
