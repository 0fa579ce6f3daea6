// What each member of a request body is: every value that is wanted has a place, found by the place of the
// object or array around it and its name. All others are IGNORED, and so is whatever lies within them.
//
// The upper four bits of a place say what becomes of a value there:
//   MISC     read by the scan itself
//   NODE     an object or array, looked into
//   TEXT     a string whose characters are wanted, noted in the record it belongs to
//   AS_JSON  any value, written as Go's encoding/json would write it, noted in the record it belongs to
//   RAW      any value as it stands, noted in the record it belongs to
//   PROSE    a string whose characters are wanted, or an array looked into
//   WHOLE    any value, written as JSON, a piece of the prompt by itself
//   KIND     a string of few possible values
// The lower four of TEXT, AS_JSON and RAW are the number of the record's field.

import {
  API_CHAT,
  API_COMPLETIONS,
  API_CONVERSATIONS,
  API_EMBEDDINGS,
  API_MESSAGES,
  API_RESPONSES,
  API_SGLANG_GENERATE,
  API_VLLM_GENERATE,
} from "../../../src/wire/program";
import { equals, utf8 } from "../../abi/text";

export const MISC: u8 = 0;
export const NODE: u8 = 1;
export const TEXT: u8 = 2;
export const AS_JSON: u8 = 3;
export const RAW: u8 = 4;
export const PROSE: u8 = 5;
export const WHOLE: u8 = 6;
export const KIND: u8 = 7;

export const IGNORED: u8 = 0x00;
/** Inside a value that is written as JSON. */
export const IN_JSON: u8 = 0x01;
export const TOP: u8 = 0x02;
export const MODEL: u8 = 0x03;
export const STREAM: u8 = 0x04;
export const SALT: u8 = 0x05;
export const LIMIT: u8 = 0x06;
/** The name that counts when the other is not there. */
export const OLD_LIMIT: u8 = 0x07;
/** A number that is a token of the prompt. */
export const TOKEN: u8 = 0x08;
/** Where generate APIs have their limit. */
export const SAMPLING: u8 = 0x09;
export const STREAM_OPTIONS: u8 = 0x0a;
export const INCLUDE_USAGE: u8 = 0x0b;

export const MESSAGES: u8 = 0x10;
export const MESSAGE: u8 = 0x11;
/** A part of a chat message's content. */
export const PART: u8 = 0x12;
/** A content block of Anthropic's. */
export const BLOCK: u8 = 0x13;
/** A content block in the content of a tool's result. */
export const ITEM: u8 = 0x14;
const IMAGE: u8 = 0x15;
const VIDEO: u8 = 0x16;
const AUDIO: u8 = 0x17;
const SOURCE: u8 = 0x18;
/** Tools as Anthropic's API has them. */
export const TOOLS: u8 = 0x19;
export const TOOL: u8 = 0x1a;
export const CONVERSATION: u8 = 0x1b;
export const CONVERSATION_ITEM: u8 = 0x1c;

export const ROLE: u8 = 0x20;
export const PART_TEXT: u8 = 0x21;
/** Where an image is: also the source of one. */
export const URL: u8 = 0x22;
export const VIDEO_URL: u8 = 0x23;
/** Base64 of an image or of audio. */
export const DATA: u8 = 0x24;
/** The format of audio, the media type of an image. */
export const FORMAT: u8 = 0x25;
export const ID: u8 = 0x26;
export const NAME: u8 = 0x27;
export const THINKING: u8 = 0x28;

export const TOOL_NAME: u8 = 0x30;
export const TOOL_DESCRIPTION: u8 = 0x31;
export const ITEM_TYPE: u8 = 0x32;
export const ITEM_ROLE: u8 = 0x33;
export const ITEM_CONTENT: u8 = 0x34;

export const TOOL_SCHEMA: u8 = 0x42;
export const TOOL_STRICT: u8 = 0x43;
export const TOOL_DEFER: u8 = 0x44;
/** Of a use of a tool: the only one whose blanks stay. */
export const TOOL_INPUT: u8 = 0x49;

export const CONTENT: u8 = 0x50;
/** The content of a message, in Anthropic's blocks. */
export const BLOCKS: u8 = 0x51;
export const SYSTEM: u8 = 0x52;
/** The content of a tool's result. */
export const RESULT: u8 = 0x53;
/** A string, an array of strings, of token ids, or of arrays of token ids. */
export const PROMPT: u8 = 0x54;
export const PROMPT_ELEMENT: u8 = 0x55;

export const CHAT_TOOLS: u8 = 0x60;
export const INSTRUCTIONS: u8 = 0x61;
export const RESPONSE_TOOLS: u8 = 0x62;
export const RESPONSE_INPUT: u8 = 0x63;
/** What is to be embedded: a string, an array of strings or of token ids. */
export const EMBEDDED: u8 = 0x64;
export const EMBEDDED_ELEMENT: u8 = 0x65;

/** The type of a part, block or item. */
export const TYPE: u8 = 0x70;
export const SOURCE_TYPE: u8 = 0x71;

const PLACES: usize = 128;
const elements = memory.data(128);
setElements();

function setElements(): void {
  setElement(IN_JSON, IN_JSON);
  for (let field: u8 = AS_JSON << 4; field < RAW << 4; ++field) setElement(field, IN_JSON);
  for (let whole: u8 = CHAT_TOOLS; whole < EMBEDDED; ++whole) setElement(whole, IN_JSON);
  setElement(MESSAGES, MESSAGE);
  setElement(CONTENT, PART);
  setElement(BLOCKS, BLOCK);
  setElement(SYSTEM, BLOCK);
  setElement(RESULT, ITEM);
  setElement(TOOLS, TOOL);
  setElement(CONVERSATION, CONVERSATION_ITEM);
  setElement(PROMPT, PROMPT_ELEMENT);
  setElement(PROMPT_ELEMENT, TOKEN);
  setElement(EMBEDDED, EMBEDDED_ELEMENT);
  setElement(EMBEDDED_ELEMENT, TOKEN);
}

function setElement(array: u8, place: u8): void {
  store<u8>(elements + array, place);
}

/** Place of the elements of an array. */
export function elementOf(array: u8): u8 {
  return load<u8>(elements + (<usize>array & (PLACES - 1)));
}

/** Whether what lies in an object or array at this place is written as JSON. */
export function isJson(place: u8): bool {
  return elementOf(place) == IN_JSON;
}

const modelName = utf8("model");
const streamName = utf8("stream");
const streamOptions = utf8("stream_options");
const includeUsage = utf8("include_usage");
const maxTokens = utf8("max_tokens");
const maxCompletionTokens = utf8("max_completion_tokens");
const maxOutputTokens = utf8("max_output_tokens");
const maxNewTokens = utf8("max_new_tokens");
const samplingParams = utf8("sampling_params");
const cacheSalt = utf8("cache_salt");
const extraKey = utf8("extra_key");
const messages = utf8("messages");
const tools = utf8("tools");
const system = utf8("system");
const promptName = utf8("prompt");
const input = utf8("input");
const instructions = utf8("instructions");
const items = utf8("items");
const tokenIds = utf8("token_ids");
const inputIds = utf8("input_ids");
const role = utf8("role");
const content = utf8("content");
const typeName = utf8("type");
const textName = utf8("text");
const imageUrl = utf8("image_url");
const videoUrl = utf8("video_url");
const inputAudio = utf8("input_audio");
const url = utf8("url");
const data = utf8("data");
const format = utf8("format");
const mediaType = utf8("media_type");
const source = utf8("source");
const id = utf8("id");
const nameName = utf8("name");
const thinking = utf8("thinking");
const description = utf8("description");
const inputSchema = utf8("input_schema");
const strict = utf8("strict");
const deferLoading = utf8("defer_loading");

let api: u32 = 0;
let isPromptWanted: bool = false;

/** The API whose members are meant from here on. */
export function begin(which: u32, extract: bool): void {
  api = which;
  isPromptWanted = extract;
}

/** Place of the member that is named `length` bytes at `key`, in an object at `object`. */
export function memberOf(object: u8, key: usize, length: u32): u8 {
  if (object == MESSAGE) return ofMessage(key, length);
  if (object == PART) return ofPart(key, length);
  if (object == TOP) return ofTop(key, length);
  if (isJson(object)) return IN_JSON;
  if (object == BLOCK || object == ITEM) return ofBlock(object, key, length);
  if (object == SOURCE || object == AUDIO) return ofMedia(object, key, length);
  if (object == IMAGE) return equals(key, length, url) ? URL : IGNORED;
  if (object == VIDEO) return equals(key, length, url) ? VIDEO_URL : IGNORED;
  if (object == TOOL) return ofTool(key, length);
  if (object == CONVERSATION_ITEM) return ofConversationItem(key, length);
  if (object == STREAM_OPTIONS) return equals(key, length, includeUsage) ? INCLUDE_USAGE : IGNORED;
  if (object == SAMPLING) {
    return equals(key, length, api == API_VLLM_GENERATE ? maxTokens : maxNewTokens) ? LIMIT : IGNORED;
  }
  return IGNORED;
}

function ofTop(key: usize, length: u32): u8 {
  if (equals(key, length, modelName)) return MODEL;
  if (equals(key, length, streamName)) return STREAM;
  const place = ofLimits(key, length);
  if (place != IGNORED || !isPromptWanted) return place;
  if (equals(key, length, api == API_SGLANG_GENERATE ? extraKey : cacheSalt)) return SALT;
  if (api == API_CHAT) {
    if (equals(key, length, messages)) return MESSAGES;
    return equals(key, length, tools) ? CHAT_TOOLS : IGNORED;
  }
  if (api == API_COMPLETIONS) return equals(key, length, promptName) ? PROMPT : IGNORED;
  if (api == API_MESSAGES) return ofAnthropic(key, length);
  if (api == API_RESPONSES) return ofResponses(key, length);
  if (api == API_EMBEDDINGS) return equals(key, length, input) ? EMBEDDED : IGNORED;
  if (api == API_CONVERSATIONS) return equals(key, length, items) ? CONVERSATION : IGNORED;
  if (api == API_VLLM_GENERATE) return equals(key, length, tokenIds) ? PROMPT : IGNORED;
  return api == API_SGLANG_GENERATE && equals(key, length, inputIds) ? PROMPT : IGNORED;
}

/** Whether streams of the API tell usage only if they are asked to. */
export function hasStreamOptions(which: u32): bool {
  return which == API_CHAT || which == API_COMPLETIONS;
}

/** What says how much is to be answered, and how. */
function ofLimits(key: usize, length: u32): u8 {
  if (hasStreamOptions(api) && equals(key, length, streamOptions)) return STREAM_OPTIONS;
  if (api == API_CHAT) {
    if (equals(key, length, maxCompletionTokens)) return LIMIT;
    return equals(key, length, maxTokens) ? OLD_LIMIT : IGNORED;
  }
  if (api == API_COMPLETIONS || api == API_MESSAGES) return equals(key, length, maxTokens) ? LIMIT : IGNORED;
  if (api == API_RESPONSES) return equals(key, length, maxOutputTokens) ? LIMIT : IGNORED;
  if (api != API_VLLM_GENERATE && api != API_SGLANG_GENERATE) return IGNORED;
  return equals(key, length, samplingParams) ? SAMPLING : IGNORED;
}

function ofAnthropic(key: usize, length: u32): u8 {
  if (equals(key, length, messages)) return MESSAGES;
  if (equals(key, length, system)) return SYSTEM;
  return equals(key, length, tools) ? TOOLS : IGNORED;
}

function ofResponses(key: usize, length: u32): u8 {
  if (equals(key, length, input)) return RESPONSE_INPUT;
  if (equals(key, length, instructions)) return INSTRUCTIONS;
  return equals(key, length, tools) ? RESPONSE_TOOLS : IGNORED;
}

function ofMessage(key: usize, length: u32): u8 {
  if (equals(key, length, role)) return ROLE;
  if (equals(key, length, content)) return api == API_MESSAGES ? BLOCKS : CONTENT;
  return IGNORED;
}

function ofPart(key: usize, length: u32): u8 {
  if (equals(key, length, typeName)) return TYPE;
  if (equals(key, length, textName)) return PART_TEXT;
  if (equals(key, length, imageUrl)) return IMAGE;
  if (equals(key, length, videoUrl)) return VIDEO;
  return equals(key, length, inputAudio) ? AUDIO : IGNORED;
}

function ofBlock(object: u8, key: usize, length: u32): u8 {
  if (equals(key, length, typeName)) return TYPE;
  if (equals(key, length, textName)) return PART_TEXT;
  if (equals(key, length, source)) return SOURCE;
  if (object == ITEM) return IGNORED;
  if (equals(key, length, content)) return RESULT;
  if (equals(key, length, thinking)) return THINKING;
  if (equals(key, length, id)) return ID;
  if (equals(key, length, nameName)) return NAME;
  return equals(key, length, input) ? TOOL_INPUT : IGNORED;
}

function ofMedia(object: u8, key: usize, length: u32): u8 {
  if (equals(key, length, data)) return DATA;
  if (object == AUDIO) return equals(key, length, format) ? FORMAT : IGNORED;
  if (equals(key, length, url)) return URL;
  if (equals(key, length, mediaType)) return FORMAT;
  return equals(key, length, typeName) ? SOURCE_TYPE : IGNORED;
}

function ofTool(key: usize, length: u32): u8 {
  if (equals(key, length, nameName)) return TOOL_NAME;
  if (equals(key, length, description)) return TOOL_DESCRIPTION;
  if (equals(key, length, inputSchema)) return TOOL_SCHEMA;
  if (equals(key, length, strict)) return TOOL_STRICT;
  return equals(key, length, deferLoading) ? TOOL_DEFER : IGNORED;
}

function ofConversationItem(key: usize, length: u32): u8 {
  if (equals(key, length, typeName)) return ITEM_TYPE;
  if (equals(key, length, role)) return ITEM_ROLE;
  return equals(key, length, content) ? ITEM_CONTENT : IGNORED;
}
