// The prompt text that each API's body gives, and what else is read of it, the slow and obvious way:
// facts of the reference endpoint picker §4.1 and §4.2, with its pseudo-tokens of four bytes.

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
import { compact, fields, marshal, quote } from "./go-json.ts";
import { type Size, sizeOfPayload, sizeOfUrl } from "./image-size.ts";
import { type Json, parseTree } from "./json-tree.ts";
import { TokenStream, tokensOf } from "./token-stream.ts";

export interface Flattened {
  /** Whole pseudo-tokens of each prompt, zero padded; prompts without a token are left out. */
  readonly prompts: readonly Buffer[];
  /** cache_salt; "" without one. */
  readonly salt: string;
  /** The API's limit of output tokens, where it is a whole number from 0 to 2³¹ − 1. */
  readonly maxOutput: number | undefined;
}

type Members = ReadonlyMap<string, Json>;

/** What the reference reads; undefined when it refuses the request. */
export function flatten(api: number, body: Uint8Array): Flattened | undefined {
  try {
    const root = object(parseTree(Buffer.from(body).toString("utf8")));
    return {
      prompts: (PROMPTS[api]?.(root) ?? []).filter((prompt) => prompt.length > 0),
      salt: api === API_IMAGES ? "" : text(root.get(api === API_SGLANG_GENERATE ? "extra_key" : "cache_salt")),
      maxOutput: maxOutput(api, root),
    };
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

class Refused extends Error {}

const PROMPTS: Readonly<Record<number, (root: Members) => readonly Buffer[]>> = {
  [API_CHAT]: (root) => [chat(root)],
  [API_COMPLETIONS]: (root) => completions(notEmpty(root.get("prompt"))),
  [API_EMBEDDINGS]: (root) => [embeddings(notEmpty(root.get("input")))],
  [API_RESPONSES]: (root) => [responses(root)],
  [API_CONVERSATIONS]: (root) => [conversations(root)],
  [API_MESSAGES]: (root) => [messages(root)],
  [API_VLLM_GENERATE]: (root) => [tokenIds(notEmpty(root.get("token_ids")))],
  [API_SGLANG_GENERATE]: (root) => [tokenIds(notEmpty(root.get("input_ids")))],
};

/** Names of the limit, the first that holds a number winning. */
const LIMITS: Readonly<Record<number, readonly string[]>> = {
  [API_CHAT]: ["max_completion_tokens", "max_tokens"],
  [API_COMPLETIONS]: ["max_tokens"],
  [API_MESSAGES]: ["max_tokens"],
  [API_RESPONSES]: ["max_output_tokens"],
  [API_VLLM_GENERATE]: ["max_tokens"],
  [API_SGLANG_GENERATE]: ["max_new_tokens"],
};

function maxOutput(api: number, root: Members): number | undefined {
  const isGenerate = api === API_VLLM_GENERATE || api === API_SGLANG_GENERATE;
  const sampling = root.get("sampling_params");
  const holder = isGenerate ? (sampling?.kind === "object" ? sampling.members : undefined) : root;
  for (const name of LIMITS[api] ?? []) {
    const limit = holder?.get(name);
    if (limit?.kind !== "number" || !Number.isInteger(limit.value)) continue;
    if (limit.value >= 0 && limit.value <= 0x7fffffff) return limit.value + 0;
  }
  return undefined;
}

// OpenAI

function chat(root: Members): Buffer {
  const stream = new TokenStream();
  const tools = list(root.get("tools"));
  if (tools.length > 0) stream.text(`[${tools.map(marshal).join(",")}]`);
  for (const message of notNone(list(root.get("messages"))).map(object)) {
    stream.text(text(message.get("role")));
    const content = message.get("content");
    if (content?.kind !== "array") stream.text(text(content));
    else for (const part of content.items.map(object)) chatPart(stream, part);
  }
  return stream.tokens();
}

function chatPart(stream: TokenStream, part: Members): void {
  const type = text(part.get("type"));
  const said = text(part.get("text"));
  const image = text(object(part.get("image_url")).get("url"));
  const video = text(object(part.get("video_url")).get("url"));
  const audio = object(part.get("input_audio"));
  const sound = text(audio.get("data")) + text(audio.get("format"));
  if (type === "text") stream.text(said);
  else if (type === "image_url") stream.asset(image, imageTokens(sizeOfUrl(image)));
  else if (type === "video_url") stream.asset(video, VIDEO_TOKENS);
  else if (type === "input_audio" || type === "audio_url") stream.asset(sound, audioTokens(sound));
}

function imageTokens(size: Size = { width: 640, height: 360 }): number {
  return Math.max(1, Math.floor((size.width * size.height) / 1024));
}

/** 10 seconds, 2 frames a second, each of 640 × 360. */
const VIDEO_TOKENS = 10 * 2 * imageTokens();

function audioTokens(sound: string): number {
  return Math.max(1, Math.ceil(Buffer.byteLength(sound) / 4));
}

/** A text, texts that are a prompt each, or the ids of one prompt's tokens. */
function completions(prompt: Json): readonly Buffer[] {
  if (prompt.kind === "string") return [tokensOf(prompt.value)];
  const items = notNone(list(prompt));
  if (items[0]!.kind === "number") return [tokenIds(prompt)];
  return items.map((item) => tokensOf(string(item)));
}

function embeddings(input: Json): Buffer {
  if (input.kind === "array" && input.items[0]?.kind === "number") return tokenIds(input);
  const raw = input.kind === "string" ? input.value : "";
  const strings = input.kind === "string" ? "null" : `[${notNone(list(input)).map(string).map(quote).join(",")}]`;
  return tokensOf(
    fields([
      ["Raw", quote(raw)],
      ["Strings", strings],
      ["TokenIDs", "null"],
    ]),
  );
}

function responses(root: Members): Buffer {
  const input = root.get("input");
  if (isNull(input)) throw new Refused();
  const parts = ["instructions", "tools", "input"].flatMap((name) => {
    const value = root.get(name);
    return isNull(value) ? [] : [fields([[name, marshal(value)]])];
  });
  return tokensOf(`[${parts.join(",")}]`);
}

function conversations(root: Members): Buffer {
  const items = notNone(list(root.get("items"))).map((item) => {
    const members = object(item);
    const [type, role] = [text(members.get("type")), text(members.get("role"))];
    const content = members.get("content");
    return fields([
      ...(type === "" ? [] : [["type", quote(type)] as const]),
      ...(role === "" ? [] : [["role", quote(role)] as const]),
      ...(isNull(content) ? [] : [["content", marshal(content)] as const]),
    ]);
  });
  return tokensOf(`[${items.join(",")}]`);
}

// Anthropic

/** How Claude Code begins a text that differs in every request; servers leave it out of the prompt. */
const BILLING = "x-anthropic-billing-header";

function messages(root: Members): Buffer {
  const stream = new TokenStream();
  const tools = list(root.get("tools")).map((tool) => anthropicTool(object(tool)));
  if (tools.length > 0) stream.text(`[${tools.join(",")}]`);
  const system = content(root.get("system"));
  if (typeof system === "string") stream.text(system);
  else
    for (const block of system) if (block.type === "text" && !block.text.startsWith(BILLING)) stream.text(block.text);
  for (const message of notNone(list(root.get("messages"))).map(object)) {
    stream.text(text(message.get("role")));
    const said = content(message.get("content"));
    if (typeof said === "string") stream.text(said);
    else for (const block of said) anthropicBlock(stream, block);
  }
  return stream.tokens();
}

function anthropicTool(tool: Members): string {
  const description = text(tool.get("description"));
  const schema = tool.get("input_schema");
  const flags = ["strict", "defer_loading"].flatMap((name) => {
    const flag = tool.get(name);
    if (isNull(flag)) return [];
    if (flag.kind !== "boolean") throw new Refused();
    return [[name, flag.raw] as const];
  });
  return fields([
    ["name", quote(text(tool.get("name")))],
    ...(description === "" ? [] : [["description", quote(description)] as const]),
    ...(schema === undefined ? [] : [["input_schema", compact(schema.raw)] as const]),
    ...flags,
  ]);
}

interface Block {
  readonly type: string;
  readonly text: string;
  readonly thinking: string;
  readonly id: string;
  readonly name: string;
  /** As it was written. */
  readonly input: string;
  readonly content: string | readonly Block[];
  readonly source: { readonly type: string; readonly mediaType: string; readonly data: string; readonly url: string };
}

function content(value: Json | undefined): string | readonly Block[] {
  if (value?.kind !== "array") return text(value);
  return value.items.map(object).map((members) => {
    const source = object(members.get("source"));
    return {
      type: text(members.get("type")),
      text: text(members.get("text")),
      thinking: text(members.get("thinking")),
      id: text(members.get("id")),
      name: text(members.get("name")),
      input: members.get("input")?.raw ?? "",
      content: content(members.get("content")),
      source: {
        type: text(source.get("type")),
        mediaType: text(source.get("media_type")),
        data: text(source.get("data")),
        url: text(source.get("url")),
      },
    };
  });
}

function anthropicBlock(stream: TokenStream, block: Block): void {
  const { url, data } = block.source;
  if (block.type === "text") stream.text(block.text);
  else if (block.type === "thinking") stream.text(block.thinking);
  else if (block.type === "tool_use") stream.text(block.id + block.name + block.input);
  else if (block.type === "tool_result") toolResult(stream, block.content);
  else if (block.type === "image" && url !== "") stream.asset(url, imageTokens(sizeOfUrl(url)));
  else if (block.type === "image" && data !== "") stream.asset(data, imageTokens(sizeOfPayload(data)));
}

/** The texts, a line each, then the images. */
function toolResult(stream: TokenStream, result: string | readonly Block[]): void {
  if (typeof result === "string") {
    stream.text(result);
    return;
  }
  const texts = result.filter((block) => block.type === "text").map((block) => block.text);
  stream.text(texts.join("\n"));
  for (const block of result) {
    const url = block.type === "image" ? dataUrl(block.source) : "";
    if (url !== "") stream.asset(url, imageTokens(sizeOfUrl(url)));
  }
}

function dataUrl(source: Block["source"]): string {
  if (source.type === "url" || source.url !== "" || source.data === "") return source.url;
  return `data:${source.mediaType || "image/jpeg"};base64,${source.data}`;
}

// Values as Go decodes them into typed fields: null and what is missing leave the field empty

function isNull(value: Json | undefined): value is undefined | (Json & { readonly kind: "null" }) {
  return value === undefined || value.kind === "null";
}

function text(value: Json | undefined): string {
  return isNull(value) ? "" : string(value);
}

function string(value: Json): string {
  if (value.kind !== "string") throw new Refused();
  return value.value;
}

function object(value: Json | undefined): Members {
  if (isNull(value)) return new Map();
  if (value.kind !== "object") throw new Refused();
  return value.members;
}

function list(value: Json | undefined): readonly Json[] {
  if (isNull(value)) return [];
  if (value.kind !== "array") throw new Refused();
  return value.items;
}

function notNone<T>(items: readonly T[]): readonly T[] {
  if (items.length === 0) throw new Refused();
  return items;
}

/** Neither missing, null, "" nor []. */
function notEmpty(value: Json | undefined): Json {
  const isEmpty = (value?.kind === "string" && value.value === "") || (value?.kind === "array" && !value.items.length);
  if (isNull(value) || isEmpty) throw new Refused();
  return value;
}

function tokenIds(value: Json): Buffer {
  const ids = list(value).map((id) => {
    if (id.kind !== "number" || id.value !== id.value >>> 0) throw new Refused();
    return id.value;
  });
  return Buffer.from(Uint32Array.from(ids).buffer);
}
