// What it costs to send the next waiting request on, with few and with many of them: the line alone, inside V8.

import type { DispatchCell } from "./cells.ts";
import { fastestUs } from "./fastest.ts";
import { startEntry } from "./inside.ts";

type Exports = {
  fill(count: number, flows: number, ordered: boolean): number;
  serve(times: number): void;
  leave(times: number): void;
};

/** In ns: one leaves and another comes in its place. */
export type DispatchRow = {
  readonly waiting: number;
  readonly flows: number;
  /** First come first served. */
  readonly serveNs: number;
  /** By deadlines at random. */
  readonly serveByDeadlineNs: number;
  /** Any of them goes away. */
  readonly leaveNs: number;
};

export type DispatchResult = {
  readonly kind: "dispatch";
  readonly cell: DispatchCell;
  readonly rows: readonly DispatchRow[];
};

const FLOWS = [1, 1_000];
/** In one call, so that calling costs nothing to speak of. */
const TIMES = 100;

export async function measureDispatch(cell: DispatchCell, say: (line: string) => void): Promise<DispatchResult> {
  const exports = await startEntry<Exports>("assembly/test/queue.ts");
  const rows = FLOWS.flatMap((flows) => cell.waiting.map((waiting) => measureRow(exports, waiting, flows)));
  for (const { waiting, flows, serveNs } of rows) {
    say(`${cell.name.padEnd(16)} ${waiting} of ${flows} flows: ${serveNs.toFixed(0)} ns`);
  }
  return { kind: "dispatch", cell, rows };
}

function measureRow(exports: Exports, waiting: number, flows: number): DispatchRow {
  const fill = (ordered: boolean) => {
    if (exports.fill(waiting, flows, ordered) !== waiting) throw new Error(`the line does not hold ${waiting}`);
  };
  const ns = (act: (times: number) => void) => (fastestUs(() => act(TIMES)) / TIMES) * 1000;
  fill(true);
  const serveNs = ns(exports.serve);
  const leaveNs = ns(exports.leave);
  fill(false);
  return { waiting, flows, serveNs, serveByDeadlineNs: ns(exports.serve), leaveNs };
}
