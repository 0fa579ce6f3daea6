// FNV-1a, 64 bit: what names endpoints, adapters and labels on the wire.

/** Of the text's UTF-8 bytes. */
export function fnv1a(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash;
}
