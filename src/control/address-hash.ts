const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** FNV-1a (64 bit) of an endpoint's address, by which workers name endpoints across topologies. */
export function addressHash(address: string): bigint {
  let hash = FNV_OFFSET;
  for (const byte of Buffer.from(address, "utf8")) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  return hash;
}
