// Bytes to what a worker counted by labels, as src/wire/series.ts lays it out. Nothing is believed.

import { DECISIONS_MAX, SERIES_MAX } from "../wire/limits.ts";
import * as s from "../wire/series.ts";
import { type Decoded, fail } from "./decode.ts";

/** One worker's figures. */
export type SeriesBlock = {
  /** When its VM began to count: no two workers have the same. */
  readonly startedNs: bigint;
  readonly rows: readonly SeriesRow[];
  readonly decisions: readonly Decision[];
};

/** A rule had a target asked for in the place of what the caller named. */
export type Decision = {
  readonly rule: string;
  readonly model: string;
  readonly target: string;
  readonly count: number;
};

export type Labels = {
  readonly model: string;
  readonly target: string;
  readonly fairnessId: string;
  readonly priority: string;
};

/** What was counted under one combination of labels. */
export type SeriesRow = {
  readonly labels: Labels;
  readonly running: number;
  readonly requests: number;
  /** As ERROR_CODES of the layout, and the three after them. */
  readonly errors: readonly number[];
  /** To pick an endpoint: those that came to one, and those that did not. */
  readonly attempts: readonly number[];
  readonly histograms: Readonly<Record<HistogramName, Histogram>>;
};

/** Times in seconds. `counts`: of each bound its own bucket, and one for what is above all. */
export type Histogram = { readonly sum: number; readonly counts: readonly number[] };

const MICROSECONDS = 1e-6;

/** Where each histogram lies, its bounds as they are stored, and what they are times of. */
export const HISTOGRAMS = {
  duration: { at: s.S_DURATION, bounds: s.LATENCY_BOUNDS, scale: MICROSECONDS },
  ttft: { at: s.S_TTFT, bounds: s.TTFT_BOUNDS, scale: MICROSECONDS },
  ttftStreaming: { at: s.S_TTFT_STREAMING, bounds: s.TTFT_BOUNDS, scale: MICROSECONDS },
  ntpot: { at: s.S_NTPOT, bounds: s.TPOT_BOUNDS, scale: MICROSECONDS },
  tpot: { at: s.S_TPOT, bounds: s.TPOT_BOUNDS, scale: MICROSECONDS },
  itl: { at: s.S_ITL, bounds: s.ITL_BOUNDS, scale: MICROSECONDS },
  inputTokens: { at: s.S_INPUT, bounds: s.TOKEN_BOUNDS, scale: 1 },
  outputTokens: { at: s.S_OUTPUT, bounds: s.TOKEN_BOUNDS, scale: 1 },
  cachedTokens: { at: s.S_CACHED, bounds: s.TOKEN_BOUNDS, scale: 1 },
  requestBytes: { at: s.S_REQUEST_BYTES, bounds: s.BYTE_BOUNDS, scale: 1 },
  responseBytes: { at: s.S_RESPONSE_BYTES, bounds: s.BYTE_BOUNDS, scale: 1 },
} as const;

export type HistogramName = keyof typeof HISTOGRAMS;

const ERRORS = s.ERROR_NO_ANSWER + 1;
const OTHER = "other";

export function decodeSeries(bytes: Buffer): Decoded<SeriesBlock> {
  if (bytes.length < s.SERIES_HEADER_BYTES)
    return fail("too_short", `${bytes.length} bytes, expected at least the header of ${s.SERIES_HEADER_BYTES}`);
  if (bytes.readUInt32LE(s.H_MAGIC) !== s.SERIES_MAGIC)
    return fail("bad_magic", `starts with ${bytes.toString("hex", 0, 4)}, expected "PMSE"`);
  const version = bytes.readUInt32LE(s.H_VERSION);
  const rowBytes = bytes.readUInt32LE(s.H_ROW_BYTES);
  if (version !== s.SERIES_VERSION || rowBytes !== s.SERIES_ROW_BYTES)
    return fail("bad_format", `version ${version} with rows of ${rowBytes} bytes, expected ${s.SERIES_VERSION}`);
  const rowCount = bytes.readUInt32LE(s.H_ROW_COUNT);
  const decisionCount = bytes.readUInt32LE(s.H_DECISION_COUNT);
  const rowsEnd = s.SERIES_HEADER_BYTES + rowCount * rowBytes;
  const expected = rowsEnd + decisionCount * s.DECISION_ROW_BYTES;
  if (rowCount > SERIES_MAX || decisionCount > DECISIONS_MAX || bytes.length !== expected)
    return fail("bad_table", `${bytes.length} bytes, expected ${expected} for ${rowCount} + ${decisionCount} rows`);
  const rowAt = (n: number): Buffer => bytes.subarray(s.SERIES_HEADER_BYTES + n * rowBytes).subarray(0, rowBytes);
  const rows = Array.from({ length: rowCount }, (_, n) => readRow(rowAt(n), n === 0));
  const decisionAt = (n: number): Buffer => bytes.subarray(rowsEnd + n * s.DECISION_ROW_BYTES);
  const decisions = Array.from({ length: decisionCount }, (_, n) => readDecision(decisionAt(n)));
  return { ok: true, value: { startedNs: bytes.readBigUInt64LE(s.H_STARTED_NS), rows, decisions } };
}

function readDecision(row: Buffer): Decision {
  return {
    rule: textAt(row, s.D_RULE, s.D_RULE_LENGTH),
    model: textAt(row, s.D_CALLER, s.D_CALLER_LENGTH),
    target: textAt(row, s.D_TARGET, s.D_TARGET_LENGTH),
    count: Number(row.readBigUInt64LE(s.D_COUNT)),
  };
}

function textAt(row: Buffer, at: number, lengthAt: number): string {
  return row.toString("utf8", at, at + Math.min(row.readUInt32LE(lengthAt), s.SERIES_LABEL_BYTES));
}

function readRow(row: Buffer, isOther: boolean): SeriesRow {
  const labels = {
    model: textAt(row, s.S_CALLER, s.S_CALLER_LENGTH),
    target: textAt(row, s.S_TARGET, s.S_TARGET_LENGTH),
    fairnessId: textAt(row, s.S_FAIRNESS, s.S_FAIRNESS_LENGTH),
    priority: String(row.readInt32LE(s.S_PRIORITY)),
  };
  const entries = Object.entries(HISTOGRAMS).map(([name, { at, bounds, scale }]) => [
    name,
    {
      sum: Number(row.readBigUInt64LE(at)) * scale,
      counts: Array.from({ length: bounds.length + 1 }, (_, n) => row.readUInt32LE(at + 8 + 4 * n)),
    },
  ]);
  return {
    labels: isOther ? { model: OTHER, target: OTHER, fairnessId: OTHER, priority: OTHER } : labels,
    running: row.readUInt32LE(s.S_RUNNING),
    requests: Number(row.readBigUInt64LE(s.S_REQUESTS)),
    errors: Array.from({ length: ERRORS }, (_, n) => row.readUInt32LE(s.S_ERRORS + 4 * n)),
    attempts: [row.readUInt32LE(s.S_ATTEMPTS), row.readUInt32LE(s.S_ATTEMPTS + 4)],
    histograms: Object.fromEntries(entries) as Record<HistogramName, Histogram>,
  };
}
