// How many pseudo-tokens a video counts: its frames, at two a second, times the area of one. How long and how
// large it is the client may say in headers; otherwise it is ten seconds of 640 by 360.

import { HEADER_VIDEO_RESOLUTION, HEADER_VIDEO_SECONDS } from "../../../src/wire/names";
import * as host from "../../abi/host";
import { REQUEST_HEADERS } from "../../abi/status";
import { utf8 } from "../../abi/text";
import { DEFAULT_HEIGHT, DEFAULT_WIDTH, PIXELS_PER_TOKEN } from "./image";

const FRAMES_PER_SECOND: f64 = 2;
const DEFAULT_SECONDS: f64 = 10;

const secondsHeader = utf8(HEADER_VIDEO_SECONDS);
const resolutionHeader = utf8(HEADER_VIDEO_RESOLUTION);

/** Of every video of this request; 0: not asked yet. */
let known: u32 = 0;

/** Another request: its headers have not been looked at. */
export function begin(): void {
  known = 0;
}

export function tokens(): u32 {
  if (known == 0) known = count();
  return known;
}

function count(): u32 {
  let seconds = DEFAULT_SECONDS;
  if (host.getHeader(REQUEST_HEADERS, secondsHeader)) {
    const said = decimal(host.data, host.size);
    if (said > 0) seconds = said;
  }
  const frames = <u64>min<f64>(seconds * FRAMES_PER_SECOND, <f64>u32.MAX_VALUE);
  const product = max<u64>(frames, 0) * tokensOfFrame();
  return <u32>max<u64>(1, min<u64>(product, u32.MAX_VALUE));
}

function tokensOfFrame(): u64 {
  let pixels = DEFAULT_WIDTH * DEFAULT_HEIGHT;
  if (host.getHeader(REQUEST_HEADERS, resolutionHeader)) {
    const said = areaOf(host.data, host.size);
    if (said != 0) pixels = said;
  }
  return max<u64>(1, min<u64>(pixels / PIXELS_PER_TOKEN, u32.MAX_VALUE));
}

/** A number with or without a fraction; -1 when it is none. */
function decimal(p: usize, length: u32): f64 {
  let value: f64 = 0;
  let unit: f64 = 0;
  let digits: u32 = 0;
  for (let i: u32 = 0; i < length; ++i) {
    const c = load<u8>(p + i);
    if (c == 0x2e && unit == 0) {
      unit = 1;
    } else if (c >= 0x30 && c <= 0x39) {
      value = value * 10 + <f64>(c - 0x30);
      unit *= 10;
      ++digits;
    } else {
      return -1;
    }
  }
  if (digits == 0) return -1;
  return unit == 0 ? value : value / unit;
}

/** Of "WIDTHxHEIGHT"; 0 when it is written otherwise. */
function areaOf(p: usize, length: u32): u64 {
  let cross: u32 = 0;
  while (cross < length && (load<u8>(p + cross) | 0x20) != 0x78) ++cross;
  if (cross == length) return 0;
  return side(p, cross) * side(p + cross + 1, length - cross - 1);
}

/** A side in pixels; 0 when it is none of at most nine digits. */
function side(p: usize, length: u32): u64 {
  while (length != 0 && load<u8>(p) == 0x20) {
    ++p;
    --length;
  }
  while (length != 0 && load<u8>(p + length - 1) == 0x20) --length;
  if (length > 9) return 0;
  let value: u64 = 0;
  for (let i: u32 = 0; i < length; ++i) {
    const c = load<u8>(p + i);
    if (c < 0x30 || c > 0x39) return 0;
    value = value * 10 + (c - 0x30);
  }
  return value;
}
