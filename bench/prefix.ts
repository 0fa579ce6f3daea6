// The hash chain and the prefix index inside Node: how fast prompts are hashed, and what it costs to look
// a prompt up and to learn it.

import { randomBytes } from "node:crypto";
import { BLOCKS_MAX } from "../src/wire/limits.ts";
import { Prefixes } from "../test/property/prefixes.ts";
import { sizeName } from "./cells.ts";
import { fastestUs } from "./fastest.ts";

const SIZES = [1_024, 16_384, 131_072, 524_288];
const BLOCK_TOKENS = [64, 256];
const PROMPT_BLOCKS = [4, 64, 512, 2_048];
const HOLDERS = [8, 100, 1_000];
const SYSTEM_BLOCKS = 32;
const OWN_BLOCKS = 4;
const INDEX_BYTES = 64 * 1_048_576;

/** xxh64 over a whole prompt, and chains over its blocks. */
export async function hashTable(): Promise<string> {
  const prefixes = await Prefixes.build();
  const { exports } = prefixes;
  const rows = SIZES.map((bytes) => {
    prefixes.write(randomBytes(bytes));
    const chains = BLOCK_TOKENS.map((tokens) => () => {
      exports.chainBegin();
      exports.chainAdd(0, bytes, tokens, 1n, BLOCKS_MAX);
    });
    const speeds = [() => void exports.hash(0, bytes), ...chains].map((run) => bytes / fastestUs(run) / 1000);
    return `| ${sizeName(bytes)} | ${speeds.map((speed) => speed.toFixed(2)).join(" | ")} |`;
  });
  const heads = ["prompt", "xxh64 GB/s", ...BLOCK_TOKENS.map((tokens) => `chain of ${tokens}-token blocks GB/s`)];
  return [`| ${heads.join(" | ")} |`, `| --- | ${heads.slice(1).fill("---:").join(" | ")} |`, ...rows].join("\n");
}

/** Prompts that one of 8 endpoints holds, then a system prompt that all of many hold. */
export async function indexTable(): Promise<string> {
  const rows: string[] = [];
  for (const blocks of PROMPT_BLOCKS) rows.push(row(`${blocks} blocks on 1 of 8`, await held(8, 1, 0, blocks)));
  for (const ids of HOLDERS) {
    rows.push(
      row(`${SYSTEM_BLOCKS} on ${ids}, then ${OWN_BLOCKS} on 1`, await held(ids, ids, SYSTEM_BLOCKS, OWN_BLOCKS)),
    );
  }
  const head = ["| blocks held | match µs | insert µs |", "| --- | ---: | ---: |"];
  return [...head, ...rows].join("\n");
}

function row(name: string, { exports }: Prefixes): string {
  const match = fastestUs(() => exports.match());
  const insert = fastestUs(() => void exports.insert(0));
  return `| ${name} | ${match.toFixed(2)} | ${insert.toFixed(2)} |`;
}

/** An index in which `holders` of `ids` endpoints hold the first blocks of a prompt, and the first all of it. */
async function held(ids: number, holders: number, common: number, own: number): Promise<Prefixes> {
  const prefixes = await Prefixes.open(INDEX_BYTES, ids);
  const prompt = Array.from({ length: common + own }, (_, n) => n);
  prefixes.chainOfBlocks([prompt.slice(0, common)]);
  for (let id = 0; id < holders; id++) prefixes.insert(id);
  prefixes.chainOfBlocks([prompt]);
  prefixes.insert(0);
  return prefixes;
}
