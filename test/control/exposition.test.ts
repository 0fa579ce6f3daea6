// Metrics pages: single lines, whole pages of each engine, and generated pages against the slow reading.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ENGINES, type EngineName, type Family } from "../../src/control/scrape/engines.ts";
import { ERRORS_MAX, NOTHING_READ, pageReader } from "../../src/control/scrape/exposition.ts";
import { readSlowly } from "./exposition-oracle.ts";

const read = pageReader(ENGINES.vllm);

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

  test("ranks that have different caches, in either order: the largest", () => {
    const series = [
      'block_size="16",engine="0",num_gpu_blocks="None"',
      'block_size="32",engine="1",num_gpu_blocks="9"',
    ];
    for (const order of [series, series.toReversed()]) {
      const page = order.map((labels) => `vllm:cache_config_info{${labels}} 1.0\n`).join("");
      expect(read(page)).toMatchObject({ blockSize: 32, blocks: 9, errors: [] });
    }
  });

  test("adapters: the newest label set counts, wherever it stands", () => {
    const series = (names: string, time: string) =>
      `vllm:lora_requests_info{max_lora="2",running_lora_adapters="${names}",waiting_lora_adapters=""} ${time}\n`;
    const page = series("old", "1.7951565470704005e+09") + series("a, b", "1.79515655e+09") + series("", "1.7e+09");
    expect(read(page)).toMatchObject({ activeAdapters: ["a", "b"], waitingAdapters: [], maxAdapters: 2 });
  });

  test("the older name of KV use", () => {
    expect(read("vllm:gpu_cache_usage_perc 0.5\n").kvUsage).toBe(0.5);
  });

  test.each(["# TYPE vllm:num_requests_waiting untyped\n", "# TYPE vllm:num_requests_waiting gauge\n", ""])(
    "the type that a page gives does not matter: %j",
    (type) => {
      expect(read(`${type}vllm:num_requests_waiting 3\n`).waiting).toBe(3);
    },
  );

  test("of a page that is wrong in every line the first errors are kept", () => {
    const { errors, waiting } = read("vllm:num_requests_waiting NaN\n".repeat(50_000));
    expect({ count: errors.length, waiting }).toEqual({ count: ERRORS_MAX, waiting: undefined });
  });

  test.each(["NaN", "+Inf", "-1", "1,5", "0x10", "", "3 x", "3 4 5", "1e400", "4294967296"])(
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
    expect(read("<html>\n<body>vllm:num_requests_waiting 3</body>\n")).toEqual({ ...NOTHING_READ, errors: [] });
  });
});

// Written after the engines' documentation, except llama.cpp's, of which there are captures too.
describe("engines", () => {
  test("SGLang, two ranks", () => {
    const page = `# HELP sglang:num_running_reqs The number of running requests.
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="m",tp_rank="0",dp_rank="0"} 9.0
sglang:num_running_reqs{engine_type="unified",model_name="m",tp_rank="0",dp_rank="1"} 3.0
sglang:num_running_reqs_offline_batch{model_name="m"} 70.0
sglang:num_used_tokens{model_name="m"} 123859.0
sglang:token_usage{model_name="m",dp_rank="0"} 0.28
sglang:token_usage{model_name="m",dp_rank="1"} 0.4
sglang:num_queue_reqs{model_name="m",dp_rank="0"} 2826.0
sglang:num_queue_reqs{model_name="m",dp_rank="1"} 1.0
sglang:cache_config_info{num_pages="27365",page_size="16"} 1.0
`;
    expect(pageReader(ENGINES.sglang)(page)).toMatchObject({
      waiting: 2827,
      running: 12,
      kvUsage: 0.4,
      blockSize: 16,
      blocks: 27_365,
      activeAdapters: undefined,
      errors: [],
    });
  });

  test("trtllm-serve", () => {
    const page = `trtllm_num_requests_waiting{model_name="m"} 2.0
trtllm_num_requests_running{model_name="m"} 4.0
trtllm_num_requests_running_max{model_name="m"} 64.0
trtllm_kv_cache_utilization{model_name="m"} 0.125
trtllm_kv_cache_tokens_per_block{model_name="m"} 32.0
trtllm_kv_cache_max_blocks{model_name="m"} 4096.0
trtllm_kv_cache_hit_rate{model_name="m"} 0.9
`;
    expect(pageReader(ENGINES["trtllm-serve"])(page)).toMatchObject({
      waiting: 2,
      running: 4,
      kvUsage: 0.125,
      blockSize: 32,
      blocks: 4096,
      errors: [],
    });
  });

  test("Triton with TensorRT-LLM: labels say which number is which; models are added up", () => {
    const page = `nv_inference_pending_request_count{model="ensemble",version="1"} 50
nv_trt_llm_request_metrics{model="a",request_type="waiting",version="1"} 1
nv_trt_llm_request_metrics{model="a",request_type="context",version="1"} 70
nv_trt_llm_request_metrics{model="a",request_type="scheduled",version="1"} 2
nv_trt_llm_request_metrics{model="a",request_type="max",version="1"} 512
nv_trt_llm_request_metrics{model="a",request_type="active",version="1"} NaN
nv_trt_llm_request_metrics{model="b",request_type="waiting",version="1"} 3
nv_trt_llm_request_metrics{model="b",request_type="scheduled",version="1"} 4
nv_trt_llm_runtime_memory_metrics{memory_type="gpu",model="a",version="1"} 1610236
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="a",version="1"} 0.0875
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="a",version="1"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="a",version="1"} 560
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="free",model="a",version="1"} 5840
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="a",version="1"} 6400
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="b",version="1"} 0.5
`;
    expect(pageReader(ENGINES["triton-tensorrt-llm"])(page)).toMatchObject({
      waiting: 4,
      running: 6,
      kvUsage: 0.5,
      blockSize: 64,
      blocks: 6400,
      errors: [],
    });
  });

  test("a bad value spoils the number it is for, labels that cannot be read all numbers of the family", () => {
    const readTriton = pageReader(ENGINES["triton-tensorrt-llm"]);
    const series = (type: string, value: string) =>
      `nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=${type}} ${value}\n`;
    const waiting = 'nv_trt_llm_request_metrics{request_type="waiting"} 1\n';
    const good = waiting + series('"fraction"', "0.5") + series('"max"', "100");
    expect(readTriton(good + series('"max"', "1.5"))).toMatchObject({
      waiting: 1,
      kvUsage: 0.5,
      blocks: undefined,
      errors: ["nv_trt_llm_kv_cache_block_metrics: expected a whole number, found 1.5"],
    });
    expect(readTriton(good + series("max", "100"))).toMatchObject({
      waiting: 1,
      kvUsage: undefined,
      blocks: undefined,
    });
  });

  test("plain Triton counts executions since its start, which is no number of running requests", () => {
    const page = `nv_inference_exec_count{model="a",version="1"} 8
nv_inference_pending_request_count{model="a",version="1"} 2
nv_inference_pending_request_count{model="a",version="2"} 3
nv_inference_pending_request_count_total{model="a",version="2"} 90
`;
    expect(pageReader(ENGINES.triton)(page)).toMatchObject({ waiting: 5, running: undefined, errors: [] });
  });

  test("llama-server", () => {
    const page = "llamacpp:requests_processing 2\nllamacpp:requests_deferred 4\nllamacpp:requests_deferred_total 9\n";
    expect(pageReader(ENGINES["llama.cpp"])(page)).toMatchObject({ waiting: 4, running: 2, errors: [] });
  });
});

describe("the base model", () => {
  const waiting = (...models: readonly string[]) =>
    read(models.map((model, i) => `vllm:num_requests_waiting{engine="${i}",model_name="${model}"} 1\n`).join(""));

  test("is what all series name", () => {
    expect(waiting("meta/llama").baseModel).toBe("meta/llama");
    expect(waiting("m", "m").baseModel).toBe("m");
  });

  test("is unknown when several are served, or none is named", () => {
    expect(waiting("m", "n").baseModel).toBeUndefined();
    expect(waiting("").baseModel).toBeUndefined();
    expect(read("vllm:num_requests_waiting 1\n").baseModel).toBeUndefined();
  });
});

describe("custom metrics", () => {
  const readCustom = pageReader([
    { role: "attribute", key: "hits", name: "cache_hits" },
    { role: "attribute", key: "gpu0", name: "gpu_load", only: [["gpu", "0"]] },
    {
      role: "attribute",
      key: "both",
      name: "gpu_load",
      only: [
        ["gpu", "1"],
        ["kind", "a"],
      ],
    },
  ]);

  test("are read by name and by all their labels", () => {
    const page =
      'gpu_load{gpu="0"} 0.5\ngpu_load{gpu="1",kind="b"} 3\ngpu_load{kind="a",gpu="1"} -4\ncache_hits_total 9\n';
    expect([...readCustom(page).attributes]).toEqual([
      ["gpu0", 0.5],
      ["both", -4],
    ]);
  });

  test("of several series the largest counts, whatever their order", () => {
    expect(readCustom('cache_hits{a="1"} 3\ncache_hits{a="2"} 7\n').attributes.get("hits")).toBe(7);
    expect(readCustom('cache_hits{a="2"} 7\ncache_hits{a="1"} 3\n').attributes.get("hits")).toBe(7);
  });

  test.each(["NaN", "+Inf", "1e400", "1e39", "x"])("%s is an error of that metric alone", (value) => {
    const { attributes, errors } = readCustom(`cache_hits 1\ncache_hits{a="2"} ${value}\ngpu_load{gpu="0"} 2\n`);
    expect([...attributes]).toEqual([["gpu0", 2]]);
    expect(errors).toEqual([`cache_hits: expected a number, found ${value}`]);
  });
});

describe("generated pages", () => {
  const families: readonly Family[] = Object.values(ENGINES).flat();
  const names = [...new Set(families.map((family) => family.name))];
  const nameOf = (engine: string) =>
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...names.filter((name) => isOf(engine, name))) },
      fc.constantFrom(...names, "vllm:num_requests_waiting_by_reason", "vllm:num_requests", "other_total"),
      fc.constantFrom(...names.map((name) => `# HELP ${name}`)),
    );
  const isOf = (engine: string, name: string) =>
    (ENGINES[engine as keyof typeof ENGINES] as readonly Family[]).some((family) => family.name === name);
  const labelName = fc.constantFrom(
    "engine",
    "model_name",
    "block_size",
    "num_gpu_blocks",
    "page_size",
    "num_pages",
    "max_lora",
    "running_lora_adapters",
    "waiting_lora_adapters",
    "request_type",
    "kv_cache_block_type",
  );
  const labelValue = fc.oneof(
    fc.constantFrom("waiting", "scheduled", "fraction", "max", "tokens_per"),
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
  const pagesOf = (engine: string) => {
    const line = fc
      .tuple(blank, nameOf(engine), blank, labels, fc.constantFrom(" ", " ", "", "\t"), value, blank)
      .map((parts) => parts.join(""));
    return fc
      .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom("", "\n"))
      .map(([lines, end]) => lines.join("\n") + end);
  };

  test.each(Object.keys(ENGINES) as EngineName[])("of %s are read as the slow way reads them", (engine) => {
    const readPage = pageReader(ENGINES[engine]);
    fc.assert(
      fc.property(pagesOf(engine), (page) => {
        const { errors: _, ...values } = readPage(page);
        expect(values).toEqual(readSlowly(engine, page));
      }),
      { numRuns: 1_500 },
    );
  });
});
