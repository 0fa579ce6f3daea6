// The prompt that the filter takes out of a body against the oracle's, for every API, however the body
// is spelt and cut into pieces. FC_SEED=<number> tries other bodies.

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { INSPECTION_BYTES, MODEL_BYTES_MAX, PROMPTS_MAX } from "../../src/wire/limits.ts";
import {
  API_CHAT,
  API_COMPLETIONS,
  API_CONVERSATIONS,
  API_EMBEDDINGS,
  API_MESSAGES,
  API_RESPONSES,
  API_SGLANG_GENERATE,
  API_VLLM_GENERATE,
} from "../../src/wire/program.ts";
import { type Flattened, flatten } from "../oracle/flatten.ts";
import { type ClientRequest, clientRequests } from "./client-requests.ts";
import { gif, jpeg, png } from "./images.ts";
import { mistyped, type Request, requests } from "./requests.ts";
import { type Scanned, Scanner } from "./scanner.ts";
import { spell } from "./spelling.ts";

const SEED = Number(process.env.FC_SEED ?? 42);
/** Up to this length a body is also fed byte by byte. */
const SHORT = 400;
const RUNS_PER_API = 650;

let scanner: Scanner;
// Compiling takes seconds, and more on a busy machine.
beforeAll(async () => {
  scanner = await Scanner.build();
}, 60_000);

const spelling = fc.nat();
const places = fc.array(fc.nat(), { maxLength: 6 });

function waysToCut(bytes: Buffer, random: readonly number[]): readonly (readonly number[])[] {
  const cuts = random.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b);
  const everyByte = Array.from({ length: Math.max(0, bytes.length - 1) }, (_, at) => at + 1);
  return bytes.length <= SHORT ? [[], cuts, everyByte] : [[], cuts];
}

function isSame(seen: Scanned, expected: Flattened): boolean {
  return (
    (seen.outcome === "ok" || seen.outcome === "no-model") &&
    seen.prompts.length === expected.prompts.length &&
    seen.prompts.every((prompt, n) => prompt.equals(expected.prompts[n]!)) &&
    seen.tokens === tokensOf(expected.prompts) &&
    seen.salt === expected.salt &&
    seen.maxOutput === expected.maxOutput &&
    !seen.truncated
  );
}

function tokensOf(prompts: readonly Buffer[]): number {
  return prompts.reduce((sum, prompt) => sum + prompt.length / 4, 0);
}

function scan(bytes: Buffer, cuts: readonly number[], api: number): Scanned {
  const seen = scanner.scan(bytes, cuts, api);
  // That a prompt without a token is there or not changes nothing.
  return { ...seen, prompts: seen.prompts.filter((prompt) => prompt.length > 0) };
}

function check(api: number, bytes: Buffer, random: readonly number[], expected: Flattened): void {
  for (const cuts of waysToCut(bytes, random)) {
    const seen = scan(bytes, cuts, api);
    if (!isSame(seen, expected)) expect(shown(seen), `${bytes} cut at ${cuts}`).toEqual(shown(expected));
  }
}

/** What a difference is read in. */
function shown(found: Scanned | Flattened): object {
  const seen = "outcome" in found ? found : { outcome: "ok", truncated: false, tokens: tokensOf(found.prompts) };
  const { prompts, salt, maxOutput } = found;
  const { outcome, truncated, tokens } = seen;
  return { prompts: prompts.map((prompt) => prompt.toString("latin1")), salt, maxOutput, outcome, truncated, tokens };
}

function checkRequest({ api, body }: Request, seed: number, random: readonly number[]): void {
  const bytes = Buffer.from(spell(body, seed));
  const expected = flatten(api, bytes);
  if (expected === undefined) throw new Error(`the oracle refuses ${bytes}`);
  check(api, bytes, random, expected);
}

test.each(Object.entries(requests))("%s: the prompt, its tokens, the salt and the limit", (_, request) => {
  fc.assert(fc.property(request, spelling, places, checkRequest), { numRuns: RUNS_PER_API, seed: SEED });
});

describe("as clients send it", () => {
  test.each(clientRequests.map((request) => [request.client, request] as const))("%s", (_, request) => {
    const bytes = Buffer.from(request.body);
    const expected = expectationOf(request);
    expect(shown(flatten(request.api, bytes)!), "the oracle").toEqual(shown(expected));
    check(request.api, bytes, [7, 61, 200], expected);
  });

  function expectationOf({ prompts, salt, maxOutput }: ClientRequest): Flattened {
    return { prompts: prompts.map(padded), salt: salt ?? "", maxOutput };
  }

  function padded(prompt: string | readonly number[]): Buffer {
    if (typeof prompt !== "string") return Buffer.from(Uint32Array.from(prompt).buffer);
    const length = Buffer.byteLength(prompt);
    return Buffer.concat([Buffer.from(prompt), Buffer.alloc(3)], Math.ceil(length / 4) * 4);
  }
});

describe("images, videos and sounds are so many equal tokens", () => {
  const base64 = (bytes: Buffer) => bytes.toString("base64");
  const image = (url: string) => ({ type: "image_url", image_url: { url } });

  test.each([
    ["a PNG of 64 × 64", image(`data:image/png;base64,${base64(png(64, 64))}`), 4],
    ["a PNG of 1 × 1", image(`data:image/png;base64,${base64(png(1, 1))}`), 1],
    ["a GIF of 100 × 50", image(`data:image/gif;base64,${base64(gif(100, 50))}`), 4],
    ["a JPEG of 640 × 480", image(`data:image/jpeg;base64,${base64(jpeg(640, 480, [40, 900], true))}`), 300],
    ["a format without a known size", image("data:image/webp;base64,UklGRgAAAABXRUJQ"), 225],
    ["an image elsewhere", image("https://example.com/cat.png"), 225],
    ["a video", { type: "video_url", video_url: { url: "https://example.com/v.mp4" } }, 4_500],
    ["13 bytes of sound and format", { type: "input_audio", input_audio: { data: "0123456789", format: "wav" } }, 4],
  ])("%s", (_, part, count) => {
    const content = [{ type: "text", text: "x" }, part, { type: "text", text: "y" }];
    const bytes = Buffer.from(JSON.stringify({ messages: [{ role: "user", content }], model: "m" }));
    const expected = flatten(API_CHAT, bytes)!;
    const prompt = expected.prompts[0]!;
    expect(prompt.length).toBe(8 + 4 * count + 4);
    expect(prompt.subarray(0, 8).toString()).toBe("userx\0\0\0");
    for (let n = 1; n < count; n++) expect(prompt.readUInt32LE(8 + 4 * n)).toBe(prompt.readUInt32LE(8));
    check(API_CHAT, bytes, [90], expected);
  });
});

describe("numbers in tools and inputs", () => {
  // As ECMAScript prints them, but for the sign of zero.
  test.each([
    ["1.0", "1"],
    ["-0", "-0"],
    ["-0.0", "-0"],
    ["0.10", "0.1"],
    ["1e-7", "1e-7"],
  ])("%s is hashed as %s", (written, printed) => {
    const bytes = bodyWith(written);
    const expected = flatten(API_RESPONSES, bytes)!;
    expect(expected.prompts[0]!.toString()).toContain(`[{"input":[${printed}]}]`);
    check(API_RESPONSES, bytes, [], expected);
  });

  // Printing these anew takes more than is worth it for what no client writes twice in different ways: they
  // stay as they are. The chain then differs from the reference's, and equals itself.
  test.each([
    ["1e3", "1000"],
    ["1E+2", "100"],
    ["1e21", "1e+21"],
    ["12345678901234567890", "12345678901234567000"],
    ["0.1000000000000000055511151231257827", "0.1"],
    ["0.0000001", "1e-7"],
  ])("%s is kept, where the reference prints %s", (written, printed) => {
    const bytes = bodyWith(written);
    expect(flatten(API_RESPONSES, bytes)!.prompts[0]!.toString()).toContain(`[{"input":[${printed}]}]`);
    expect(scan(bytes, [], API_RESPONSES).prompts[0]!.toString()).toContain(`[{"input":[${written}]}]`);
  });

  function bodyWith(number: string): Buffer {
    return Buffer.from(`{"model":"m","input":[${number}]}`);
  }
});

describe("what the reference refuses, or reads otherwise", () => {
  test("values of other types, damaged bodies: an answer, and not more prompts than may be", () => {
    const property = fc.property(mistyped, spelling, places, fc.nat(), (request, seed, random, hit) => {
      const bytes = Buffer.from(spell(request.body, seed));
      const damaged = Buffer.from(bytes);
      damaged[hit % damaged.length] = hit >> 8;
      for (const body of [bytes, damaged, bytes.subarray(0, hit % bytes.length)]) {
        for (const cuts of waysToCut(body, random)) {
          const seen = scanner.scan(body, cuts, request.api);
          const kept = tokensOf(seen.prompts);
          expect(seen.prompts.length).toBeLessThanOrEqual(PROMPTS_MAX);
          expect(kept).toBeLessThanOrEqual(seen.tokens);
          if (!seen.truncated) expect(kept).toBe(seen.tokens);
        }
      }
    });
    fc.assert(property, { numRuns: 1_000, seed: SEED });
  });

  test("an array of arrays of token ids is a prompt each", () => {
    const bytes = Buffer.from('{"model":"m","prompt":[[1,2,3],[],[4294967295]]}');
    const prompts = [[1, 2, 3], [4_294_967_295]].map((ids) => Buffer.from(Uint32Array.from(ids).buffer));
    check(API_COMPLETIONS, bytes, [30], { prompts, salt: "", maxOutput: undefined });
  });

  test.each([
    ['"text"', "[1,2,3]"],
    ['["a","b"]', "[1,2,3]"],
    ["[1,2,3]", '"text"'],
    ["[[1,2,3],[4]]", '["a","b"]'],
  ])("an input that comes twice counts as it came last: %s, then %s", (once, again) => {
    const bytes = Buffer.from(`{"model":"m","input":${once},"input":${again}}`);
    check(API_EMBEDDINGS, bytes, [30], flatten(API_EMBEDDINGS, bytes)!);
  });

  test.each(['"text"', '["a","b"]', "[5]"])("an input that comes twice, as arrays of tokens after %s", (once) => {
    const bytes = Buffer.from(`{"model":"m","input":${once},"input":[[1,2,3],[4]]}`);
    const prompts = [[1, 2, 3], [4]].map((ids) => Buffer.from(Uint32Array.from(ids).buffer));
    check(API_EMBEDDINGS, bytes, [30], { prompts, salt: "", maxOutput: undefined });
  });
});

describe("bounds: as much as is read is kept, the rest is counted", () => {
  const cat = '{"type":"image_url","image_url":{"url":"https://example.com/cat.png"}}';
  const huge = Buffer.from("GIF89a\xff\xff\xff\xff\0\0\0;", "latin1").toString("base64");
  const hugeImage = `{"image_url":{"url":"data:image/gif;base64,${huge}"},"type":"image_url"}`;
  const tool = '{"name":"<&>","parameters":{"type":"object","b":[1,2,3],"a":"<"}}';

  test.each([
    ["one text", API_CHAT, '{"model":"m","messages":[{"role":"user","content":"', "0123456789abcde ", '"}]}'],
    ["one text of escapes", API_CHAT, '{"messages":[{"content":"', "\\u00e9\\n", '","role":"user"}],"model":"m"}'],
    ["messages", API_CHAT, '{"messages":[{"role":"system"}', ',{"role":"user","content":"x"}', '],"model":"m"}'],
    ["messages, content first", API_CHAT, '{"messages":[{}', ',{"content":"x","role":"user"}', '],"model":"m"}'],
    ["parts, type last", API_CHAT, '{"messages":[{"content":[{}', ',{"text":"ab","type":"text"}', ']}],"model":"m"}'],
    ["tools", API_CHAT, `{"model":"m","messages":[{"role":"user"}],"tools":[1`, `,${tool}`, "]}"],
    ["images", API_CHAT, '{"messages":[{"content":[{}', `,${cat}`, '],"role":"user"}],"model":"m"}'],
    ["token ids", API_VLLM_GENERATE, '{"model":"m","token_ids":[0', ",128000", "]}"],
    ["small token ids", API_SGLANG_GENERATE, '{"input_ids":[0', ",1", "]}"],
    ["prompts", API_COMPLETIONS, '{"model":"m","prompt":["0"', `,"${"0123456789 ".repeat(60)}"`, "]}"],
    [
      "blocks",
      API_MESSAGES,
      '{"messages":[{"content":[{}',
      ',{"text":"é","type":"text"}',
      '],"role":"user"}],"model":"m"}',
    ],
    ["input", API_RESPONSES, '{"model":"m","input":[0', ',{"role":"user","content":"a b"}', '],"instructions":"i"}'],
    ["items", API_CONVERSATIONS, '{"model":"m","items":[{}', ',{"role":"user","content":"a b"}', "]}"],
    ["inputs", API_EMBEDDINGS, '{"model":"m","input":["0"', ',"a & b"', "]}"],
  ])("%s, up to the inspection limit", (_, api, before, again, after) => {
    const times = Math.floor((INSPECTION_BYTES - Buffer.byteLength(before + after)) / Buffer.byteLength(again));
    checkKept(api, before + again.repeat(times) + after);
  });

  test(`more than ${PROMPTS_MAX} prompts`, () => {
    const prompts = Array.from({ length: PROMPTS_MAX + 3 }, (_, n) => `prompt ${n}`);
    const bytes = Buffer.from(JSON.stringify({ prompt: prompts, model: "m" }));
    const seen = scan(bytes, [1_000], API_COMPLETIONS);
    expect(seen.tokens).toBe(tokensOf(flatten(API_COMPLETIONS, bytes)!.prompts));
    expect(seen).toMatchObject({ truncated: true, prompts: { length: PROMPTS_MAX } });
  });

  test.each([10, 100, 1_000, 10_000, 40_000])("%d members to sort: in order, or said to be cut", (count) => {
    const members = Array.from({ length: count }, (_, n) => `"k${count - n}":${n % 10}`);
    const bytes = Buffer.from(`{"model":"m","messages":[{"content":"x"}],"tools":[{${members.join()}}]}`);
    expect(bytes.length).toBeLessThanOrEqual(INSPECTION_BYTES);
    const expected = flatten(API_CHAT, bytes)!;
    const seen = scan(bytes, [], API_CHAT);
    expect(seen.tokens).toBe(tokensOf(expected.prompts));
    if (!seen.truncated) check(API_CHAT, bytes, [], expected);
    if (count <= 1_000) expect(seen.truncated).toBe(false);
  });

  test.each([
    ["salt", { model: "m", prompt: "x", cache_salt: "s".repeat(100_000) }],
    ["model", { model: "m".repeat(MODEL_BYTES_MAX + 1), prompt: "x" }],
  ])("a %s too long to be kept", (_, body) => {
    const seen = scan(Buffer.from(JSON.stringify(body)), [300], API_COMPLETIONS);
    expect(seen).toMatchObject({ truncated: true, tokens: 1 });
    expect("s".repeat(100_000).startsWith(seen.salt)).toBe(true);
  });

  test("images that claim to be huge", () => {
    checkKept(API_CHAT, `{"messages":[{"role":"user","content":[${hugeImage},${hugeImage}]}],"model":"m"}`);
  });

  function checkKept(api: number, body: string): void {
    const bytes = Buffer.from(body);
    const { prompts } = flatten(api, bytes)!;
    const total = tokensOf(prompts);
    const seen = scan(bytes, [1_000], api);
    const kept = tokensOf(seen.prompts);
    expect(seen.tokens).toBe(total);
    expect(seen.truncated, `${kept} of ${total} tokens are kept`).toBe(kept < total);
    expect(kept * 4).toBeGreaterThanOrEqual(Math.min(total * 4, INSPECTION_BYTES));
    for (const [n, prompt] of seen.prompts.entries()) {
      expect(prompt.equals(prompts[n]!.subarray(0, prompt.length)), `prompt ${n}`).toBe(true);
    }
  }
});
