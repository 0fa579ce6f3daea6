// Whole requests that are admitted at once, inside Node: what the gate adds to them, and the calls of the host.

import { PATH_METRICS, PATH_TOPOLOGY } from "../src/wire/names.ts";
import { Gateway, POOL } from "../test/filter/gateway.ts";
import { chatBody } from "./bodies.ts";
import { fastestUs } from "./fastest.ts";
import type { Admission } from "./flow-programs.ts";
import { snapshotOf } from "./flow-snapshot.ts";

export type AdmittedRow = {
  readonly endpoints: number;
  readonly admission: Admission;
  /** Node's host included, which is not Envoy's: good for differences. */
  readonly us: number;
  readonly hostCalls: number;
};

const ADMISSIONS: readonly Admission[] = ["none", "off", "concurrency", "utilization"];
/** The sides take turns so often; the fastest counts. */
const TURNS = 3;
const BODIES = 48;
const BODY_BYTES = 1_024;

/** One row for each way of admission. */
export function admittedRows(endpoints: number): readonly AdmittedRow[] {
  const sides = ADMISSIONS.map((admission) => ({ admission, drive: driverOf(endpoints, admission) }));
  const fastest = new Map<Admission, number>();
  for (let turn = 0; turn < TURNS; turn++) {
    for (const { admission, drive } of sides) {
      fastest.set(admission, Math.min(fastest.get(admission) ?? Number.POSITIVE_INFINITY, fastestUs(drive)));
    }
  }
  return sides.map(({ admission, drive }) => {
    return { endpoints, admission, us: fastest.get(admission) ?? Number.NaN, hostCalls: drive() };
  });
}

/** Sends the next request and answers how many calls of the host it took. */
function driverOf(endpoints: number, admission: Admission): () => number {
  const gateway = new Gateway();
  const { topology, metrics } = snapshotOf(POOL, endpoints, admission);
  for (const [path, blob] of [[PATH_TOPOLOGY, topology] as const, [PATH_METRICS, metrics] as const]) {
    const { status, body } = gateway.control.exchange("PUT", path, blob);
    if (status !== 200) throw new Error(`PUT ${path} was answered ${status}: ${body.toString()}`);
  }
  const bodies = Array.from({ length: BODIES }, (_, seed) => chatBody(BODY_BYTES, seed));
  let at = 0;
  const drive = () => {
    const { destination, calls } = gateway.worker.drive({ body: bodies[at++ % BODIES] as Buffer });
    if (destination === undefined) throw new Error("the filter picked no endpoint");
    return calls;
  };
  for (let n = 0; n < BODIES; n++) drive();
  return drive;
}
