// Benchmark entry (bench/admission.ts): whether a request may go on now, without the request.

import { SNAPSHOT_BYTES_MAX } from "../../src/wire/limits";
import * as scratch from "../abi/scratch";
import { ADMITTED, admit } from "../request/5_admit";
import * as endpoints from "../state/endpoints";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";

/** Metrics say that they are from time 0. */
const NOW_NS: u64 = 30_000_000;
const blob: usize = heap.alloc(SNAPSHOT_BYTES_MAX);
const stream: streams.Stream = streams.open(1, 0);

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.take(size);
}

/** Where to write a topology or metrics. */
export function blobPointer(): usize {
  return blob;
}

export function loadTopology(length: u32): bool {
  return snapshot.loadTopology(blob, length);
}

export function loadMetrics(length: u32): bool {
  return snapshot.loadMetrics(blob, length) == snapshot.LOADED;
}

/** Puts so many requests in flight on each endpoint. */
export function setInFlight(count: u32): void {
  for (let row: u32 = 0; row < snapshot.rowCount; ++row) endpoints.at(snapshot.id(row)).inFlight = <u16>count;
}

/** Asks `times` for the first pool. Answers how often the request may go on. */
export function ask(times: u32): u32 {
  let admitted: u32 = 0;
  for (let n: u32 = 0; n < times; ++n) if (admit(stream, 0, NOW_NS) == ADMITTED) ++admitted;
  return admitted;
}
