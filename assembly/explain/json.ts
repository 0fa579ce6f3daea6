// Writes JSON into one buffer, without allocating. What does not fit is noticed and the text withdrawn.

import { EXPLANATION_BYTES_MAX } from "../../src/wire/limits";
import { put, putNumber, utf8 } from "../abi/text";

const buffer: usize = heap.alloc(EXPLANATION_BYTES_MAX);
/** The longest thing written without a look at the room left: a number, a name, an escape. */
const MARGIN: u32 = 64;
let end: usize = buffer;
let overflowed: bool = false;
/** Whether the next member or element is the first of its object or array. */
let isFirst: bool = true;

const trueText = utf8("true");
const falseText = utf8("false");
const nullText = utf8("null");
const DIGITS = memory.data<u8>([48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102]);

export function begin(): void {
  end = buffer;
  overflowed = false;
  isFirst = true;
}

/** The text; 0 when it did not fit. */
export function text(): usize {
  return overflowed ? 0 : buffer;
}

export function length(): u32 {
  return <u32>(end - buffer);
}

/** Room for `bytes` more. */
function hasRoom(bytes: u32): bool {
  if (end - buffer + bytes + MARGIN > EXPLANATION_BYTES_MAX) overflowed = true;
  return !overflowed;
}

function byte(c: u8): void {
  if (hasRoom(1)) store<u8>(end++, c);
}

/** An opening bracket: "{" or "[". */
export function open(bracket: u8): void {
  byte(bracket);
  isFirst = true;
}

export function close(bracket: u8): void {
  byte(bracket);
  isFirst = false;
}

/** What goes before each element of an array. */
export function element(): void {
  if (!isFirst) byte(0x2c);
  isFirst = false;
}

/** A member's name, one of ours: it needs no escapes. */
export function member(name: ArrayBuffer): void {
  element();
  if (!hasRoom(name.byteLength + 3)) return;
  byte(0x22);
  end = put(end, name);
  byte(0x22);
  byte(0x3a);
}

/** A string from UTF-8. */
export function quoted(p: usize, bytes: u32): void {
  byte(0x22);
  for (let i: u32 = 0; i < bytes && hasRoom(1); ++i) character(load<u8>(p + i));
  byte(0x22);
}

function character(c: u8): void {
  if (c >= 0x20 && c != 0x22 && c != 0x5c) {
    store<u8>(end++, c);
    return;
  }
  store<u32>(end, 0x3030755c); // \u00
  store<u8>(end + 4, load<u8>(DIGITS + (c >> 4)));
  store<u8>(end + 5, load<u8>(DIGITS + (c & 15)));
  end += 6;
}

export function truth(value: bool): void {
  if (hasRoom(0)) end = put(end, value ? trueText : falseText);
}

/** A number with up to six places; null when it is none or beyond 10¹³: its millionths would not fit 64 bits. */
export function number(value: f64): void {
  if (!hasRoom(0)) return;
  if (!(value > -1e13 && value < 1e13)) {
    end = put(end, nullText);
    return;
  }
  const micro = <u64>(abs<f64>(value) * 1_000_000 + 0.5);
  if (value < 0 && micro != 0) byte(0x2d);
  end = putNumber(end, micro / 1_000_000);
  let places = micro % 1_000_000;
  if (places == 0) return;
  byte(0x2e);
  for (let unit: u64 = 100_000; places != 0; unit /= 10) {
    byte(<u8>(48 + places / unit));
    places %= unit;
  }
}
