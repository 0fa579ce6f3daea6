// How the filter's statistics become labelled Prometheus metrics. The filter defines names such as
// "pointsman_picks_total.outcome.scored.pool.default/chat"; Envoy cuts out the first capture group of
// each tag, separator included, and keeps the second as the label's value.

import { STAT_PICK_NS } from "../wire/names.ts";

/** The namespace that Envoy puts before every statistic of a wasm module, and leaves out when printing. */
const NAMESPACE = "wasmcustom.";

export const STATS_TAGS: readonly object[] = [
  { tag_name: "outcome", regex: "^wasmcustom\\.pointsman_[a-z_]+(\\.outcome\\.([a-z_]+))" },
  // Last, to the end of the name: a pool's name may hold dots.
  { tag_name: "pool", regex: "^wasmcustom\\.pointsman_.*?(\\.pool\\.(.+))$" },
];

export const HISTOGRAM_BUCKETS: readonly object[] = [
  {
    match: { prefix: `${NAMESPACE}${STAT_PICK_NS}` },
    buckets: [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 1_000_000],
  },
];
