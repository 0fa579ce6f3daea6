// The filter inside Node, without Envoy: how fast the scanner reads, and what a request costs and
// calls with 8 to 4096 endpoints. `node bench/wasm.ts`, a few seconds. Good for comparing two builds
// of the filter; Node's host is not Envoy's, so µs here are not µs there.

import { FETCH_BYTES } from "../src/wire/limits.ts";
import { Gateway } from "../test/filter/gateway.ts";
import { Scanner } from "../test/property/scanner.ts";
import { chatBody, randomFrom } from "./bodies.ts";
import { sizeName } from "./cells.ts";

const SIZES = [1_024, 16_384, 131_072, 524_288];
const ENDPOINT_COUNTS = [8, 100, 1000, 4096];
const ROUNDS = 7;
/** Long enough for V8's optimizing tier and for a clock of µs. */
const ROUND_MS = 150;

/** The fastest of some rounds, in µs per call. */
function fastestUs(run: () => void): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    let calls = 0;
    while (performance.now() - start < ROUND_MS) {
      run();
      calls++;
    }
    return ((performance.now() - start) / calls) * 1000;
  });
  return Math.min(...rounds);
}

function scanTable(scanner: Scanner): string {
  const rows = SIZES.map((bytes) => {
    const body = chatBody(bytes, 1);
    const cuts = Array.from({ length: Math.floor((bytes - 1) / FETCH_BYTES) }, (_, i) => (i + 1) * FETCH_BYTES);
    const us = fastestUs(() => scanner.scan(body, cuts));
    return `| ${sizeName(bytes)} | ${us.toFixed(2)} | ${(bytes / us / 1000).toFixed(2)} |`;
  });
  return ["| body | scan µs | GB/s |", "| --- | ---: | ---: |", ...rows].join("\n");
}

function requestTable(): string {
  const body = chatBody(1_024, 1);
  const rows = ENDPOINT_COUNTS.map((count) => {
    const gateway = new Gateway();
    const random = randomFrom(count);
    const addresses = Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}:8000`);
    const states = addresses.map(() => ({ waiting: Math.floor(random() * 4), running: 1, kvUsage: random() }));
    gateway.serve(addresses, states);
    const request = { body };
    const us = fastestUs(() => gateway.worker.drive(request));
    const { calls, destination } = gateway.worker.drive(request);
    if (destination === undefined) throw new Error(`no pick among ${count} endpoints`);
    return `| ${count} | ${us.toFixed(1)} | ${calls} |`;
  });
  const head = ["| endpoints | request µs, Node's host included | host calls |"];
  return [...head, "| --- | ---: | ---: |", ...rows].join("\n");
}

console.log(`${scanTable(await Scanner.build())}\n\n${requestTable()}`);
