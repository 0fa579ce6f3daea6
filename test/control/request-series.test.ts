// Statistics of requests: what workers counted by labels, read, added up and printed.

import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { registerScheduler } from "../../src/control/scheduler-metrics.ts";
import { decodeSeries, type SeriesBlock } from "../../src/control/series.ts";
import { seriesPage } from "../../src/control/series-page.ts";
import { SeriesTotals } from "../../src/control/series-totals.ts";
import * as s from "../../src/wire/series.ts";

type Row = {
  readonly model: string;
  readonly requests: number;
  readonly running?: number;
  readonly errors?: Readonly<Record<number, number>>;
  readonly attempts?: readonly [picked: number, not: number];
  /** Of output tokens: the sum, and the count of one bucket. */
  readonly output?: readonly [sum: number, bucket: number, count: number];
  readonly ttft?: readonly [sumUs: number, bucket: number, count: number];
};

/** A rule's name, the caller's, the target's, and how often. */
type DecisionRow = readonly [rule: string, model: string, target: string, count: number];

function bytesOf(startedNs: number, rows: readonly Row[], decisions: readonly DecisionRow[] = []): Buffer {
  const rowsEnd = s.SERIES_HEADER_BYTES + (rows.length + 1) * s.SERIES_ROW_BYTES;
  const bytes = Buffer.alloc(rowsEnd + decisions.length * s.DECISION_ROW_BYTES);
  bytes.writeUInt32LE(s.SERIES_MAGIC, s.H_MAGIC);
  bytes.writeUInt32LE(s.SERIES_VERSION, s.H_VERSION);
  bytes.writeBigUInt64LE(BigInt(startedNs), s.H_STARTED_NS);
  bytes.writeUInt32LE(rows.length + 1, s.H_ROW_COUNT);
  bytes.writeUInt32LE(s.SERIES_ROW_BYTES, s.H_ROW_BYTES);
  bytes.writeUInt32LE(decisions.length, s.H_DECISION_COUNT);
  bytes.writeUInt32LE(s.DECISION_ROW_BYTES, s.H_DECISION_BYTES);
  for (const [n, row] of rows.entries()) writeRow(bytes, s.SERIES_HEADER_BYTES + (n + 1) * s.SERIES_ROW_BYTES, row);
  for (const [n, row] of decisions.entries()) writeDecision(bytes, rowsEnd + n * s.DECISION_ROW_BYTES, row);
  return bytes;
}

function writeRow(bytes: Buffer, at: number, row: Row): void {
  const { model, requests, running = 0, errors = {}, attempts = [0, 0], output, ttft } = row;
  const texts = [model, `${model}-v2`, "team-a"];
  const places = [s.S_CALLER, s.S_TARGET, s.S_FAIRNESS];
  for (const [n, text] of texts.entries()) {
    bytes.write(text, at + places[n]!);
    bytes.writeUInt32LE(text.length, at + s.S_CALLER_LENGTH + 4 * n);
  }
  bytes.writeInt32LE(-2, at + s.S_PRIORITY);
  bytes.writeUInt32LE(running, at + s.S_RUNNING);
  bytes.writeBigUInt64LE(BigInt(requests), at + s.S_REQUESTS);
  for (const [code, count] of Object.entries(errors)) bytes.writeUInt32LE(count, at + s.S_ERRORS + 4 * Number(code));
  for (const [n, count] of attempts.entries()) bytes.writeUInt32LE(count, at + s.S_ATTEMPTS + 4 * n);
  for (const [place, values] of [
    [s.S_OUTPUT, output],
    [s.S_TTFT_STREAMING, ttft],
  ] as const) {
    if (values === undefined) continue;
    bytes.writeBigUInt64LE(BigInt(values[0]), at + place);
    bytes.writeUInt32LE(values[2], at + place + 8 + 4 * values[1]);
  }
}

function writeDecision(bytes: Buffer, at: number, [rule, model, target, count]: DecisionRow): void {
  for (const [text, place, lengthPlace] of [
    [rule, s.D_RULE, s.D_RULE_LENGTH],
    [model, s.D_CALLER, s.D_CALLER_LENGTH],
    [target, s.D_TARGET, s.D_TARGET_LENGTH],
  ] as const) {
    bytes.write(text, at + place);
    bytes.writeUInt32LE(text.length, at + lengthPlace);
  }
  bytes.writeBigUInt64LE(BigInt(count), at + s.D_COUNT);
}

function deciding(startedNs: number, ...decisions: readonly DecisionRow[]): SeriesBlock {
  const decoded = decodeSeries(bytesOf(startedNs, [], decisions));
  if (!decoded.ok) throw new Error(decoded.error.message);
  return decoded.value;
}

function block(startedNs: number, ...rows: readonly Row[]): SeriesBlock {
  const decoded = decodeSeries(bytesOf(startedNs, rows));
  if (!decoded.ok) throw new Error(decoded.error.message);
  return decoded.value;
}

function sample(totals: SeriesTotals, start: string): number | undefined {
  const line = seriesPage(totals.rows())
    .split("\n")
    .find((each) => each.startsWith(start));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1));
}

const LABELS = 'model_name="m",target_model_name="m-v2",fairness_id="team-a",priority="-2"';

test("figures are added up over workers, also over those that are gone", () => {
  const totals = new SeriesTotals();
  totals.add([block(1, { model: "m", requests: 5, running: 2 }), block(2, { model: "m", requests: 7, running: 1 })]);
  expect(sample(totals, `llm_d_epp_request_total{${LABELS}}`)).toBe(12);
  expect(sample(totals, `llm_d_epp_request_running{${LABELS}}`)).toBe(3);
  totals.add([block(2, { model: "m", requests: 8, running: 0 }), block(3, { model: "m", requests: 1, running: 1 })]);
  expect(sample(totals, `llm_d_epp_request_total{${LABELS}}`)).toBe(14);
  expect(sample(totals, `llm_d_epp_request_running{${LABELS}}`)).toBe(1);
  totals.add([]);
  totals.add([block(1, { model: "m", requests: 6 })]);
  expect(sample(totals, `llm_d_epp_request_total{${LABELS}}`)).toBe(15);
});

test("histograms are cumulative and in seconds, under both names", () => {
  const totals = new SeriesTotals();
  totals.add([block(1, { model: "m", requests: 3, output: [24, 3, 3], ttft: [9_000, 1, 2] })]);
  for (const name of ["llm_d_epp_request_output_tokens", "inference_objective_output_tokens"]) {
    expect(sample(totals, `${name}_bucket{${LABELS},le="4"}`)).toBe(0);
    expect(sample(totals, `${name}_bucket{${LABELS},le="8"}`)).toBe(3);
    expect(sample(totals, `${name}_bucket{${LABELS},le="+Inf"}`)).toBe(3);
    expect(sample(totals, `${name}_sum{${LABELS}}`)).toBe(24);
    expect(sample(totals, `${name}_count{${LABELS}}`)).toBe(3);
  }
  const ttft = "llm_d_epp_request_ttft_seconds";
  expect(sample(totals, `${ttft}_bucket{${LABELS},streaming="true",le="0.005"}`)).toBe(0);
  expect(sample(totals, `${ttft}_bucket{${LABELS},streaming="true",le="0.01"}`)).toBe(2);
  expect(sample(totals, `${ttft}_sum{${LABELS},streaming="true"}`)).toBeCloseTo(0.009);
  expect(seriesPage(totals.rows())).not.toContain('streaming="false"');
});

test("errors carry their status, the older running gauge only the model", () => {
  const totals = new SeriesTotals();
  totals.add([block(1, { model: "m", requests: 9, running: 4, errors: { 7: 2, 12: 1, 13: 3 } })]);
  const errors = (code: string) => sample(totals, `llm_d_epp_request_error_total{${LABELS},error_code="${code}"}`);
  expect([errors("429"), errors("5xx"), errors("no_answer"), errors("400")]).toEqual([2, 1, 3, undefined]);
  expect(sample(totals, 'inference_objective_running_requests{model_name="m"}')).toBe(4);
});

test("decisions and attempts are added up over workers and what was told before, under both names", async () => {
  const totals = new SeriesTotals();
  const registry = new Registry();
  registerScheduler(registry, totals);
  totals.add([
    deciding(1, ["other", "other", "other", 0], ["split", "m", "m-a", 4], ["split", "m", "m-b", 1]),
    deciding(2, ["other", "other", "other", 3], ["split", "m", "m-b", 2]),
    block(3, { model: "m", requests: 3, attempts: [2, 1] }, { model: "n", requests: 1, attempts: [1, 0] }),
  ]);
  totals.add([deciding(1, ["other", "other", "other", 0], ["split", "m", "m-a", 6], ["split", "m", "m-b", 1])]);
  const page = await registry.metrics();
  for (const prefix of ["llm_d_epp_", "inference_extension_"]) {
    const decision = (rule: string, model: string, target: string) =>
      `${prefix}model_rewrite_decisions_total{model_rewrite_name="${rule}",model_name="${model}",target_model="${target}"}`;
    expect(page).toContain(`${decision("split", "m", "m-a")} 6\n`);
    expect(page).toContain(`${decision("split", "m", "m-b")} 3\n`);
    expect(page).toContain(`${decision("other", "other", "other")} 3\n`);
    expect(page).toContain(`${prefix}scheduler_attempts_total{status="success",target_model_name="m-v2"} 2\n`);
    expect(page).toContain(`${prefix}scheduler_attempts_total{status="failure",target_model_name="m-v2"} 1\n`);
    expect(page).toContain(`${prefix}scheduler_attempts_total{status="success",target_model_name="n-v2"} 1\n`);
    expect(page).toMatch(new RegExp(`${prefix}info\\{commit="unknown",build_ref="v[0-9.]+"\\} 1\n`));
  }
});

test("label values are escaped, and no more than 1000 combinations are told apart", () => {
  const totals = new SeriesTotals();
  totals.add([block(1, { model: 'a"\\\n', requests: 1 })]);
  expect(seriesPage(totals.rows())).toContain('model_name="a\\"\\\\\\n"');
  const many = (from: number) => Array.from({ length: 999 }, (_, n) => ({ model: `m${from + n}`, requests: 1 }));
  totals.add([block(2, ...many(0)), block(3, ...many(2_000))]);
  expect(totals.rows().length).toBe(1_000);
  expect(totals.rows().reduce((sum, row) => sum + row.requests, 0)).toBe(1 + 2 * 999);
  const other = 'model_name="other",target_model_name="other",fairness_id="other",priority="other"';
  expect(sample(totals, `llm_d_epp_request_total{${other}}`)).toBe(1 + 2 * 999 - 999);
});

test("bytes that are no series are refused with a reason", () => {
  const good = bytesOf(1, [{ model: "m", requests: 1 }]);
  const changed = (at: number, value: number) => {
    const copy = Buffer.from(good);
    copy.writeUInt32LE(value, at);
    return copy;
  };
  const codes = [
    good.subarray(0, 20),
    changed(s.H_MAGIC, 1),
    changed(s.H_VERSION, 9),
    changed(s.H_ROW_COUNT, 5),
    changed(s.H_DECISION_COUNT, 1),
  ].map((bytes) => {
    const decoded = decodeSeries(bytes);
    return decoded.ok ? "taken" : decoded.error.code;
  });
  expect(codes).toEqual(["too_short", "bad_magic", "bad_format", "bad_table", "bad_table"]);
});
