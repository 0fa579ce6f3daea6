// The flags that shape Envoy's configuration, common to `up` and `envoy-config`.

import type { FilterConfig } from "../envoy/bootstrap.ts";
import { BUFFER_BYTES, BUFFER_MARGIN_BYTES } from "../envoy/bootstrap.ts";
import { INDEX_MIB_MAX, INSPECTION_BYTES } from "../wire/limits.ts";
import { choice, type FlagValues, PATH, POOL, SIZE, SWITCH, TEXT, UsageError, whole } from "./flags.ts";
import { LEAN_FILTER_PATH } from "./paths.ts";
import { type Present, present } from "./present.ts";

export const filterFlags = {
  "default-pool": { kind: POOL, help: "the pool that requests go to (default: the only one)" },
  "failure-mode": { kind: choice("FailClose", "FailOpen"), help: "before the first snapshot (default FailClose: 503)" },
  "no-served-header": { kind: SWITCH, help: "responses do not name the endpoint that served them" },
  "inspection-limit": { kind: SIZE, help: "how much of a body is read before the decision (default 512KiB)" },
  "prefix-index": {
    kind: whole(1, INDEX_MIB_MAX),
    help: "memory of a worker's prefix cache index, in MiB (default 64)",
  },
  "allow-explain": { kind: SWITCH, help: "answers requests with x-pointsman-explain: 1 by how they would be picked" },
  "trusted-headers": { kind: TEXT, help: "client headers that count: all (default), none, or names with commas" },
  "trust-subset-header": { kind: SWITCH, help: "the subset header counts: a proxy in front takes it from clients" },
  "subset-hint": { kind: choice("metadata", "off"), help: "whether other filters may bound a pick (default off)" },
  "pool-header": { kind: TEXT, help: "header by which requests name one of several pools (default none)" },
  "model-header": { kind: SWITCH, help: "routes can match on the model and the pool, with one pool too" },
  seed: { kind: whole(0, 2 ** 32 - 1), help: "makes the random breaking of ties repeatable" },
  "inject-usage": {
    kind: SWITCH,
    help: "asks servers for the token counts of streams, and hides the answer from callers",
  },
  "no-usage": { kind: SWITCH, help: "responses pass unread: no token counts, no model names put back, less CPU" },
  filter: { kind: PATH, help: "the compiled filter (default build/filter-usage.wasm; with --no-usage filter.wasm)" },
  buffer: { kind: SIZE, help: "what a connection may hold during inspection (default 1MiB)" },
  "access-log": { kind: PATH, help: "Envoy's access log, /dev/stdout for instance (default none)" },
} as const;

export interface EnvoyShape {
  readonly filter: FilterConfig;
  readonly filterPath: string;
  readonly bufferBytes: number;
  readonly accessLogPath: string;
}

/** The flags as options of `bootstrap`; what was not given is absent. */
export function envoyShape(command: string, given: FlagValues<typeof filterFlags>): Present<EnvoyShape> {
  const inspectionBytes = given["inspection-limit"] ?? INSPECTION_BYTES;
  const bufferBytes = given.buffer ?? BUFFER_BYTES;
  if (bufferBytes < inspectionBytes + BUFFER_MARGIN_BYTES) {
    const least = inspectionBytes + BUFFER_MARGIN_BYTES;
    throw new UsageError(
      `pointsman ${command}: --buffer ${bufferBytes}: expected at least ${least} bytes, the inspection limit of ` +
        `${inspectionBytes} and ${BUFFER_MARGIN_BYTES} to spare, or Envoy would answer 413`,
    );
  }
  if (given["inject-usage"] && given["no-usage"]) {
    throw new UsageError(
      `pointsman ${command}: --inject-usage with --no-usage: expected one of them; without reading responses the ` +
        "filter could not take the usage out again that it asked for",
    );
  }
  return present({
    filterPath: given.filter ?? (given["no-usage"] ? LEAN_FILTER_PATH : undefined),
    bufferBytes: given.buffer,
    accessLogPath: given["access-log"],
    filter: present({
      failureMode: given["failure-mode"],
      defaultPool: given["default-pool"],
      servedHeader: given["no-served-header"] ? false : undefined,
      inspectionBytes: given["inspection-limit"],
      prefixIndexMiB: given["prefix-index"],
      explain: given["allow-explain"] ? true : undefined,
      trustedHeaders: given["trusted-headers"],
      trustSubsetHeader: given["trust-subset-header"] ? true : undefined,
      subsetHint: given["subset-hint"],
      poolHeader: given["pool-header"],
      modelHeader: given["model-header"] ? true : undefined,
      injectUsage: given["inject-usage"] ? true : undefined,
      seed: given.seed,
    }),
  });
}
