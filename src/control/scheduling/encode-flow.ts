// Flow control to bytes, as src/wire/flow.ts lays it out.

import { isDeepStrictEqual } from "node:util";
import * as l from "../../wire/flow.ts";
import { type Band, type Detector, FLOW_DEFAULT, type Flow, type Usage } from "./flow.ts";

/** Nothing where all is as by default: the filter has the same defaults. */
export function encodeFlow(flow: Flow): Buffer {
  if (isDeepStrictEqual(flow, FLOW_DEFAULT)) return Buffer.alloc(0);
  const { defaultBand, defaultNegativeBand, bands } = flow;
  const all = [{ ...defaultBand, priority: 0 }, { ...defaultNegativeBand, priority: 0 }, ...bands];
  const bytes = Buffer.alloc(l.FLOW_BYTES + all.length * l.BAND_BYTES);
  bytes.writeUInt32LE((flow.queues ? l.QUEUES : 0) | (flow.evicts ? l.EVICTS : 0), l.L_FLAGS);
  bytes.writeUInt32LE(all.length, l.L_BAND_COUNT);
  bytes.writeDoubleLE(flow.maxRequests, l.L_MAX_REQUESTS);
  bytes.writeDoubleLE(flow.maxBytes, l.L_MAX_BYTES);
  bytes.writeDoubleLE(flow.ttlMs, l.L_TTL_MS);
  bytes.writeDoubleLE(flow.emptyTtlMs, l.L_EMPTY_TTL_MS);
  writeDetector(bytes, flow.detector);
  writeUsage(bytes, flow.usage);
  all.forEach((band, i) => {
    writeBand(bytes, l.FLOW_BYTES + i * l.BAND_BYTES, band);
  });
  return bytes;
}

/** The numbers of the other detector are its defaults. */
function writeDetector(bytes: Buffer, detector: Detector): void {
  const isUtilization = detector.kind === "utilization";
  const utilization = isUtilization ? detector : (FLOW_DEFAULT.detector as Detector & { kind: "utilization" });
  const [requests, tokens] = isUtilization
    ? [l.MAX_CONCURRENCY, Number.POSITIVE_INFINITY]
    : [detector.maxConcurrency, detector.maxTokenConcurrency];
  bytes.writeUInt32LE(isUtilization ? l.DETECTOR_UTILIZATION : l.DETECTOR_CONCURRENCY, l.L_DETECTOR);
  bytes.writeDoubleLE(utilization.queueThreshold, l.L_QUEUE_THRESHOLD);
  bytes.writeDoubleLE(utilization.kvThreshold, l.L_KV_THRESHOLD);
  bytes.writeUInt32LE(utilization.staleMs, l.L_STALE_MS);
  bytes.writeDoubleLE(requests, l.L_MAX_CONCURRENCY);
  bytes.writeDoubleLE(tokens, l.L_MAX_TOKEN_CONCURRENCY);
}

function writeUsage(bytes: Buffer, usage: Usage): void {
  const isStatic = usage.kind === "static";
  bytes.writeUInt32LE(isStatic ? l.USAGE_STATIC : l.USAGE_HOLDBACK, l.L_USAGE);
  bytes.writeUInt32LE(isStatic ? l.DOMAIN_RANK : usage.domain, l.L_DOMAIN);
  bytes.writeDoubleLE(isStatic ? usage.ceiling : usage.minCeiling, l.L_CEILING);
  bytes.writeDoubleLE(isStatic ? usage.ceiling : usage.maxCeiling, l.L_MAX_CEILING);
}

function writeBand(bytes: Buffer, at: number, band: Band & { readonly priority: number }): void {
  bytes.writeInt32LE(band.priority, at + l.W_PRIORITY);
  bytes.writeUInt32LE(band.fairness, at + l.W_FAIRNESS);
  bytes.writeUInt32LE(band.ordering, at + l.W_ORDERING);
  bytes.writeDoubleLE(band.maxRequests, at + l.W_MAX_REQUESTS);
  bytes.writeDoubleLE(band.maxBytes, at + l.W_MAX_BYTES);
  bytes.writeDoubleLE(band.ttlMs, at + l.W_TTL_MS);
}
