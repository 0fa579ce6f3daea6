// The filter inside Node, without Envoy: how fast it reads bodies and looks prompts up, and what a request
// costs and calls with 8 to 4096 endpoints, its prompt being cached. `node bench/wasm.ts`, a minute. Good for
// comparing two builds of the filter; Node's host is not Envoy's, so µs here are not µs there.

import { Gateway, IDLE } from "../test/filter/gateway.ts";
import type { Outcome } from "../test/host/drive.ts";
import type { RowSpec } from "../test/host/snapshot.ts";
import { chatBody, LONG_SYSTEM, randomFrom } from "./bodies.ts";
import { fastestUs } from "./fastest.ts";
import { hashTable, indexTable } from "./prefix.ts";
import { readingTable } from "./throughput.ts";

const ENDPOINT_COUNTS = [8, 100, 1000, 4096];
/** Making all endpoints hold a prompt takes a snapshot for each: with more it would take minutes. */
const SHARED_MAX = 1000;
const BODIES = 48;
const SMALL_BYTES = 1_024;
const SHARED_BYTES = 9_728;
const BUSY: RowSpec = { waiting: 100, running: 100, kvUsage: 1 };
/** Workers look for new metrics at most once in 1 ms. */
const HEARD_MS = 2;

function addressesOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}:8000`);
}

/** Servers at work. */
function rowsOf(count: number): readonly RowSpec[] {
  const random = randomFrom(count);
  return Array.from({ length: count }, () => ({ waiting: Math.floor(random() * 4), running: 1, kvUsage: random() }));
}

function drive(gateway: Gateway, body: Buffer): Outcome {
  const outcome = gateway.worker.drive({ body });
  if (outcome.destination === undefined) throw new Error("the filter picked no endpoint");
  return outcome;
}

/** One endpoint after the other is the only idle one, and gets the prompt. */
function placeEverywhere(gateway: Gateway, addresses: readonly string[]): void {
  for (const [only, address] of addresses.entries()) {
    gateway.control.metrics(addresses.map((_, i) => (i === only ? IDLE : BUSY)));
    gateway.advance(HEARD_MS);
    const { destination } = drive(gateway, chatBody(SHARED_BYTES, BODIES + only, LONG_SYSTEM));
    const [first] = destination?.split(",") ?? [];
    if (first !== address) throw new Error(`picked ${first}, expected the idle ${address}`);
  }
}

/** µs of a request, and its host calls. */
function measure(count: number, isShared: boolean): readonly string[] {
  const addresses = addressesOf(count);
  const gateway = new Gateway();
  gateway.serve(addresses);
  if (isShared) placeEverywhere(gateway, addresses);
  gateway.control.metrics(rowsOf(count));
  gateway.advance(HEARD_MS);
  const [bytes, system] = isShared ? [SHARED_BYTES, LONG_SYSTEM] : [SMALL_BYTES, undefined];
  const bodies = Array.from({ length: BODIES }, (_, seed) => chatBody(bytes, seed, system));
  for (const body of bodies) drive(gateway, body);
  let at = 0;
  const us = fastestUs(() => drive(gateway, bodies[at++ % BODIES] as Buffer));
  return [us.toFixed(1), String(drive(gateway, bodies[0] as Buffer).calls)];
}

function requestTable(): string {
  const head =
    "| endpoints | 1 KB: µs, Node's host included | host calls | 8 KB of system prompt on all: µs | host calls |";
  const rows = ENDPOINT_COUNTS.map((count) => {
    const shared = count <= SHARED_MAX ? measure(count, true) : ["", ""];
    return `| ${[count, ...measure(count, false), ...shared].join(" | ")} |`;
  });
  return [head, "| --- | ---: | ---: | ---: | ---: |", ...rows].join("\n");
}

for (const table of [readingTable, hashTable, indexTable, requestTable]) console.log(`${await table()}\n`);
