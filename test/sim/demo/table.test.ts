import { expect, test } from "vitest";
import { type EndpointFigures, type Figures, logLine, table } from "../../../src/demo/table.ts";

const KNOWN: EndpointFigures = {
  waiting: 0,
  running: 12,
  kvUsage: 0.4567,
  inFlight: 13,
  picks: 1234,
  firstTokenP50Ms: 20.4,
  firstTokenP90Ms: 1500,
};
const UNKNOWN: EndpointFigures = {
  waiting: undefined,
  running: undefined,
  kvUsage: undefined,
  inFlight: undefined,
  picks: 0,
  firstTokenP50Ms: undefined,
  firstTokenP90Ms: undefined,
};
const TOTALS = { meanMs: 123.4, p90Ms: 250, p99Ms: 900, finished: 2000, waiting: 3, gaveUp: 1, failed: 0 };
const FIGURES: Figures = {
  servers: [
    { name: "server-1", speed: 1 },
    { name: "server-2", speed: 0.25 },
  ],
  sides: [
    { name: "Pointsman", endpoints: [KNOWN, UNKNOWN], ...TOTALS },
    { name: "round robin", endpoints: [UNKNOWN, KNOWN], ...TOTALS, meanMs: 4321 },
  ],
};

test("a wide terminal shows the sides next to each other", () => {
  expect(`\n${table(FIGURES, 120).join("\n")}\n`).toBe(`
                 ── Pointsman ───────────────────────────────────  ── round robin ─────────────────────────────────
server    speed  wait  run   KV  in flight  picks  p50 ms  p90 ms  wait  run   KV  in flight  picks  p50 ms  p90 ms
server-1     1×     0   12  46%         13  1,234      20   1,500     –    –    –          –      0       –       –
server-2  0.25×     –    –    –          –      0       –       –     0   12  46%         13  1,234      20   1,500

── time to first token, all requests so far ─────────────────────────────────
             mean ms  p90 ms  p99 ms  answered  no token yet  gave up  failed
Pointsman        123     250     900     2,000             3        1       0
round robin    4,321     250     900     2,000             3        1       0
`);
});

test("a narrow one shows them below each other, and no line is wider than it", () => {
  const lines = table(FIGURES, 80);
  expect(lines.filter((line) => line.startsWith("server-1"))).toHaveLength(2);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
});

test("a log line says the same of each side", () => {
  expect(logLine(5.02, FIGURES)).toBe(
    "5 s | Pointsman: mean 123 p90 250 p99 900 ms, 2000 answered, 3 without a token yet, 1 gave up, 0 failed" +
      " | round robin: mean 4,321 p90 250 p99 900 ms, 2000 answered, 3 without a token yet, 1 gave up, 0 failed",
  );
});
