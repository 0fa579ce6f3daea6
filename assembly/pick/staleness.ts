// A server too busy to answer its own /metrics must not gain by going silent: a stale value is judged
// as the worse of itself and the mean of the fresh ones, an unknown value as that mean. When no
// candidate has a fresh value, nobody is judged by it.

import * as candidates from "./candidates";

export const WAITING = offsetof<candidates.Candidate>("waiting");
export const KV_USAGE = offsetof<candidates.Candidate>("kvUsage");

/**
 * Settles the value at `field` (WAITING or KV_USAGE, f64, larger is worse) of every candidate. False
 * when none is fresh: the scorer of that value is left out of this pick.
 */
export function settle(field: usize): bool {
  if (candidates.unsettled == 0) return candidates.count != 0;
  let sum: f64 = 0;
  let known = 0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const candidate = candidates.at(n);
    const value = load<f64>(changetype<usize>(candidate) + field);
    if (candidate.stale != 0 || isNaN(value)) continue;
    sum += value;
    ++known;
  }
  if (known == 0) return false;
  if (<u32>known == candidates.count) return true;
  const mean = sum / <f64>known;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const candidate = candidates.at(n);
    const value = load<f64>(changetype<usize>(candidate) + field);
    const settled = isNaN(value) || (candidate.stale != 0 && value < mean) ? mean : value;
    store<f64>(changetype<usize>(candidate) + field, settled);
  }
  return true;
}
