// How many pseudo-tokens an image counts: its area. The size is read from the first bytes of PNG, GIF and
// JPEG in base64; of any other image it is taken to be 640 by 360.

import { equals, utf8 } from "../../abi/text";

/** Pixels of one pseudo-token. */
export const PIXELS_PER_TOKEN: u64 = 1024;
export const DEFAULT_WIDTH: u64 = 640;
export const DEFAULT_HEIGHT: u64 = 360;

const dataImage = utf8("data:image/");
const base64Comma = utf8("base64,");

let width: u64 = 0;
let height: u64 = 0;
let payload: usize = 0;
let payloadEnd: usize = 0;

/** Of an image given by its URL: only a data URL has a size. */
export function tokensOfUrl(p: usize, length: u32): u32 {
  const prefix = <u32>dataImage.byteLength;
  if (length < prefix || !equals(p, prefix, dataImage)) return area(false);
  const comma = <u32>base64Comma.byteLength;
  for (let i = prefix; i + comma <= length; ++i) {
    if (equals(p + i, comma, base64Comma)) return tokensOfBase64(p + i + comma, length - i - comma);
  }
  return area(false);
}

export function tokensOfBase64(p: usize, length: u32): u32 {
  payload = p;
  payloadEnd = p + length;
  width = 0;
  height = 0;
  return area((readPng() || readGif() || readJpeg()) && width != 0 && height != 0);
}

function area(isKnown: bool): u32 {
  const pixels = isKnown ? width * height : DEFAULT_WIDTH * DEFAULT_HEIGHT;
  return <u32>max<u64>(1, min<u64>(pixels / PIXELS_PER_TOKEN, u32.MAX_VALUE));
}

/** The n-th byte of the payload, or -1 when it has none: too short, or not base64. */
function byteAt(n: u32): i32 {
  const p = payload + <usize>(n / 3) * 4;
  if (p + 4 > payloadEnd) return -1;
  const at = n % 3;
  const high = digitOf(load<u8>(p + at));
  const low = digitOf(load<u8>(p + at + 1));
  if (high < 0 || low < 0) return -1;
  if (at == 0) return (high << 2) | (low >> 4);
  return at == 1 ? ((high & 15) << 4) | (low >> 2) : ((high & 3) << 6) | low;
}

function digitOf(c: u8): i32 {
  if (c >= 0x41 && c <= 0x5a) return c - 0x41;
  if (c >= 0x61 && c <= 0x7a) return c - 0x61 + 26;
  if (c >= 0x30 && c <= 0x39) return c - 0x30 + 52;
  return c == 0x2b ? 62 : c == 0x2f ? 63 : -1;
}

/** `bytes` bytes from the n-th on as one number, the highest first; -1 when some are missing. */
function numberAt(n: u32, bytes: u32): i64 {
  let value: i64 = 0;
  for (let i: u32 = 0; i < bytes; ++i) {
    const byte = byteAt(n + i);
    if (byte < 0) return -1;
    value = (value << 8) | byte;
  }
  return value;
}

function isAt(n: u32, what: StaticArray<u8>): bool {
  for (let i = 0; i < what.length; ++i) {
    if (byteAt(n + i) != what[i]) return false;
  }
  return true;
}

const PNG: StaticArray<u8> = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52];

/** https://www.w3.org/TR/png-3/#11IHDR */
function readPng(): bool {
  if (!isAt(0, PNG)) return false;
  const wide = numberAt(16, 4);
  const high = numberAt(20, 4);
  // Sides are numbers of 31 bits.
  if (wide <= 0 || high <= 0 || wide > i32.MAX_VALUE || high > i32.MAX_VALUE) return false;
  width = wide;
  height = high;
  return true;
}

const GIF87: StaticArray<u8> = [0x47, 0x49, 0x46, 0x38, 0x37, 0x61];
const GIF89: StaticArray<u8> = [0x47, 0x49, 0x46, 0x38, 0x39, 0x61];

/** https://www.w3.org/Graphics/GIF/spec-gif89a.txt §18; low bytes first. */
function readGif(): bool {
  if (!isAt(0, GIF87) && !isAt(0, GIF89)) return false;
  if (numberAt(6, 7) < 0) return false;
  width = byteAt(6) | (byteAt(7) << 8);
  height = byteAt(8) | (byteAt(9) << 8);
  return true;
}

/** Segments before the size: each may be 64 KiB, so a body holds few. */
const SEGMENTS_MAX = 64;

/** ITU-T T.81 B.1 and B.2: markers, each with a length, until the one that begins a frame. */
function readJpeg(): bool {
  if (byteAt(0) != 0xff || byteAt(1) != 0xd8) return false;
  let at: u32 = 2;
  for (let i = 0; i < SEGMENTS_MAX; ++i) {
    if (byteAt(at) != 0xff) return false;
    let marker = byteAt(++at);
    while (marker == 0xff) marker = byteAt(++at);
    ++at;
    if (marker >= 0xd0 && marker <= 0xd7) continue;
    const length = numberAt(at, 2);
    if (marker < 0xc0 || marker == 0xd9 || marker == 0xda || length < 2) return false;
    if (marker >= 0xc0 && marker <= 0xc2) return readFrame(at, <u32>length);
    at += <u32>length;
  }
  return false;
}

/** One, three or four components of 8 bits. */
function readFrame(at: u32, length: u32): bool {
  const components = byteAt(at + 7);
  if (components != 1 && components != 3 && components != 4) return false;
  if (length != <u32>(8 + 3 * components) || byteAt(at + 2) != 8) return false;
  height = numberAt(at + 3, 2);
  width = numberAt(at + 5, 2);
  return true;
}
