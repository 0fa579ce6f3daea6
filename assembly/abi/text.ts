// Text is (pointer, length) in UTF-8, never a managed string: nothing here allocates but `utf8`,
// which runs while the module starts.

const FNV_OFFSET: u64 = 0xcbf29ce484222325;
const FNV_PRIME: u64 = 0x100000001b3;

/** A constant text. Only for module-level constants. */
export function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}

/** Constant texts. Only for module-level constants. */
export function utf8All(texts: StaticArray<string>): StaticArray<ArrayBuffer> {
  const all = new StaticArray<ArrayBuffer>(texts.length);
  for (let n = 0; n < texts.length; ++n) all[n] = utf8(texts[n]);
  return all;
}

export function pointer(text: ArrayBuffer): usize {
  return changetype<usize>(text);
}

/** Whether `length` bytes at `p` are `text`. */
export function equals(p: usize, length: u32, text: ArrayBuffer): bool {
  return length == <u32>text.byteLength && memory.compare(p, pointer(text), length) == 0;
}

/** Whether the text at `p` starts with `text`, ASCII letters compared without case. `text` is lower case. */
export function startsWithIgnoringCase(p: usize, length: u32, text: ArrayBuffer): bool {
  const n = <u32>text.byteLength;
  if (length < n) return false;
  for (let i: u32 = 0; i < n; ++i) {
    let c = load<u8>(p + i);
    if (c >= 65 && c <= 90) c += 32;
    if (c != load<u8>(pointer(text) + i)) return false;
  }
  return true;
}

export function endsWith(p: usize, length: u32, text: ArrayBuffer): bool {
  const n = <u32>text.byteLength;
  return length >= n && memory.compare(p + length - n, pointer(text), n) == 0;
}

/** Copies `text` to `to`, returns the first byte after it. */
export function put(to: usize, text: ArrayBuffer): usize {
  memory.copy(to, pointer(text), text.byteLength);
  return to + text.byteLength;
}

/** Writes `value` in decimal, returns the first byte after it. */
export function putNumber(to: usize, value: u64): usize {
  let digits: usize = 1;
  for (let rest = value; rest >= 10; rest /= 10) ++digits;
  for (let i = digits; i > 0; --i) {
    store<u8>(to + i - 1, <u8>(48 + (value % 10)));
    value /= 10;
  }
  return to + digits;
}

/** FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/. For short names, not for security. */
export function hash(p: usize, length: u32): u64 {
  let h = FNV_OFFSET;
  for (let i: u32 = 0; i < length; ++i) h = (h ^ load<u8>(p + i)) * FNV_PRIME;
  return h;
}
