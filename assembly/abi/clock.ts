// Time. Only here: everything else is given its time, so that tests can turn the clock.

import { clock_time_get, random_get } from "./wasi_snapshot_preview1";

const MONOTONIC = 1;
const cell = memory.data(8, 8);

/** Nanoseconds on the proxy's monotonic clock: never set back, the same in all VMs of a process. */
export function monotonicNs(): u64 {
  clock_time_get(MONOTONIC, 0, cell);
  return load<u64>(cell);
}

/** 64 random bits from the host, to seed a generator. */
export function entropy(): u64 {
  random_get(cell, 8);
  return load<u64>(cell);
}
