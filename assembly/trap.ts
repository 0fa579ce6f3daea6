// Where every failed assertion and bounds check of the module ends: one log line, then a trap. Envoy
// fails the streams live on this VM and starts a new one, so nothing that bytes from a client, a
// server or a snapshot can reach may end here.

import { LOG_CRITICAL, logText } from "./abi/host";

const buffer = memory.data(256);

/** Copies a managed string as ASCII: no allocation, since the heap may be what failed. */
function append(at: i32, text: string | null): i32 {
  if (text === null) return at;
  for (let i = 0; i < text.length && at < 200; ++i) {
    store<u8>(buffer + at++, <u8>text.charCodeAt(i));
  }
  return at;
}

function appendNumber(at: i32, value: u32): i32 {
  let divisor: u32 = 1;
  while (value / divisor >= 10) divisor *= 10;
  for (; divisor > 0; divisor /= 10) store<u8>(buffer + at++, <u8>(48 + ((value / divisor) % 10)));
  return at;
}

export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  let at = append(0, "pointsman: assertion failed: ");
  at = append(at, message);
  at = append(at, " at ");
  at = append(at, file);
  at = append(at, ":");
  at = appendNumber(at, line);
  logText(LOG_CRITICAL, buffer, at);
  unreachable();
}
