// Usage and the caller's model name are found however a body is cut, as an oracle finds them in the whole.

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { usageOfDocument, usageOfEvents } from "../oracle/usage.ts";
import { AnswerReader } from "./answer-reader.ts";

let reader: AnswerReader;
beforeAll(async () => {
  reader = await AnswerReader.build();
});

const cutsOf = fc.array(fc.nat({ max: 400 }), { maxLength: 12 }).map((cuts) => cuts.toSorted((a, b) => a - b));
const NAMES = [
  ...["usage", "response", "message", "meta_info", "prompt_tokens", "input_tokens", "completion_tokens"],
  ...["output_tokens", "cached_tokens", "cache_read_input_tokens", "prompt_tokens_details", "input_tokens_details"],
  ...["choices", "content", "model", 'a"b', "\\", "data:", "[DONE]"],
];
const name = fc.constantFrom(...NAMES);
const count = fc.oneof(
  fc.nat(5_000),
  fc.nat(5_000).map(String),
  fc.constantFrom(2 ** 40, -3, null, "", "12 tokens", true),
);

/** Documents in which wanted names stand at every place, right and wrong ones. */
const { document } = fc.letrec<{ document: object; value: unknown }>((tie) => ({
  document: fc.dictionary(name, tie("value"), { maxKeys: 6 }),
  value: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    count,
    name,
    tie("document"),
    fc.array(tie("value"), { maxLength: 3 }),
  ),
}));
const spaces = fc.constantFrom(undefined, 1, "\t");

describe("usage", () => {
  test("a document cut anywhere gives what the whole gives", () => {
    fc.assert(
      fc.property(document, spaces, cutsOf, (value, indent, cuts) => {
        const text = JSON.stringify(value, null, indent);
        expect(reader.usage(Buffer.from(text), cuts, false)).toEqual(usageOfDocument(text));
      }),
      { numRuns: 3_000 },
    );
  });

  test("so does an event stream", () => {
    const event = fc.oneof(
      document.map((value) => `data: ${JSON.stringify(value)}`),
      document.map((value) => `data:${JSON.stringify(value)}`),
      document.map((value) => `event: ${JSON.stringify(value)}`),
      fc.constantFrom("data: [DONE]", ": ping", "", "datum: 1", "dat", "data: not JSON"),
    );
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 6 }),
        fc.constantFrom("\n", "\r\n", "\n\n"),
        cutsOf,
        (events, end, cuts) => {
          const text = events.map((each) => each + end).join("");
          expect(reader.usage(Buffer.from(text), cuts, true)).toEqual(usageOfEvents(text));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test("bytes that are no JSON do no harm", () => {
    const noise = fc
      .array(fc.constantFrom(...'{}[]":,\\\n\r0123 data:usage'), { maxLength: 400 })
      .map((all) => all.join(""));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }),
          noise.map((text) => Buffer.from(text)),
        ),
        cutsOf,
        fc.boolean(),
        (bytes, cuts, isEvents) => {
          const cut = reader.usage(bytes, cuts, isEvents);
          expect(cut).toEqual(reader.usage(bytes, [], isEvents));
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

/** As servers write them: vLLM and llama.cpp (chat), Anthropic's and the Responses API's events, SGLang. */
const ANSWERS: readonly (readonly [what: string, body: string, isEvents: boolean, usage: object])[] = [
  [
    "chat",
    '{"choices":[{"message":{"content":"\\"usage\\": {"}}],"usage":{"completion_tokens":8,"prompt_tokens":36,' +
      '"total_tokens":44,"prompt_tokens_details":{"cached_tokens":35}},"timings":{"prompt_n":1}}',
    false,
    { input: 36, output: 8, cached: 35 },
  ],
  [
    "chat, streamed",
    'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n' +
      'data: {"choices":[],"usage":{"prompt_tokens":5,"total_tokens":8,"completion_tokens":3}}\n\ndata: [DONE]\n\n',
    true,
    { input: 5, output: 3 },
  ],
  [
    "messages, streamed",
    'event: message_start\ndata: {"type":"message_start","message":{"content":[],"usage":{"cache_read_input_tokens"' +
      ':15,"input_tokens":1,"output_tokens":0}}}\n\nevent: message_delta\n' +
      'data: {"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":8}}\n\n',
    true,
    { input: 1, output: 8, cached: 15 },
  ],
  [
    "responses, streamed",
    'event: response.created\ndata: {"response":{"status":"in_progress","usage":null}}\n\nevent: response.completed\n' +
      'data: {"type":"response.completed","response":{"output":[{"text":"a"}],"usage":{"input_tokens":16,' +
      '"output_tokens":8,"total_tokens":24,"input_tokens_details":{"cached_tokens":15}}}}\n\n',
    true,
    { input: 16, output: 8, cached: 15 },
  ],
  [
    "SGLang",
    '{"text":"a","meta_info":{"prompt_tokens":4,"completion_tokens":2,"cached_tokens":1}}',
    false,
    { input: 4, output: 2, cached: 1 },
  ],
  ["counts as texts", '{"usage":{"prompt_tokens":"12","completion_tokens":"3"}}', false, { input: 12, output: 3 }],
];

test.each(ANSWERS)("usage of an answer: %s, cut between any two bytes", (_what, body, isEvents, usage) => {
  const bytes = Buffer.from(body);
  for (let cut = 0; cut <= bytes.length; ++cut) expect(reader.usage(bytes, [cut], isEvents)).toEqual(usage);
  expect(reader.usage(bytes, [...bytes.keys()], isEvents)).toEqual(usage);
});

describe("names of models", () => {
  const modelName = fc.oneof(
    fc.constantFrom("m", "llama", "mod", 'a"b', "a\\b", "x\ny", "模型", "m".repeat(256)),
    fc.string({ maxLength: 40 }),
  );
  const other = fc.oneof(
    fc.constantFrom(
      '"model":',
      '"model": ',
      '"model":  ',
      '"mod',
      '"',
      "model",
      '"model":"other"',
      '{"a":1}',
      "\n\n",
      '"model":"model":',
    ),
    fc.string({ maxLength: 20 }),
  );
  const piece = fc.oneof(
    other.map((text) => ({ text })),
    fc.constantFrom("", " ").map((space) => ({ space })),
  );

  test("the server's becomes the caller's, every other byte stays, however the body is cut", () => {
    fc.assert(
      fc.property(modelName, modelName, fc.array(piece, { maxLength: 8 }), cutsOf, (caller, server, parts, cuts) => {
        fc.pre(
          Buffer.byteLength(caller) <= 256 &&
            Buffer.byteLength(server) <= 256 &&
            caller.isWellFormed() &&
            server.isWellFormed(),
        );
        const texts = (part: (typeof parts)[number]) =>
          "text" in part ? part.text : `"model":${part.space}${json(server)}`;
        const body = parts.map(texts).join("");
        const written = new RegExp(`("model": ?)${RegExp.escape(json(server))}`, "g");
        const expected = body.replaceAll(written, (_all, before: string) => before + json(caller));
        const { sent, heldMax } = reader.renamed(Buffer.from(body), cuts, caller, server);
        expect(Buffer.concat(sent).toString()).toBe(expected);
        expect(heldMax).toBeLessThan(Buffer.byteLength(`"model": ${json(server)}`));
      }),
      { numRuns: 3_000 },
    );
  });

  test("nothing is held back but what may be the beginning of the name", () => {
    const { sent } = reader.renamed(
      Buffer.from('data: {"a":1}\n\ndata: {"model":"llama-v2","b":2}'),
      [15, 31],
      "llama",
      "llama-v2",
    );
    expect(sent.map(String)).toEqual(['data: {"a":1}\n\n', "data: {", '"model":"llama","b":2}', ""]);
  });
});

/** A name as JSON: what must be escaped is. */
function json(name: string): string {
  const escaped = (c: string) => {
    if (c < " ") return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
    return c === '"' || c === "\\" ? `\\${c}` : c;
  };
  return `"${[...name].map(escaped).join("")}"`;
}
