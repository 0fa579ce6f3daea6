// What the demo shows, as lines of text. No counting here: figures in, lines out.

export interface EndpointFigures {
  readonly waiting: number | undefined;
  readonly running: number | undefined;
  /** 0…1 */
  readonly kvUsage: number | undefined;
  readonly inFlight: number | undefined;
  readonly picks: number;
  readonly firstTokenP50Ms: number | undefined;
  readonly firstTokenP90Ms: number | undefined;
}

export interface SideFigures {
  readonly name: string;
  /** In the order of `Figures.servers`. */
  readonly endpoints: readonly EndpointFigures[];
  readonly meanMs: number | undefined;
  readonly p90Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly finished: number;
  readonly waiting: number;
  readonly gaveUp: number;
  readonly failed: number;
}

export interface Figures {
  /** Name and speed of each server. */
  readonly servers: readonly { readonly name: string; readonly speed: number }[];
  readonly sides: readonly SideFigures[];
}

type Row = readonly string[];

const ENDPOINT_HEADS = ["wait", "run", "KV", "in flight", "picks", "p50 ms", "p90 ms"];
const TOTAL_HEADS = ["mean ms", "p90 ms", "p99 ms", "answered", "no token yet", "gave up", "failed"];
const NAME_HEADS = ["server", "speed"];

/** The sides next to each other when `columns` allows, else one below the other. */
export function table(figures: Figures, columns: number): string[] {
  const names = block(1, [NAME_HEADS, ...figures.servers.map(({ name, speed }) => [name, `${speed}×`])]);
  const blocks = figures.sides.map(({ name, endpoints }) =>
    titled(name, block(0, [ENDPOINT_HEADS, ...endpoints.map(endpointRow)])),
  );
  const wide = beside([titled("", names), ...blocks]);
  const fits = (wide[1] ?? "").length <= columns;
  const endpoints = fits ? wide : blocks.flatMap((lines) => [...beside([titled("", names), lines]), ""]);
  const totals = titled(
    "time to first token, all requests so far",
    block(1, [["", ...TOTAL_HEADS], ...figures.sides.map(totalRow)]),
  );
  return [...endpoints, ...(fits ? [""] : []), ...totals].map((line) => line.trimEnd());
}

/** One line about each side, for a log. */
export function logLine(seconds: number, figures: Figures): string {
  const sides = figures.sides.map(
    (side) =>
      `${side.name}: mean ${whole(side.meanMs)} p90 ${whole(side.p90Ms)} p99 ${whole(side.p99Ms)} ms, ` +
      `${side.finished} answered, ${side.waiting} without a token yet, ${side.gaveUp} gave up, ${side.failed} failed`,
  );
  return `${Math.round(seconds)} s | ${sides.join(" | ")}`;
}

function endpointRow(endpoint: EndpointFigures): Row {
  const { waiting, running, kvUsage, inFlight, picks, firstTokenP50Ms, firstTokenP90Ms } = endpoint;
  const kv = kvUsage === undefined ? undefined : kvUsage * 100;
  const percent = kv === undefined ? "–" : `${whole(kv)}%`;
  const counts = [whole(waiting), whole(running), percent, whole(inFlight), whole(picks)];
  return [...counts, whole(firstTokenP50Ms), whole(firstTokenP90Ms)];
}

function totalRow(side: SideFigures): Row {
  const { name, meanMs, p90Ms, p99Ms, finished, waiting, gaveUp, failed } = side;
  return [name, ...[meanMs, p90Ms, p99Ms, finished, waiting, gaveUp, failed].map(whole)];
}

function whole(value: number | undefined): string {
  return value === undefined ? "–" : Math.round(value).toLocaleString("en-US");
}

/** Rows with their columns aligned: `names` of them to the left, the others to the right. */
function block(names: number, rows: readonly Row[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const aligned = (cell: string, column: number) =>
    column < names ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return rows.map((row) => row.map(aligned).join("  "));
}

function titled(title: string, lines: readonly string[]): string[] {
  const width = Math.max(...lines.map((line) => line.length));
  const rule = title === "" ? "" : `── ${title} `.padEnd(width, "─");
  return [rule.padEnd(width), ...lines];
}

function beside(blocks: readonly (readonly string[])[]): string[] {
  return blocks[0]!.map((_, row) => blocks.map((lines) => lines[row]).join("  "));
}
