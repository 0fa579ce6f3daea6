// The two names of a model that live streams go by: the one the caller used, which the response shall show
// again, and the one the model server is asked for. A pair is there once and counts its streams.

import { MODEL_BYTES_MAX } from "../../src/wire/limits";
import { hash } from "../abi/text";
import { NO_RENAME } from "./streams";

/** Pairs in use at once; a stream beyond them keeps the server's name in its response. */
const RENAMES_MAX: u32 = 1024;

@unmanaged
class Rename {
  /** Of both names. */
  key: u64;
  streams: u32;
  callerLength: u32;
  serverLength: u32;
  reserved: u32;
}
const CALLER_AT: usize = offsetof<Rename>();
const SERVER_AT: usize = CALLER_AT + MODEL_BYTES_MAX;
const ROW_BYTES: usize = SERVER_AT + MODEL_BYTES_MAX;
const rows: usize = heap.alloc(ROW_BYTES * RENAMES_MAX);
let used: u32 = 0;

function at(n: u32): Rename {
  return changetype<Rename>(rows + <usize>n * ROW_BYTES);
}

/** One more stream goes by these names. Answers the pair's number, or NO_RENAME when there is no room. */
export function hold(caller: usize, callerLength: u32, server: usize, serverLength: u32): u16 {
  if (callerLength > MODEL_BYTES_MAX || serverLength > MODEL_BYTES_MAX) return NO_RENAME;
  const key = (hash(caller, callerLength) << 1) ^ hash(server, serverLength);
  let free: u32 = used;
  for (let n: u32 = 0; n < used; ++n) {
    const row = at(n);
    if (row.key == key && isPair(n, caller, callerLength, server, serverLength)) {
      ++row.streams;
      return <u16>n;
    }
    if (row.streams == 0) free = n;
  }
  if (free == RENAMES_MAX) return NO_RENAME;
  if (free == used) ++used;
  const row = at(free);
  row.key = key;
  row.streams = 1;
  row.callerLength = callerLength;
  row.serverLength = serverLength;
  memory.copy(callerName(<u16>free), caller, callerLength);
  memory.copy(serverName(<u16>free), server, serverLength);
  return <u16>free;
}

function isPair(n: u32, caller: usize, callerLength: u32, server: usize, serverLength: u32): bool {
  const row = at(n);
  if (row.callerLength != callerLength || row.serverLength != serverLength) return false;
  if (memory.compare(callerName(<u16>n), caller, callerLength) != 0) return false;
  return memory.compare(serverName(<u16>n), server, serverLength) == 0;
}

/** A stream that held the pair is over. */
export function release(n: u16): void {
  if (n != NO_RENAME) --at(n).streams;
}

export function callerName(n: u16): usize {
  return rows + <usize>n * ROW_BYTES + CALLER_AT;
}

export function callerLength(n: u16): u32 {
  return at(n).callerLength;
}

export function serverName(n: u16): usize {
  return rows + <usize>n * ROW_BYTES + SERVER_AT;
}

export function serverLength(n: u16): u32 {
  return at(n).serverLength;
}
