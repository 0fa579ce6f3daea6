// The arena for whatever the host returns. It is reset when a callback is entered, so a returned
// buffer is valid until the callback returns, and the module never allocates while it serves.

import { SCRATCH_BYTES } from "../../src/wire/limits";

const ARENA: usize = heap.alloc(SCRATCH_BYTES);

let used: usize = 0;

/** Called on entry of every callback that asks the host for data. */
export function reset(): void {
  used = 0;
}

/**
 * `size` bytes, 8-byte aligned. 0 when the arena is used up: the host then fails the call it needed
 * them for, and the caller goes on without that data.
 */
export function take(size: usize): usize {
  const start = used;
  const end = start + ((size + 7) & ~(<usize>7));
  if (size > SCRATCH_BYTES || end > SCRATCH_BYTES) return 0;
  used = end;
  return ARENA + start;
}

/** What is used now, to give back with `release` when a fetched piece is done with. */
export function mark(): usize {
  return used;
}

export function release(to: usize): void {
  used = to;
}
