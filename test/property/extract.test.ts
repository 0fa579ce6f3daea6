// What the scanner takes of a body of each API as the prompt, by examples, however the body is cut into pieces.
// Generated bodies are compared with an oracle in prompt.test.ts.

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { FETCH_BYTES, INSPECTION_BYTES } from "../../src/wire/limits.ts";
import * as api from "../../src/wire/program.ts";
import { body } from "./json.ts";
import { type Scanned, Scanner } from "./scanner.ts";

const SEED = Number(process.env.FC_SEED ?? 42);
const APIS = Array.from({ length: api.API_SGLANG_GENERATE + 1 }, (_, which) => which);

let scanner: Scanner;
beforeAll(async () => {
  scanner = await Scanner.build();
});

/** The text in whole pseudo-tokens. */
function padded(text: string): string {
  return text + "\0".repeat(-Buffer.byteLength(text) & 3);
}

/** The same for every cut in two and for single bytes. */
function scanCut(which: number, body: string): Scanned {
  const bytes = Buffer.from(body);
  const whole = scanner.scan(bytes, [], which);
  const everywhere = Array.from(bytes.keys()).slice(1);
  for (const cuts of [...everywhere.map((at) => [at]), everywhere]) {
    expect(scanner.scan(bytes, cuts, which), `cut at ${cuts}`).toEqual(whole);
  }
  return whole;
}

/** Each as one prompt. */
const TEXTS: readonly (readonly [what: string, api: number, body: string, text: string])[] = [
  ["roles and texts", api.API_CHAT, '{"messages":[{"role":"user","content":"hi"}]}', "userhi"],
  ["content before its role", api.API_CHAT, '{"messages":[{"content":"hi","role":"user"}]}', "userhi"],
  [
    "escapes",
    api.API_CHAT,
    '{"messages":[{"content":"\\n\\"\\\\\\/\\u00e9\\ud83d\\ude00\\ud83d é漢😀"}]}',
    '\n"\\/é😀\ufffd é漢😀',
  ],
  ["the last of equal names", api.API_CHAT, '{"messages":[{"role":"a","content":"b","role":"c"}]}', "cb"],
  ["nothing of other members", api.API_CHAT, '{"messages":[{"name":"n","content":"x","refusal":"no"}]}', "x"],
  [
    "parts, type last",
    api.API_CHAT,
    '{"messages":[{"role":"u","content":[{"text":"a","type":"text"},{"type":"other","text":"b"},{"type":"text","text":"c"}]}]}',
    "uac",
  ],
  [
    "tools before messages, their members in order",
    api.API_CHAT,
    '{"messages":[{"role":"user"}],"tools":[{"b":1.50,"a":"<é>","\\u0061b":null,"b":2.0}]}',
    '[{"a":"\\u003cé\\u003e","ab":null,"b":2}]user',
  ],
  [
    "names bytewise as UTF-8, however they are written",
    api.API_CHAT,
    '{"messages":[],"tools":[{"‰":1,"\\u2028":2,"\\u0000":3,"":4,"a\\"":5,"a":6,"\\u2029":7,"\\n":8}]}',
    '[{"":4,"\\u0000":3,"\\n":8,"a":6,"a\\"":5,"\\u2028":2,"\\u2029":7,"‰":1}]',
  ],
  ["no empty tools", api.API_CHAT, '{"messages":[{"role":"user"}],"tools":[]}', "user"],
  ["a string", api.API_COMPLETIONS, '{"prompt":"héllo"}', "héllo"],
  ["one string in an array", api.API_COMPLETIONS, '{"prompt":["hello"]}', "hello"],
  ["text to embed", api.API_EMBEDDINGS, '{"input":"a&b"}', '{"Raw":"a\\u0026b","Strings":null,"TokenIDs":null}'],
  ["texts to embed", api.API_EMBEDDINGS, '{"input":["a" , "b"]}', '{"Raw":"","Strings":["a","b"],"TokenIDs":null}'],
  [
    "input, tools and instructions",
    api.API_RESPONSES,
    '{"input":[{"type":"t","role":"r"}],"tools":[ 1, true ],"instructions":"be"}',
    '[{"instructions":"be"},{"tools":[1,true]},{"input":[{"role":"r","type":"t"}]}]',
  ],
  ["input alone", api.API_RESPONSES, '{"input":"x","tools":null}', '[{"input":"x"}]'],
  [
    "items of a conversation",
    api.API_CONVERSATIONS,
    '{"items":[{"role":"user","id":"1","content":{"b":1,"a":""},"type":"message"},{"content":null}]}',
    '[{"type":"message","role":"user","content":{"a":"","b":1}},{}]',
  ],
  [
    "tools as they came, the system prompt without its billing header, messages",
    api.API_MESSAGES,
    '{"messages":[{"role":"user","content":[{"text":"hi","type":"text"}]}],' +
      '"system":[{"type":"text","text":"x-anthropic-billing-header: 7"},{"type":"text","text":"be"}],' +
      '"tools":[{"input_schema":{"b" : [1, 2.0], "a":"<"},"strict":false,"name":"t","description":""}]}',
    '[{"name":"t","input_schema":{"b":[1,2.0],"a":"\\u003c"},"strict":false}]beuserhi',
  ],
  [
    "uses of tools and their results",
    api.API_MESSAGES,
    '{"messages":[{"role":"assistant","content":[{"input":{"b": 1},"name":"n","id":"i","type":"tool_use"},' +
      '{"type":"thinking","thinking":"hm"},' +
      '{"content":[{"type":"text","text":"x"},{"text":"y","type":"text"}],"type":"tool_result"}]}]}',
    'assistantin{"b": 1}hmx\ny',
  ],
];

test.each(TEXTS)("%s", (_, which, body, text) => {
  const { prompts, tokens, truncated } = scanCut(which, body);
  expect(prompts.map(String)).toEqual([padded(text)]);
  expect(tokens).toBe(prompts[0]!.length / 4);
  expect(truncated).toBe(false);
});

test("any body gives the same to every API however it is cut, also one that is damaged or ends early", () => {
  const property = fc.property(body, fc.constantFrom(...APIS), fc.nat(), (bytes, which, place) => {
    const whole = scanner.scan(bytes, [], which);
    const everywhere = Array.from(bytes.keys()).slice(1);
    expect(scanner.scan(bytes, [place % (bytes.length + 1)], which)).toEqual(whole);
    expect(scanner.scan(bytes, everywhere, which)).toEqual(whole);
  });
  fc.assert(property, { numRuns: 3_000, seed: SEED });
});

describe("tokens", () => {
  const ids = (prompts: readonly Buffer[]) =>
    prompts.map((prompt) => Array.from({ length: prompt.length / 4 }, (_, n) => prompt.readUInt32LE(n * 4)));

  test.each([
    [api.API_COMPLETIONS, '{"prompt":[1, 20,300,0,4294967295]}', [[1, 20, 300, 0, 4_294_967_295]]],
    [api.API_COMPLETIONS, '{"prompt":[[1,2],[3]]}', [[1, 2], [3]]],
    [api.API_EMBEDDINGS, '{"input":[7,8.0,1e2]}', [[7, 8, 100]]],
    [api.API_VLLM_GENERATE, '{"token_ids":[5,6]}', [[5, 6]]],
    [api.API_SGLANG_GENERATE, '{"input_ids":[5,6]}', [[5, 6]]],
  ])("API %i: %s", (which, body, expected) => {
    expect(ids(scanCut(which, body).prompts)).toEqual(expected);
  });
});

test.each([
  [api.API_CHAT, '{"max_completion_tokens":1,"max_tokens":2}', 1],
  [api.API_CHAT, '{"max_tokens":2,"max_completion_tokens":null}', 2],
  [api.API_COMPLETIONS, '{"max_tokens":3,"max_completion_tokens":1}', 3],
  [api.API_MESSAGES, '{"max_tokens":3}', 3],
  [api.API_RESPONSES, '{"max_output_tokens":4,"max_tokens":1}', 4],
  [api.API_VLLM_GENERATE, '{"sampling_params":{"max_tokens":5},"max_tokens":1}', 5],
  [api.API_SGLANG_GENERATE, '{"sampling_params":{"max_new_tokens":6,"max_tokens":1}}', 6],
  [api.API_EMBEDDINGS, '{"max_tokens":1}', undefined],
  [api.API_CONVERSATIONS, '{"max_tokens":1}', undefined],
])("the output limit of API %i in %s", (which, body, limit) => {
  expect(scanCut(which, body).maxOutput).toBe(limit);
});

test.each([
  [api.API_CHAT, '{"cache_salt":"s\\u0061lt"}', "salt"],
  [api.API_CHAT, '{"cache_salt":"a","cache_salt":null}', ""],
  [api.API_SGLANG_GENERATE, '{"extra_key":"k","cache_salt":"s"}', "k"],
])("the salt of API %i in %s", (which, body, salt) => {
  expect(scanCut(which, body).salt).toBe(salt);
});

describe("videos", () => {
  const body = Buffer.from(
    '{"messages":[{"content":[{"type":"video_url","video_url":{"url":"https://v"}}]}],"model":"m"}',
  );

  test.each([
    [{}, 20 * 225],
    [{ "x-llm-d-video-duration-seconds": "2.5" }, 5 * 225],
    [{ "x-llm-d-video-resolution": "64x64", "x-llm-d-video-duration-seconds": "1" }, 2 * 4],
    [{ "x-llm-d-video-resolution": "wide", "x-llm-d-video-duration-seconds": "-1" }, 20 * 225],
    [{ "x-llm-d-video-resolution": "1x1", "x-llm-d-video-duration-seconds": "0.1" }, 1],
  ])("with the headers %j are %i tokens", (headers, tokens) => {
    scanner.headers.clear();
    for (const [name, value] of Object.entries(headers)) scanner.headers.set(name, value);
    const seen = scanner.scan(body, [], api.API_CHAT);
    scanner.headers.clear();
    expect(seen.tokens).toBe(tokens);
    expect(new Set(Array.from({ length: tokens }, (_, n) => seen.prompts[0]!.readUInt32LE(n * 4))).size).toBe(1);
  });
});

describe("bounds", () => {
  test("without extraction the model, the limit and nothing else is taken", () => {
    const body = Buffer.from(
      '{"model":"m","max_tokens":3,"stream":true,"cache_salt":"s","messages":[{"role":"user","content":"hi"}]}',
    );
    const seen = scanner.scan(body, [], api.API_CHAT, false);
    expect(seen).toMatchObject({ model: "m", maxOutput: 3, stream: true, prompts: [], tokens: 0, salt: "" });
  });

  test("of a body that goes on what was read counts", () => {
    const open = Buffer.from(
      '{"model":"m","tools":[{"b":1,"a":"x"}],"messages":[{"role":"user","content":"as far as it ca',
    );
    const seen = scanner.scan(open, [], api.API_CHAT);
    expect(seen.prompts.map(String)).toEqual([padded('[{"a":"x","b":1}]useras far as it ca')]);
  });

  test("text that grows sixfold fits, and no more than the inspection limit is read", () => {
    const body = Buffer.from(`{"input":"${"<".repeat(INSPECTION_BYTES)}`);
    const seen = scanner.scan(body, [], api.API_RESPONSES);
    expect(seen.truncated).toBe(true);
    expect(seen.tokens).toBe(Math.ceil(('[{"input":""}]'.length - 1 + (INSPECTION_BYTES - 10) * 6) / 4));
  });

  test("a small request for a huge image", () => {
    const gif = Buffer.from("GIF89a\xff\xff\xff\xff\0\0\0", "latin1").toString("base64");
    const part = { type: "image_url", image_url: { url: `data:image/gif;base64,${gif}` } };
    const body = Buffer.from(JSON.stringify({ messages: [{ role: "user", content: [part, part] }] }));
    const seen = scanner.scan(body, [], api.API_CHAT);
    expect(seen.tokens).toBe(1 + 2 * Math.floor((65_535 * 65_535) / 1024));
    expect(seen.truncated).toBe(true);
    expect(seen.prompts[0]!.length).toBe(2 * INSPECTION_BYTES);
  });

  test("objects of very many members in the wrong order, one within the other", () => {
    const wide = Array.from({ length: 40_000 }, (_, n) => `"${(n * 7919) % 40_000}":0`).join();
    let deep = `"${"x".repeat(100_000)}"`;
    for (let n = 0; n < 400; n++) deep = `{"b":${deep},"a":0}`;
    for (const tools of [`[{${wide}}]`, `[${deep}]`]) {
      const started = performance.now();
      const seen = scanner.scan(Buffer.from(`{"messages":[],"tools":${tools}}`), [FETCH_BYTES], api.API_CHAT);
      expect(performance.now() - started).toBeLessThan(1_000);
      expect(seen.truncated).toBe(true);
      expect(seen.tokens).toBe(Math.ceil(tools.length / 4));
    }
  });
});
