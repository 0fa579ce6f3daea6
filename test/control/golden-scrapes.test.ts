// Pages that real servers gave, copied whole, against reviewed rows.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ENGINES, type EngineName } from "../../src/control/scrape/engines.ts";
import { pageReader, type Reading } from "../../src/control/scrape/exposition.ts";
import { readSlowly } from "./exposition-oracle.ts";

const DIR = join(import.meta.dirname, "../golden/scrapes");
/** By the folder, which is named for the server and its version. */
const ENGINE_OF: Readonly<Record<string, EngineName>> = {
  "vllm-0.32.0": "vllm",
  "triton-2.51.0": "triton",
  "llama.cpp": "llama.cpp",
};

type Row = Omit<Reading, "errors">;
const NOTHING: Row = {
  waiting: undefined,
  running: undefined,
  kvUsage: undefined,
  blockSize: undefined,
  blocks: undefined,
  maxAdapters: undefined,
  activeAdapters: undefined,
  waitingAdapters: undefined,
  baseModel: undefined,
  attributes: new Map(),
};

/** What a page does not have is left out of its row. */
const rows = JSON.parse(readFileSync(join(DIR, "rows.json"), "utf8")) as Readonly<Record<string, Partial<Row>>>;
const pages = readdirSync(DIR, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".txt"));

describe("captured pages", () => {
  test("each has a row, and each row a page", () => {
    expect(pages.toSorted()).toEqual(Object.keys(rows).toSorted());
  });

  test.each(pages)("%s", (name) => {
    const engine = ENGINE_OF[name.split("/")[0]!]!;
    const page = readFileSync(join(DIR, name), "latin1");
    const { errors, ...row } = pageReader(ENGINES[engine])(page);
    expect(errors).toEqual([]);
    expect(row).toEqual({ ...NOTHING, ...rows[name] });
    expect(row).toEqual(readSlowly(engine, page));
  });
});
