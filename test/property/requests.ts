// Generated request bodies of every API, as the reference takes them: what clients send, and stranger
// things that are still well typed.

import fc from "fast-check";
import {
  API_CHAT,
  API_COMPLETIONS,
  API_CONVERSATIONS,
  API_EMBEDDINGS,
  API_IMAGES,
  API_MESSAGES,
  API_RESPONSES,
  API_SGLANG_GENERATE,
  API_VLLM_GENERATE,
} from "../../src/wire/program.ts";
import { gif, jpeg, png } from "./images.ts";
import { Members, type Spellable } from "./spelling.ts";

export interface Request {
  readonly api: number;
  readonly body: Members;
}

type Member = readonly [name: string, value: Spellable];
/** No member, or one of this name. */
type MaybeMember = fc.Arbitrary<readonly Member[]>;

// Texts

const words = fc.constantFrom("a", "the ", "Hello, world", " ", "\n", "0123456789", '{"x":[1,', "]}", ",", ":", "/");
const special = fc.constantFrom(
  '"',
  "\\",
  "\\n",
  "<",
  ">",
  "&",
  "\u2028",
  "\u2029",
  "\u007f",
  "\0",
  "\b",
  "\f",
  "\x1b",
);
const wide = fc.constantFrom("é", "ж", "漢字かな", "😀", "👩‍👩‍👧", "\u{10ffff}", "\uffff", "\ufeff");
const halves = fc.constantFrom("\ud83d", "\ude00", "\udbff\ud83d", "\ud800\udfff");
const bits = fc.oneof({ weight: 8, arbitrary: words }, { weight: 2, arbitrary: special }, wide, halves);
const long = fc
  .tuple(fc.constantFrom("lorem ipsum ", "x", "日本語", 'say "no"\n'), fc.nat({ max: 300 }))
  .map(([text, times]) => text.repeat(times));
const text = fc.oneof(
  { weight: 6, arbitrary: fc.array(bits, { maxLength: 12 }).map((parts) => parts.join("")) },
  { weight: 1, arbitrary: long },
  { weight: 1, arbitrary: fc.constant("") },
);
const shortText = fc.array(bits, { maxLength: 3 }).map((parts) => parts.join(""));

// Values nobody knows the meaning of

/** Numbers that Go prints as they were written. */
const number: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, 1, -1, 7, 0.5, -2.25, 1e21, 1.5e-7, 999_999_999_999_999),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
);
const anyName = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("type", "text", "name", "role", "content", "url", "a", "b", "B", "ab", "") },
  fc.constantFrom("__proto__", "input", "properties", "é", "\uffff", "😀", "<", "z\0"),
  shortText,
);
const { any } = fc.letrec<{ any: Spellable; list: Spellable; members: Spellable }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false),
    number,
    text,
    fc.array(fc.nat({ max: 99_999 }), { maxLength: 20 }),
    tie("list"),
    tie("members"),
  ),
  list: fc.array(tie("any"), { maxLength: 4 }),
  members: fc.array(fc.tuple(anyName, tie("any")), { maxLength: 5 }).map((list) => new Members(list)),
}));
const unknownMembers = fc.array(
  fc.tuple(fc.constantFrom("temperature", "user", "x", "Prompt_", "reasoning", "metadata_", "logit_bias"), any),
  { maxLength: 2 },
);

function maybe(name: string, value: fc.Arbitrary<Spellable>, none: 1 | 3 = 1): MaybeMember {
  const present = value.map((held): readonly Member[] => [[name, held]]);
  const absent = fc.constantFrom<readonly Member[]>([], [[name, null]]);
  return fc.oneof({ weight: 4, arbitrary: present }, { weight: none, arbitrary: absent });
}

function always(name: string, value: fc.Arbitrary<Spellable>): MaybeMember {
  return value.map((held) => [[name, held]]);
}

/** An object of these members, each there or not, in the order that the spelling makes. */
function object(...members: readonly MaybeMember[]): fc.Arbitrary<Members> {
  return fc.tuple(...members).map((lists) => new Members(lists.flat()));
}

// What images are sent as

const side = fc.oneof(fc.constantFrom(0, 1, 31, 32, 33, 640), fc.integer({ min: 1, max: 900 }));
const image = fc
  .tuple(
    fc.constantFrom("png", "gif", "jpeg", "webp", "cut"),
    side,
    side,
    fc.array(fc.nat({ max: 900 }), { maxLength: 3 }),
    fc.boolean(),
  )
  .map(([kind, width, height, ahead, flag]) => {
    if (kind === "png") return { kind, bytes: png(width, height) };
    if (kind === "gif") return { kind, bytes: gif(width, height) };
    if (kind === "jpeg") return { kind, bytes: jpeg(width, height, ahead, flag) };
    if (kind === "cut") return { kind: "png", bytes: png(width, height).subarray(0, 12) };
    return { kind, bytes: Buffer.from(`RIFF\0\0\0\0WEBPVP8 ${"x".repeat(width)}`, "latin1") };
  });
const payload = fc.oneof(
  { weight: 6, arbitrary: image.map(({ bytes }) => bytes.toString("base64")) },
  fc.constantFrom("not base64!", "", "AAAA", "iVBORw0KGgo"),
);
const dataUrl = image.map(({ kind, bytes }) => `data:image/${kind};base64,${bytes.toString("base64")}`);
const url = fc.oneof(
  { weight: 4, arbitrary: dataUrl },
  fc.constantFrom(
    "https://example.com/cat.png",
    "",
    "data:image/png,abc",
    "data:text/plain;base64,AAAA",
    "data:image/x;base64,",
  ),
  text,
);

// OpenAI

const textPart = object(always("type", fc.constant("text")), maybe("text", text), maybe("cache_control", any, 3));
const imagePart = object(
  always("type", fc.constant("image_url")),
  maybe("image_url", object(maybe("url", url), maybe("detail", fc.constantFrom("auto", "low")))),
);
const videoPart = object(always("type", fc.constant("video_url")), maybe("video_url", object(maybe("url", text))));
const audioPart = object(
  always("type", fc.constantFrom("input_audio", "audio_url")),
  maybe("input_audio", object(maybe("data", text), maybe("format", fc.constantFrom("wav", "mp3")))),
  maybe("audio_url", object(maybe("url", text))),
);
const otherPart = object(
  maybe("type", fc.oneof(fc.constantFrom("file", "refusal", "image", "text\0", "Text"), shortText)),
  maybe("text", text),
  maybe("file", any),
);
const part = fc.oneof(
  { weight: 5, arbitrary: textPart },
  { weight: 3, arbitrary: imagePart },
  videoPart,
  audioPart,
  otherPart,
);
const role = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("system", "user", "assistant", "tool", "developer") },
  shortText,
);
const chatMessage = object(
  maybe("role", role),
  maybe(
    "content",
    fc.oneof({ weight: 3, arbitrary: text }, fc.array(fc.oneof(part, part, part, fc.constant(null)), { maxLength: 5 })),
  ),
  maybe("name", shortText, 3),
  maybe("tool_calls", fc.array(any, { maxLength: 2 }), 3),
);
const chat = object(
  always("messages", fc.array(chatMessage, { minLength: 1, maxLength: 5 })),
  maybe("tools", fc.array(any, { maxLength: 3 })),
);
const strings = fc.array(text, { minLength: 1, maxLength: 5 });
const tokenId = fc.oneof(
  fc.nat({ max: 200_000 }),
  fc.constantFrom(0, 1, 9, 10, 2_147_483_647, 2_147_483_648, 4_294_967_295),
);
const tokenIds = fc.array(tokenId, { minLength: 1, maxLength: 80 });
const filled = fc.tuple(bits, text).map((parts) => parts.join(""));
const completions = object(always("prompt", fc.oneof(filled, strings, tokenIds)));
const embeddings = object(always("input", fc.oneof(filled, strings, tokenIds)));
const notNull = any.map((value) => value ?? "");
const responses = object(always("input", notNull), maybe("instructions", any), maybe("tools", any));
const item = object(maybe("type", shortText), maybe("role", role), maybe("content", any), maybe("id", any));
const conversations = object(
  always("items", fc.array(item, { minLength: 1, maxLength: 4 })),
  maybe("metadata", object(maybe("a", any))),
);

// Anthropic

const source = object(
  maybe("type", fc.constantFrom("base64", "url", "file")),
  maybe("media_type", fc.constantFrom("image/png", "image/jpeg", "text/plain", "")),
  maybe("data", payload),
  maybe("url", url, 3),
);
const imageBlock = object(always("type", fc.constant("image")), maybe("source", source));
const plainBlock = object(
  always("type", fc.constant("text")),
  maybe(
    "text",
    fc.oneof(
      { weight: 4, arbitrary: text },
      text.map((tail) => `x-anthropic-billing-header${tail}`),
    ),
  ),
  maybe("citations", any, 3),
);
const thinkingBlock = object(
  always("type", fc.constantFrom("thinking", "redacted_thinking")),
  maybe("thinking", text),
  maybe("signature", shortText),
);
const toolUse = object(
  always("type", fc.constant("tool_use")),
  maybe("id", shortText),
  maybe("name", shortText),
  maybe("input", any),
);
const toolResult = object(
  always("type", fc.constant("tool_result")),
  maybe("tool_use_id", shortText),
  maybe("content", fc.oneof(text, fc.array(fc.oneof(plainBlock, plainBlock, imageBlock, toolUse), { maxLength: 4 }))),
  maybe("is_error", fc.boolean(), 3),
);
const otherBlock = object(
  maybe("type", fc.constantFrom("document", "server_tool_use", "")),
  maybe("text", text),
  maybe("input", any),
);
const block = fc.oneof(
  { weight: 3, arbitrary: plainBlock },
  imageBlock,
  thinkingBlock,
  toolUse,
  toolResult,
  otherBlock,
);
const anthropicContent = fc.oneof(text, fc.array(block, { maxLength: 5 }));
const anthropicMessage = object(maybe("role", role), maybe("content", anthropicContent));
const anthropicTool = object(
  maybe("name", shortText),
  maybe("description", text),
  maybe("input_schema", any),
  maybe("strict", fc.boolean(), 3),
  maybe("defer_loading", fc.boolean(), 3),
  maybe("cache_control", any, 3),
  maybe("type", shortText, 3),
);
const messages = object(
  always("messages", fc.array(anthropicMessage, { minLength: 1, maxLength: 4 })),
  maybe("system", anthropicContent),
  maybe("tools", fc.array(anthropicTool, { maxLength: 3 })),
);

// The members that every API has, or one

/** No larger numbers than the filter keeps. */
const limit = fc.oneof(
  { weight: 4, arbitrary: fc.nat() },
  fc.constantFrom(0, -1, 1.5, "16", null, true),
  object(unknownMembers),
);
const salt = maybe("cache_salt", shortText, 3);
const common = object(
  always("model", fc.constantFrom("m", "meta-llama/Llama-3.1-8B", "é")),
  maybe("stream", fc.boolean()),
  maybe("max_tokens", limit, 3),
  maybe("max_completion_tokens", limit, 3),
  maybe("max_output_tokens", limit, 3),
  unknownMembers,
);
const samplingParams = maybe(
  "sampling_params",
  object(maybe("max_tokens", limit), maybe("max_new_tokens", fc.nat()), maybe("n", any)),
);

function request(api: number, ...parts: readonly fc.Arbitrary<Members>[]): fc.Arbitrary<Request> {
  return fc.tuple(...parts).map((members) => ({ api, body: new Members(members.flatMap(({ list }) => list)) }));
}

export const requests: Readonly<Record<string, fc.Arbitrary<Request>>> = {
  chat: request(API_CHAT, common, chat, object(salt)),
  completions: request(API_COMPLETIONS, common, completions, object(salt)),
  embeddings: request(API_EMBEDDINGS, common, embeddings, object(salt)),
  responses: request(API_RESPONSES, common, responses, object(salt)),
  conversations: request(API_CONVERSATIONS, common, conversations, object(salt)),
  images: request(API_IMAGES, common, object(always("prompt", filled))),
  messages: request(API_MESSAGES, common, messages, object(salt)),
  "vllm generate": request(API_VLLM_GENERATE, common, object(always("token_ids", tokenIds), salt, samplingParams)),
  "sglang generate": request(
    API_SGLANG_GENERATE,
    common,
    object(always("input_ids", tokenIds), maybe("extra_key", shortText, 3), samplingParams),
  ),
};

/** Well-typed requests of every API in which one value, at any depth, was replaced by another. */
export const mistyped: fc.Arbitrary<Request> = fc
  .tuple(fc.oneof(...Object.values(requests)), fc.nat(), any)
  .map(([{ api, body }, place, held]) => ({ api, body: replaced(body, place % size(body), held) as Members }));

/** How many values lie in this one. */
function size(value: Spellable): number {
  return children(value).reduce<number>((sum, child) => sum + 1 + size(child), 0);
}

function children(value: Spellable): readonly Spellable[] {
  if (value instanceof Members) return value.list.map(([, held]) => held);
  return Array.isArray(value) ? value : [];
}

/** The value with its descendant number `place` replaced. */
function replaced(value: Spellable, place: number, by: Spellable): Spellable {
  let left = place;
  const next = (child: Spellable): Spellable => {
    const at = left;
    left -= 1 + size(child);
    if (at === 0) return by;
    return at > 0 && at <= size(child) ? replaced(child, at - 1, by) : child;
  };
  if (value instanceof Members) return new Members(value.list.map(([name, held]) => [name, next(held)] as const));
  return Array.isArray(value) ? value.map(next) : value;
}
