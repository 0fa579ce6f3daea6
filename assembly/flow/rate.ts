// How fast requests of a pool end on this worker: what Retry-After is reckoned by.

import { POOLS_MAX } from "../../src/wire/limits";

/** Ends of the last so many seconds count, the older the less (an exponential mean). */
const MEMORY_S: f64 = 5;

@unmanaged
class Rate {
  pool: u64;
  firstNs: u64;
  lastNs: u64;
  perSecond: f64;
}
const RATE_BYTES: usize = offsetof<Rate>();
const rates: usize = heap.alloc(RATE_BYTES * POOLS_MAX);
let used: u32 = 0;

function find(pool: u64): Rate {
  for (let n: u32 = 0; n < used; ++n) {
    if (at(n).pool == pool) return at(n);
  }
  return changetype<Rate>(0);
}

function at(n: u32): Rate {
  return changetype<Rate>(rates + <usize>n * RATE_BYTES);
}

/** The row of the pool that has been quiet longest. */
function quietest(): Rate {
  let found = at(0);
  for (let n: u32 = 1; n < POOLS_MAX; ++n) if (at(n).lastNs < found.lastNs) found = at(n);
  return found;
}

/** The pool's row; with too many pools that of another one. */
function open(pool: u64, nowNs: u64): Rate {
  let rate = find(pool);
  if (changetype<usize>(rate) != 0) return rate;
  rate = used < POOLS_MAX ? at(used++) : quietest();
  rate.pool = pool;
  rate.firstNs = nowNs;
  rate.lastNs = nowNs;
  rate.perSecond = 0;
  return rate;
}

function secondsBetween(fromNs: u64, toNs: u64): f64 {
  return toNs > fromNs ? <f64>(toNs - fromNs) / 1e9 : 0;
}

/** A request of the pool has ended. */
export function count(pool: u64, nowNs: u64): void {
  const rate = open(pool, nowNs);
  rate.perSecond = rate.perSecond * Math.exp(-secondsBetween(rate.lastNs, nowNs) / MEMORY_S) + 1 / MEMORY_S;
  rate.lastNs = nowNs;
}

/** Requests of the pool that ended per second on this worker lately; 0 = none, or not known. */
export function perSecond(pool: u64, nowNs: u64): f64 {
  const rate = find(pool);
  if (changetype<usize>(rate) == 0) return 0;
  const since = secondsBetween(rate.firstNs, nowNs);
  // At first there is less than the whole memory to count in.
  const counted = 1 - Math.exp(-max<f64>(since, 0.1) / MEMORY_S);
  return (rate.perSecond * Math.exp(-secondsBetween(rate.lastNs, nowNs) / MEMORY_S)) / counted;
}
