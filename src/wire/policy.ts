// How endpoints are scored: weights and thresholds of the default profile.

/**
 * Weights of the default profile. prefix, queue and kv as in the reference, in-flight is ours: as heavy as
 * prefix, so that a prompt that everybody sends spills to idle servers before the first have a queue.
 */
export const WEIGHT_PREFIX = 3;
export const WEIGHT_QUEUE = 2;
export const WEIGHT_KV_USAGE = 2;
export const WEIGHT_IN_FLIGHT = 3;

/** How many endpoints the default profile's picker names: one to serve and two for retries. */
export const DESTINATIONS_DEFAULT: u32 = 3;

/** The reference's defaults of the prefix cache: blocks per endpoint, tokens of a prompt to match. */
export const PREFIX_CAPACITY: u32 = 31_250;
export const PREFIX_TOKENS_MAX: u32 = 131_072;

/** Below this many requests on the busiest endpoint, in-flight is judged against it: one breaks no affinity. */
export const IN_FLIGHT_FLOOR: u32 = 4;

/**
 * A row is stale when it is older than this and than STALE_INTERVALS scrape intervals of its
 * endpoint. 200 ms is the reference's metricsStalenessThreshold.
 */
export const STALE_MS: u32 = 200;
export const STALE_INTERVALS = 2.5;

/**
 * An endpoint that refused a connection, reset a request or answered 5xx is left out for
 * FAILURE_COOLDOWN_MS, doubled each time it fails again afterwards, up to FAILURE_COOLDOWN_MS_MAX. Then
 * one request may try it again.
 */
export const FAILURE_COOLDOWN_MS: u32 = 1_000;
export const FAILURE_COOLDOWN_MS_MAX: u32 = 30_000;
