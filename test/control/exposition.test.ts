// Metrics pages: captures of a real vLLM, single lines, and generated pages against the slow reading.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VLLM } from "../../src/control/scrape/engines.ts";
import { pageReader } from "../../src/control/scrape/exposition.ts";
import { readSlowly } from "./exposition-oracle.ts";

const read = pageReader(VLLM);

function capture(name: string): string {
  return readFileSync(new URL(`data/${name}`, import.meta.url), "latin1");
}

describe("pages of vLLM 0.32", () => {
  test("idle", () => {
    expect(read(capture("vllm-0.32-idle.txt"))).toEqual({
      waiting: 0,
      running: 0,
      kvUsage: 0,
      blockSize: 32,
      blocks: 128,
      maxAdapters: 1,
      activeAdapters: [],
      waitingAdapters: [],
      errors: [],
    });
  });

  test("with adapters: the newest of the label sets counts", () => {
    expect(read(capture("vllm-0.32-adapters.txt"))).toMatchObject({
      waiting: 2,
      running: 2,
      kvUsage: 0.13385826771653542,
      activeAdapters: ["lora-b"],
      waitingAdapters: ["lora-b"],
    });
  });

  test.each(["vllm-0.32-idle.txt", "vllm-0.32-adapters.txt"])("%s as read slowly", (name) => {
    const { errors, ...values } = read(capture(name));
    expect(errors).toEqual([]);
    expect(values).toEqual(readSlowly(capture(name)));
  });
});

describe("lines", () => {
  test("a name that only starts like a wanted one is another", () => {
    const page =
      'vllm:num_requests_waiting_by_reason{reason="x"} 5\nvllm:num_requests_waiting 2\nxvllm:num_requests_waiting 9\n';
    expect(read(page).waiting).toBe(2);
  });

  test("ranks behind one port: queues are summed, KV use is the largest", () => {
    const page = [0, 1, 2]
      .map((rank) =>
        [
          `vllm:num_requests_waiting{engine="${rank}"} ${rank + 1}`,
          `vllm:num_requests_running{engine="${rank}"} 10`,
          `vllm:kv_cache_usage_perc{engine="${rank}"} 0.${5 - rank}`,
        ].join("\n"),
      )
      .join("\n");
    expect(read(page)).toMatchObject({ waiting: 6, running: 30, kvUsage: 0.5, errors: [] });
  });

  test("the older name of KV use", () => {
    expect(read("vllm:gpu_cache_usage_perc 0.5\n").kvUsage).toBe(0.5);
  });

  test.each(["NaN", "+Inf", "-1", "1,5", "0x10", "", "3 x", "3 4 5", "1e999"])(
    "the value %j spoils its family alone",
    (value) => {
      const lines = [
        'vllm:num_requests_waiting{engine="0"} 1',
        `vllm:num_requests_waiting{engine="1"} ${value}`,
        "vllm:num_requests_running 3",
      ];
      const reading = read(lines.join("\n"));
      expect(reading).toMatchObject({ waiting: undefined, running: 3 });
      expect(reading.errors).toEqual([`vllm:num_requests_waiting: expected a number of requests, found ${value}`]);
    },
  );

  test("KV use above 1 is an error, not a full cache", () => {
    expect(read("vllm:kv_cache_usage_perc 37.5\n")).toMatchObject({
      kvUsage: undefined,
      errors: ["vllm:kv_cache_usage_perc: expected a share from 0 to 1, found 37.5"],
    });
  });

  test("labels with quotes, braces, commas and UTF-8", () => {
    const page = Buffer.from(
      'vllm:lora_requests_info{a="}\\"{,",max_lora="4",' +
        'running_lora_adapters="größe, b\\\\c",waiting_lora_adapters=","} 1e9\n',
    ).toString("latin1");
    expect(read(page)).toMatchObject({
      maxAdapters: 4,
      activeAdapters: ["größe", "b\\c"],
      waitingAdapters: [],
      errors: [],
    });
  });

  test("the number of blocks is not known yet", () => {
    expect(read('vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1\n')).toMatchObject({
      blockSize: 16,
      blocks: undefined,
      errors: [],
    });
  });

  test("a page of something else has nothing", () => {
    expect(
      Object.values(read("<html>\n<body>vllm:num_requests_waiting 3</body>\n")).every(
        (value) => value === undefined || Array.isArray(value),
      ),
    ).toBe(true);
  });
});

describe("generated pages", () => {
  const name = fc.constantFrom(
    ...VLLM.families.map((family) => family.name),
    "vllm:num_requests_waiting_by_reason",
    "vllm:num_requests",
    "other_total",
    "# HELP vllm:num_requests_waiting",
  );
  const labelName = fc.constantFrom(
    "engine",
    "block_size",
    "num_gpu_blocks",
    "max_lora",
    "running_lora_adapters",
    "waiting_lora_adapters",
  );
  const labelValue = fc.oneof(
    fc.constantFrom("16", "None", "", "a,b", " a , ", "99999999999", "7x"),
    fc.string({ maxLength: 6, unit: fc.constantFrom("a", "{", "}", ",", "=", " ", "\\\\", '\\"', "\\n", "#") }),
  );
  const blank = fc.constantFrom("", "", "", " ", "\t ");
  const label = fc
    .tuple(blank, labelName, blank, blank, labelValue, blank)
    .map(([a, n, b, c, v, d]) => `${a}${n}${b}=${c}"${v}"${d}`);
  const labels = fc.oneof(
    fc.constant(""),
    fc
      .uniqueArray(label, { maxLength: 4, selector: (text) => text.split("=")[0]!.trim() })
      .map((all) => `{${all.join(",")}}`),
    label.map((one) => `{${one},}`),
    fc.constantFrom("{", "{a", '{a="', '{a="b"', "{a=b}", '{a="b" c="d"}'),
  );
  const value = fc.oneof(
    fc.nat(100).map(String),
    fc.double({ min: 0, max: 1, noNaN: true }).map(String),
    fc.constantFrom("NaN", "+Inf", "-2", "1.5e+09", ".5", "5.", "abc", "", "1 1700000000000", "1 x"),
  );
  const line = fc
    .tuple(blank, name, blank, labels, fc.constantFrom(" ", " ", "", "\t"), value, blank)
    .map((parts) => parts.join(""));
  const pages = fc
    .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom("", "\n"))
    .map(([lines, end]) => lines.join("\n") + end);

  test("are read as the slow way reads them", () => {
    fc.assert(
      fc.property(pages, (page) => {
        const { errors: _, ...values } = read(page);
        expect(values).toEqual(readSlowly(page));
      }),
      { numRuns: 3_000 },
    );
  });
});
