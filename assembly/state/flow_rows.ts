// How requests of a pool are admitted (src/wire/flow.ts), read in place in its program's bytes.

import {
  BAND_BYTES,
  DETECTOR_CONCURRENCY,
  DOMAIN_VALUE,
  FAIRNESS_GLOBAL_STRICT,
  FLOW_BYTES,
  L_BAND_COUNT,
  L_CEILING,
  L_DETECTOR,
  L_DOMAIN,
  L_EMPTY_TTL_MS,
  L_FLAGS,
  L_KV_THRESHOLD,
  L_MAX_BYTES,
  L_MAX_CEILING,
  L_MAX_CONCURRENCY,
  L_MAX_REQUESTS,
  L_MAX_TOKEN_CONCURRENCY,
  L_QUEUE_THRESHOLD,
  L_STALE_MS,
  L_TTL_MS,
  L_USAGE,
  ORDERING_SLO,
  USAGE_HOLDBACK,
  W_FAIRNESS,
  W_MAX_BYTES,
  W_MAX_REQUESTS,
  W_ORDERING,
  W_PRIORITY,
  W_TTL_MS,
} from "../../src/wire/flow";
import { BANDS_MAX } from "../../src/wire/limits";

@unmanaged
export class Flow {
  flags: u32;
  detector: u32;
  bandCount: u32;
  usage: u32;
  queueThreshold: f64;
  kvThreshold: f64;
  maxConcurrency: f64;
  maxTokenConcurrency: f64;
  ceiling: f64;
  maxCeiling: f64;
  maxRequests: f64;
  maxBytes: f64;
  ttlMs: f64;
  emptyTtlMs: f64;
  staleMs: u32;
  domain: u32;
  reserved: f64;
}
if (offsetof<Flow>("flags") != L_FLAGS) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("detector") != L_DETECTOR) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("bandCount") != L_BAND_COUNT) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("usage") != L_USAGE) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("queueThreshold") != L_QUEUE_THRESHOLD) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("kvThreshold") != L_KV_THRESHOLD) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("maxConcurrency") != L_MAX_CONCURRENCY) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("maxTokenConcurrency") != L_MAX_TOKEN_CONCURRENCY) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("ceiling") != L_CEILING) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("maxCeiling") != L_MAX_CEILING) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("maxRequests") != L_MAX_REQUESTS) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("maxBytes") != L_MAX_BYTES) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("ttlMs") != L_TTL_MS) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("emptyTtlMs") != L_EMPTY_TTL_MS) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("staleMs") != L_STALE_MS) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>("domain") != L_DOMAIN) ERROR("Flow and flow.ts differ");
if (offsetof<Flow>() != FLOW_BYTES) ERROR("Flow and flow.ts differ");

/** Limits of the requests of one priority, or of those that have no band of their own. */
@unmanaged
export class Band {
  priority: i32;
  fairness: u32;
  ordering: u32;
  reserved: u32;
  maxRequests: f64;
  maxBytes: f64;
  ttlMs: f64;
}
if (offsetof<Band>("priority") != W_PRIORITY) ERROR("Band and flow.ts differ");
if (offsetof<Band>("fairness") != W_FAIRNESS) ERROR("Band and flow.ts differ");
if (offsetof<Band>("ordering") != W_ORDERING) ERROR("Band and flow.ts differ");
if (offsetof<Band>("maxRequests") != W_MAX_REQUESTS) ERROR("Band and flow.ts differ");
if (offsetof<Band>("maxBytes") != W_MAX_BYTES) ERROR("Band and flow.ts differ");
if (offsetof<Band>("ttlMs") != W_TTL_MS) ERROR("Band and flow.ts differ");
if (offsetof<Band>() != BAND_BYTES) ERROR("Band and flow.ts differ");

/** Those of priorities ≥ 0 and < 0 without one of their own. */
export const DEFAULT_BANDS: u32 = 2;

/** By number: the two default ones first. */
export function bandAt(flow: Flow, n: u32): Band {
  return changetype<Band>(changetype<usize>(flow) + FLOW_BYTES + n * BAND_BYTES);
}

// ── What must hold before they are used ──

/** Whether the `length` bytes at `p`, which is aligned, begin with a FLOW and its bands. */
export function isGoodFlow(p: usize, length: u32): bool {
  if (length < FLOW_BYTES) return false;
  const flow = changetype<Flow>(p);
  const count = flow.bandCount;
  if (count < DEFAULT_BANDS || count > DEFAULT_BANDS + BANDS_MAX || FLOW_BYTES + count * BAND_BYTES > length)
    return false;
  if (flow.detector > DETECTOR_CONCURRENCY || flow.usage > USAGE_HOLDBACK || flow.domain > DOMAIN_VALUE) return false;
  if (!(flow.queueThreshold > 0) || !(flow.kvThreshold > 0)) return false;
  if (!(flow.maxConcurrency > 0) || !(flow.maxTokenConcurrency > 0)) return false;
  if (!(flow.ceiling >= 0 && flow.ceiling < Infinity)) return false;
  if (!(flow.maxCeiling >= 0 && flow.maxCeiling < Infinity)) return false;
  if (!(flow.maxRequests >= 0) || !(flow.maxBytes >= 0)) return false;
  if (!(flow.ttlMs >= 0) || !(flow.emptyTtlMs >= 0)) return false;
  for (let n: u32 = 0; n < count; ++n) if (!isGoodBand(bandAt(flow, n))) return false;
  // Highest first, and none twice: they are searched by halves.
  for (let n = DEFAULT_BANDS + 1; n < count; ++n)
    if (bandAt(flow, n).priority >= bandAt(flow, n - 1).priority) return false;
  return true;
}

function isGoodBand(band: Band): bool {
  if (band.fairness > FAIRNESS_GLOBAL_STRICT || band.ordering > ORDERING_SLO) return false;
  return band.maxRequests >= 0 && band.maxBytes >= 0 && band.ttlMs >= 0;
}
