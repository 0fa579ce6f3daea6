// What it costs to ask whether a request may go on now: the station alone, inside V8.

import { type AdmittedRow, admittedRows } from "./admitted.ts";
import type { AdmissionCell } from "./cells.ts";
import { fastestUs } from "./fastest.ts";
import type { Admission } from "./flow-programs.ts";
import { snapshotOf } from "./flow-snapshot.ts";
import { startEntry } from "./inside.ts";

type Exports = {
  readonly memory: WebAssembly.Memory;
  blobPointer(): number;
  loadTopology(length: number): number;
  loadMetrics(length: number): number;
  setInFlight(count: number): void;
  ask(times: number): number;
};

export type AdmissionRow = {
  readonly endpoints: number;
  readonly admission: Admission;
  readonly askNs: number;
};

export type AdmissionResult = {
  readonly kind: "admission";
  readonly cell: AdmissionCell;
  readonly rows: readonly AdmissionRow[];
  readonly requests: readonly AdmittedRow[];
};

const ADMISSIONS = ["off", "concurrency", "utilization"] as const;
const TIMES = 100;
const IN_FLIGHT = 3;

export async function measureAdmission(cell: AdmissionCell, say: (line: string) => void): Promise<AdmissionResult> {
  const exports = await startEntry<Exports>("assembly/test/admission.ts");
  const rows = cell.endpoints.flatMap((endpoints) =>
    ADMISSIONS.map((admission) => {
      serve(exports, endpoints, admission);
      const askNs = (fastestUs(() => void exports.ask(TIMES)) / TIMES) * 1000;
      say(`${cell.name.padEnd(16)} ${endpoints} endpoints, ${admission}: ${askNs.toFixed(0)} ns`);
      return { endpoints, admission, askNs };
    }),
  );
  const requests = cell.endpoints.flatMap((endpoints) => admittedRows(endpoints));
  for (const { endpoints, admission, us } of requests) {
    say(`${cell.name.padEnd(16)} ${endpoints} endpoints, ${admission}: ${us.toFixed(2)} µs a request`);
  }
  return { kind: "admission", cell, rows, requests };
}

/** Puts endpoints at work in force. Throws when a request would not be admitted there. */
function serve(exports: Exports, count: number, admission: Admission): void {
  const { topology, metrics } = snapshotOf("bench/pool", count, admission);
  if (!write(exports, topology, exports.loadTopology) || !write(exports, metrics, exports.loadMetrics))
    throw new Error("the filter does not take the snapshot");
  exports.setInFlight(IN_FLIGHT);
  if (exports.ask(1) !== 1) throw new Error("the filter does not admit a request");
}

function write({ memory, blobPointer }: Exports, bytes: Buffer, load: (length: number) => number): boolean {
  new Uint8Array(memory.buffer).set(bytes, blobPointer());
  return load(bytes.length) !== 0;
}
