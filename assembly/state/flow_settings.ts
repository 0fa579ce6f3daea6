// What counts for admission in a pool: of its program, or the defaults where that says nothing.

import {
  BAND_BYTES,
  BAND_BYTES_MAX,
  BAND_REQUESTS_MAX,
  DOMAIN_VALUE,
  FLOW_BYTES,
  KV_THRESHOLD,
  MAX_CONCURRENCY,
  QUEUE_THRESHOLD,
  QUEUES,
  REQUEST_TTL_MS,
  USAGE_STATIC,
} from "../../src/wire/flow";
import { STALE_MS } from "../../src/wire/policy";
import { Band, bandAt, DEFAULT_BANDS, Flow } from "./flow_rows";
import { Program } from "./program";

export { Band, Flow } from "./flow_rows";

const bytes: usize = heap.alloc(FLOW_BYTES + DEFAULT_BANDS * BAND_BYTES);
const defaults: Flow = build();

function build(): Flow {
  memory.fill(bytes, 0, FLOW_BYTES + DEFAULT_BANDS * BAND_BYTES);
  const built = changetype<Flow>(bytes);
  built.bandCount = DEFAULT_BANDS;
  built.queueThreshold = QUEUE_THRESHOLD;
  built.kvThreshold = <f64>(<f32>KV_THRESHOLD);
  built.maxConcurrency = MAX_CONCURRENCY;
  built.maxTokenConcurrency = Infinity;
  built.ceiling = 1;
  built.maxCeiling = 1;
  built.maxRequests = Infinity;
  built.maxBytes = Infinity;
  built.ttlMs = REQUEST_TTL_MS;
  built.emptyTtlMs = REQUEST_TTL_MS;
  built.staleMs = STALE_MS;
  for (let n: u32 = 0; n < DEFAULT_BANDS; ++n) {
    const band = bandAt(built, n);
    band.maxRequests = BAND_REQUESTS_MAX;
    band.maxBytes = BAND_BYTES_MAX;
    band.ttlMs = REQUEST_TTL_MS;
  }
  return built;
}

export function flow(program: Program): Flow {
  if (program.flow == 0) return defaults;
  return changetype<Flow>(changetype<usize>(program) + program.flow);
}

/** Whether requests of a pool with that program may wait. */
export function queues(program: Program): bool {
  return program.flow != 0 && (flow(program).flags & QUEUES) != 0;
}

/** The band that counts for a priority: its own, else the default of its sign. */
export function band(flow: Flow, priority: i32): Band {
  const above = bandsAbove(flow, priority);
  const own = DEFAULT_BANDS + above;
  if (own < flow.bandCount && bandAt(flow, own).priority == priority) return bandAt(flow, own);
  return bandAt(flow, priority < 0 ? 1 : 0);
}

/** How many bands have a priority above this one. */
function bandsAbove(flow: Flow, priority: i32): u32 {
  let low: u32 = 0;
  let high = flow.bandCount - DEFAULT_BANDS;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (bandAt(flow, DEFAULT_BANDS + middle).priority > priority) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The saturation at which requests of a priority stop. Held back: maxCeiling for the highest band, ceiling for the
 * lowest, and evenly in between by rank, or in proportion to the priority's value, as in the reference. A priority
 * without a band has the rank of the next lower one, above the highest that of the highest, below the lowest that
 * of the lowest. Fewer than two bands: maxCeiling.
 */
export function ceiling(flow: Flow, priority: i32): f64 {
  if (flow.usage == USAGE_STATIC) return flow.ceiling;
  const bands = flow.bandCount - DEFAULT_BANDS;
  if (bands < 2) return flow.maxCeiling;
  const height = flow.domain == DOMAIN_VALUE ? heightByValue(flow, priority) : heightByRank(flow, priority);
  return flow.ceiling + height * (flow.maxCeiling - flow.ceiling);
}

/** 1 for the highest band, 0 for the lowest. */
function heightByRank(flow: Flow, priority: i32): f64 {
  const last = flow.bandCount - DEFAULT_BANDS - 1;
  return 1 - <f64>min<u32>(bandsAbove(flow, priority), last) / <f64>last;
}

/** 1 for the highest band, 0 for the lowest. */
function heightByValue(flow: Flow, priority: i32): f64 {
  const highest = <f64>bandAt(flow, DEFAULT_BANDS).priority;
  const lowest = <f64>bandAt(flow, flow.bandCount - 1).priority;
  return max<f64>(0, min<f64>(1, (<f64>priority - lowest) / (highest - lowest)));
}
