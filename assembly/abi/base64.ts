// Base64 (RFC 4648 §4, with padding), for names that travel in headers.

const ALPHABET = memory.data<u8>([
  65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 97, 98, 99,
  100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 48,
  49, 50, 51, 52, 53, 54, 55, 56, 57, 43, 47,
]);
const PADDING: u8 = 0x3d;
const NO_DIGIT: u32 = 64;

function letter(bits: u32): u8 {
  return load<u8>(ALPHABET + (bits & 63));
}

/** Encodes to `to`, which needs 4 bytes for every 3 begun. Answers the length. */
export function encode(p: usize, length: u32, to: usize): u32 {
  const start = to;
  for (let done: u32 = 0; done < length; done += 3, to += 4) {
    const left = length - done;
    const first = <u32>load<u8>(p + done);
    const second = left > 1 ? <u32>load<u8>(p + done + 1) : 0;
    const third = left > 2 ? <u32>load<u8>(p + done + 2) : 0;
    store<u8>(to, letter(first >> 2));
    store<u8>(to + 1, letter((first << 4) | (second >> 4)));
    store<u8>(to + 2, left > 1 ? letter((second << 2) | (third >> 6)) : PADDING);
    store<u8>(to + 3, left > 2 ? letter(third) : PADDING);
  }
  return <u32>(to - start);
}

function digit(c: u8): u32 {
  if (c >= 0x41 && c <= 0x5a) return <u32>c - 0x41;
  if (c >= 0x61 && c <= 0x7a) return <u32>c - 0x61 + 26;
  if (c >= 0x30 && c <= 0x39) return <u32>c - 0x30 + 52;
  return c == 0x2b ? 62 : c == 0x2f ? 63 : NO_DIGIT;
}

/** Decodes to `to`, which needs 3 bytes for every 4. Answers the length; 0 when the text is not base64. */
export function decode(p: usize, length: u32, to: usize): u32 {
  if (length == 0 || (length & 3) != 0) return 0;
  let digits = length;
  while (digits > length - 2 && load<u8>(p + digits - 1) == PADDING) --digits;
  const start = to;
  let bits: u32 = 0;
  for (let n: u32 = 0; n < digits; ++n) {
    const value = digit(load<u8>(p + n));
    if (value == NO_DIGIT) return 0;
    bits = (bits << 6) | value;
    if ((n & 3) == 0) continue;
    store<u8>(to++, <u8>(bits >> (6 - ((n & 3) << 1))));
  }
  return <u32>(to - start);
}
