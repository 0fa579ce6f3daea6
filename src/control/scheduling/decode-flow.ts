// Bytes to flow control. Nothing is believed: counts and ids are checked before they are used.

import * as l from "../../wire/flow.ts";
import { BANDS_MAX } from "../../wire/limits.ts";
import type { Detector, Flow, OwnBand, Usage } from "./flow.ts";

/** Those of priorities ≥ 0 and < 0 without one of their own. */
const DEFAULT_BANDS = 2;

/** The settings in `bytes`, or a sentence that says what is wrong. */
export function decodeFlow(bytes: Buffer): Flow | string {
  if (bytes.length < l.FLOW_BYTES) return `flow control of ${bytes.length} bytes, expected at least ${l.FLOW_BYTES}`;
  const word = (at: number): number => bytes.readUInt32LE(at);
  const count = word(l.L_BAND_COUNT);
  if (count < DEFAULT_BANDS || count > DEFAULT_BANDS + BANDS_MAX)
    return `${count} bands, expected ${DEFAULT_BANDS} to ${DEFAULT_BANDS + BANDS_MAX}`;
  const expected = l.FLOW_BYTES + count * l.BAND_BYTES;
  if (bytes.length !== expected) return `flow control of ${bytes.length} bytes, expected ${expected} for its bands`;
  const bands = Array.from({ length: count }, (_, i) => bandOf(bytes, l.FLOW_BYTES + i * l.BAND_BYTES));
  const wrong = wrongId(word, bands);
  if (wrong !== undefined) return wrong;
  const [{ priority: _, ...defaultBand }, { priority: __, ...defaultNegativeBand }, ...own] = bands as [
    OwnBand,
    OwnBand,
    ...OwnBand[],
  ];
  return {
    queues: (word(l.L_FLAGS) & l.QUEUES) !== 0,
    evicts: (word(l.L_FLAGS) & l.EVICTS) !== 0,
    detector: detectorOf(bytes),
    usage: usageOf(bytes),
    maxRequests: bytes.readDoubleLE(l.L_MAX_REQUESTS),
    maxBytes: bytes.readDoubleLE(l.L_MAX_BYTES),
    ttlMs: bytes.readDoubleLE(l.L_TTL_MS),
    emptyTtlMs: bytes.readDoubleLE(l.L_EMPTY_TTL_MS),
    defaultBand,
    defaultNegativeBand,
    bands: own,
  };
}

function wrongId(word: (at: number) => number, bands: readonly OwnBand[]): string | undefined {
  const ids: readonly (readonly [what: string, id: number, last: number])[] = [
    ["saturation detector", word(l.L_DETECTOR), l.DETECTOR_CONCURRENCY],
    ["usage-limit policy", word(l.L_USAGE), l.USAGE_HOLDBACK],
    ["domain", word(l.L_DOMAIN), l.DOMAIN_VALUE],
    ...bands.map(({ fairness }) => ["fairness policy", fairness, l.FAIRNESS_GLOBAL_STRICT] as const),
    ...bands.map(({ ordering }) => ["ordering policy", ordering, l.ORDERING_SLO] as const),
  ];
  const wrong = ids.find(([, id, last]) => id > last);
  return wrong && `${wrong[0]} ${wrong[1]}, expected at most ${wrong[2]}`;
}

function detectorOf(bytes: Buffer): Detector {
  if (bytes.readUInt32LE(l.L_DETECTOR) === l.DETECTOR_CONCURRENCY)
    return {
      kind: "concurrency",
      maxConcurrency: bytes.readDoubleLE(l.L_MAX_CONCURRENCY),
      maxTokenConcurrency: bytes.readDoubleLE(l.L_MAX_TOKEN_CONCURRENCY),
    };
  return {
    kind: "utilization",
    queueThreshold: bytes.readDoubleLE(l.L_QUEUE_THRESHOLD),
    kvThreshold: bytes.readDoubleLE(l.L_KV_THRESHOLD),
    staleMs: bytes.readUInt32LE(l.L_STALE_MS),
  };
}

function usageOf(bytes: Buffer): Usage {
  const ceiling = bytes.readDoubleLE(l.L_CEILING);
  if (bytes.readUInt32LE(l.L_USAGE) === l.USAGE_STATIC) return { kind: "static", ceiling };
  const domain = bytes.readUInt32LE(l.L_DOMAIN);
  return { kind: "holdback", domain, minCeiling: ceiling, maxCeiling: bytes.readDoubleLE(l.L_MAX_CEILING) };
}

function bandOf(bytes: Buffer, at: number): OwnBand {
  return {
    priority: bytes.readInt32LE(at + l.W_PRIORITY),
    maxRequests: bytes.readDoubleLE(at + l.W_MAX_REQUESTS),
    maxBytes: bytes.readDoubleLE(at + l.W_MAX_BYTES),
    ttlMs: bytes.readDoubleLE(at + l.W_TTL_MS),
    fairness: bytes.readUInt32LE(at + l.W_FAIRNESS),
    ordering: bytes.readUInt32LE(at + l.W_ORDERING),
  };
}
