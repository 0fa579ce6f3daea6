// How fast a body is read inside V8: the filter's own code, compiled with an entry that does nothing else.

import { type Imports, instantiateSync } from "@assemblyscript/loader";
import { compileEntry } from "../test/host/compile.ts";
import { chatBody, plainBody } from "./bodies.ts";
import { sizeName } from "./cells.ts";
import { fastestUs } from "./fastest.ts";

type Exports = {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  bodyPointer(): number;
  scan(length: number, extract: boolean): number;
  chainPrompt(): number;
};

const SIZES = [1_024, 16_384, 131_072, 524_288];
const PLAIN_BYTES = 524_288;
/** The host's status for a header that is not there. */
const NOT_FOUND = 1;

async function load(): Promise<Exports> {
  const module = await compileEntry("assembly/test/throughput.ts");
  // The type knows only the names of env that the loader itself fills.
  const env = { proxy_log: () => 0, proxy_get_header_map_value: () => NOT_FOUND };
  const { exports } = instantiateSync<Exports>(module, { env: env as object } as Imports);
  exports._initialize();
  return exports;
}

/** The same with chats as real clients send them, and with plain prose. */
export async function readingTable(): Promise<string> {
  const exports = await load();
  const bodies = [
    ...SIZES.map((bytes) => [sizeName(bytes), chatBody(bytes, 1)] as const),
    [`${sizeName(PLAIN_BYTES)}, plain`, plainBody(PLAIN_BYTES)] as const,
  ];
  const rows = bodies.map(([name, body]) => `| ${[name, ...measure(exports, body)].join(" | ")} |`);
  const head = ["body, GB/s (µs)", "scan", "scan + unescape", "scan + unescape + chain"];
  return [`| ${head.join(" | ")} |`, "| --- | ---: | ---: | ---: |", ...rows].join("\n");
}

function measure(exports: Exports, body: Buffer): readonly string[] {
  const { length } = body;
  new Uint8Array(exports.memory.buffer).set(body, exports.bodyPointer());
  const readAll = () => {
    if (exports.scan(length, true) === 0 || exports.chainPrompt() === 0) throw new Error("no prompt in this body");
  };
  const steps = [() => exports.scan(length, false), () => exports.scan(length, true), readAll];
  return steps.map((step) => {
    const us = fastestUs(step);
    return `${(length / us / 1000).toFixed(1)} (${us.toFixed(2)})`;
  });
}
