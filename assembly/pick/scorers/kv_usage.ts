// kv-cache-utilization-scorer: 1 − k, k = the share of the KV cache in use, 0 … 1.

import * as candidates from "../candidates";

export function score(candidate: candidates.Candidate): f64 {
  return 1 - candidate.kvUsage;
}
