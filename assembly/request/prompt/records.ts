// What becomes of the values that are wanted: the members of a message, a part or a tool arrive in any order,
// so where each was written is noted in a record, and when the record closes it is known what they are.

import { API_RESPONSES } from "../../../src/wire/program";
import { equals, pointer, utf8 } from "../../abi/text";
import { hash } from "../../prefix/xxh64";
import * as prompt from "../prompt";
import * as image from "./image";
import * as places from "./places";
import * as segments from "./segments";
import * as text from "./text";
import * as video from "./video";

// Records: fields of { start u32, length u32 }, numbered by the lower four bits of a place.
const RECORD_BYTES: usize = 128;
const outer = memory.data(128, 8);
const middle = memory.data(128, 8);
const inner = memory.data(128, 8);
/** The record that is open. */
let record: usize = outer;
/** Fields beside those of places: the content when it is a string; what a part and a source are. */
const CONTENT_TEXT: u32 = 10;
const WHAT: u32 = 11;
const SOURCE_WHAT: u32 = 12;

// What parts, blocks, items and sources are
const NOTHING: u32 = 0;
const TEXT: u32 = 1;
const IMAGE_URL: u32 = 2;
const VIDEO_URL: u32 = 3;
const AUDIO: u32 = 4;
const IMAGE: u32 = 5;
const THINKING: u32 = 6;
const TOOL_USE: u32 = 7;
const TOOL_RESULT: u32 = 8;
const FROM_URL: u32 = 9;

const textKind = utf8("text");
const imageUrlKind = utf8("image_url");
const videoUrlKind = utf8("video_url");
const inputAudioKind = utf8("input_audio");
const audioUrlKind = utf8("audio_url");
const imageKind = utf8("image");
const thinkingKind = utf8("thinking");
const toolUseKind = utf8("tool_use");
const toolResultKind = utf8("tool_result");
const urlKind = utf8("url");
const nullText = utf8("null");
const emptyText = utf8('""');

/** The longest kind is 11 bytes. */
const KIND_BYTES: u32 = 16;
const kindText = memory.data(16, 8);
let kindLength: u32 = 0;

/** Content of the open message. */
const content = segments.allocate();
/** Content of the open result of a tool: its text, and its images, which come after all its text. */
const resultText = segments.allocate();
const resultImages = segments.allocate();
/** Where the blocks of the content that is read go: the system prompt, or the message's content. */
let blocks: segments.List = content;
let slots: segments.List = content;
/** Where a value that is written as JSON by itself begins. */
let wholeStart: usize = 0;

export function begin(api: u32): void {
  prompt.begin(api == API_RESPONSES);
  record = outer;
  clearRecord(outer);
  clearRecord(middle);
  clearRecord(inner);
  segments.clear(content);
  segments.clear(resultText);
  segments.clear(resultImages);
}

/** Stores of vectors: a call to fill memory costs as much as a short message. */
function clearRecord(which: usize): void {
  for (let i: usize = 0; i < RECORD_BYTES; i += 16) v128.store(which + i, i64x2.splat(0));
}

function startOf(field: u32): usize {
  return load<u32>(record + ((<usize>field) << 3));
}

function lengthOf(field: u32): u32 {
  return load<u32>(record + ((<usize>field) << 3), 4);
}

function beginField(field: u32): void {
  store<u32>(record + ((<usize>field) << 3), <u32>text.out);
  store<u32>(record + ((<usize>field) << 3), 0, 4);
}

function endField(field: u32): void {
  store<u32>(record + ((<usize>field) << 3), <u32>text.out - <u32>startOf(field), 4);
}

function fieldOf(place: u8): u32 {
  return place & 15;
}

// ── Values ──

/** A wanted value begins with `c`: what an equal name said before no longer counts. */
export function begun(place: u8, c: u8): void {
  const mode = place >> 4;
  if (mode == places.TEXT || mode == places.AS_JSON || mode == places.RAW) beginField(fieldOf(place));
  else if (mode == places.PROSE) beginProse(place, c);
  else if (mode == places.WHOLE) beginWhole(place, c);
  else if (mode == places.KIND) beginKind(place);
  else if (mode == places.NODE) beginNode(place, c);
}

/** A string, number or literal has ended. */
export function ended(place: u8, isString: bool): void {
  const mode = place >> 4;
  if (mode == places.TEXT || mode == places.AS_JSON) endField(fieldOf(place));
  else if (mode == places.RAW) endRaw(place);
  else if (mode == places.PROSE && isString) endProse(place);
  else if (mode == places.WHOLE) endWhole(place, isString);
  else if (mode == places.KIND && isString) endKind(place);
}

/** An object or array has opened. */
export function opened(place: u8, isObject: bool): void {
  if (!isObject) return;
  if (place == places.MESSAGE || place == places.TOOL || place == places.CONVERSATION_ITEM) openRecord(outer);
  else if (place == places.PART || place == places.BLOCK) openRecord(middle);
  else if (place == places.ITEM) openRecord(inner);
}

function openRecord(which: usize): void {
  record = which;
  recordStart = text.out;
  clearRecord(which);
}

/** An object or array has closed. */
export function closed(place: u8, isObject: bool): void {
  const mode = place >> 4;
  if (mode == places.AS_JSON) endField(fieldOf(place));
  else if (mode == places.RAW) endRaw(place);
  else if (mode == places.PROSE) closeProse(place, isObject);
  else if (mode == places.WHOLE) closeWhole(place, isObject);
  else if (mode == places.NODE) closeNode(place, isObject);
}

function endRaw(place: u8): void {
  if (place != places.TOOL_INPUT) text.escapeFrom(startOf(fieldOf(place)));
  endField(fieldOf(place));
}

// ── Kinds ──

function beginKind(place: u8): void {
  kindLength = 0;
  setKind(place, NOTHING);
}

export function putKind(c: u8): void {
  if (kindLength < KIND_BYTES) store<u8>(kindText + kindLength, c);
  ++kindLength;
}

function setKind(place: u8, kind: u32): void {
  const field = place == places.TYPE ? WHAT : SOURCE_WHAT;
  store<u32>(record + ((<usize>field) << 3), kind);
}

function endKind(place: u8): void {
  setKind(place, kindOf());
}

function isKind(what: ArrayBuffer): bool {
  return equals(kindText, kindLength, what);
}

function kindOf(): u32 {
  if (isKind(textKind)) return TEXT;
  if (isKind(imageUrlKind)) return IMAGE_URL;
  if (isKind(imageKind)) return IMAGE;
  if (isKind(toolUseKind)) return TOOL_USE;
  if (isKind(toolResultKind)) return TOOL_RESULT;
  if (isKind(thinkingKind)) return THINKING;
  if (isKind(videoUrlKind)) return VIDEO_URL;
  if (isKind(inputAudioKind) || isKind(audioUrlKind)) return AUDIO;
  return isKind(urlKind) ? FROM_URL : NOTHING;
}

// ── Content: a string, or an array of parts, blocks or items ──

function beginProse(place: u8, c: u8): void {
  if (place == places.CONTENT || place == places.BLOCKS) {
    beginField(CONTENT_TEXT);
    segments.clear(content);
    blocks = content;
  } else if (place == places.RESULT) {
    beginField(CONTENT_TEXT);
    segments.clear(resultText);
    segments.clear(resultImages);
    resultParts = 0;
  } else if (place == places.SYSTEM) {
    wholeStart = text.out;
    blocks = prompt.openSlot(prompt.MIDDLE);
  } else {
    beginPrompt(place, c);
  }
}

function endProse(place: u8): void {
  if (place == places.SYSTEM) {
    segments.add(blocks, wholeStart, <u32>(text.out - wholeStart));
    prompt.closeSlot(prompt.MIDDLE);
  } else if (place == places.PROMPT || place == places.PROMPT_ELEMENT) {
    prompt.close();
  } else {
    endField(CONTENT_TEXT);
  }
}

function closeProse(place: u8, isObject: bool): void {
  if (place == places.SYSTEM) prompt.closeSlot(prompt.MIDDLE);
  else if (place == places.PROMPT || (place == places.PROMPT_ELEMENT && !isObject)) prompt.close();
}

/** A prompt by itself: a string, an array of tokens, or each string or array of tokens in an array. */
function beginPrompt(place: u8, c: u8): void {
  const isToken = c == 0x2d || (c >= 0x30 && c <= 0x39);
  if (place == places.PROMPT) {
    prompt.forget();
    if (c == 0x22) prompt.open();
  } else if (isToken) {
    if (!prompt.isOpen) prompt.open();
  } else {
    prompt.close();
    if (c == 0x22 || c == 0x5b) prompt.open();
  }
}

/** A token of the prompt. */
export function putToken(token: u32): void {
  if (!prompt.isOpen) return;
  store<u32>(text.out, token);
  text.setOut(text.out + 4);
}

// ── Messages, tools, items ──

function beginNode(place: u8, c: u8): void {
  if (place == places.MESSAGES) {
    slots = prompt.openSlot(prompt.BACK);
  } else if (place == places.TOOLS || place == places.CONVERSATION) {
    wholeStart = text.out;
    slots = prompt.openSlot(prompt.FRONT);
    if (c == 0x5b) text.put(0x5b);
  } else if ((place == places.TOOL || place == places.CONVERSATION_ITEM) && text.out != wholeStart + 1) {
    text.put(0x2c);
  }
}

function closeNode(place: u8, isObject: bool): void {
  if (place == places.MESSAGES) prompt.closeSlot(prompt.BACK);
  else if (place == places.TOOLS || place == places.CONVERSATION) closeRecords();
  else if (!isObject) return;
  else if (place == places.MESSAGE) closeMessage();
  else if (place == places.PART) closePart();
  else if (place == places.BLOCK) closeBlock();
  else if (place == places.ITEM) closeItem();
  else if (place == places.TOOL) closeTool();
  else if (place == places.CONVERSATION_ITEM) closeConversationItem();
}

/** An array of records ends: an empty one is none. */
function closeRecords(): void {
  const length = <u32>(text.out - wholeStart);
  if (length > 1) {
    text.put(0x5d);
    segments.add(slots, wholeStart, length + 1);
  }
  prompt.closeSlot(prompt.FRONT);
}

function addField(list: segments.List, field: u32): void {
  segments.add(list, startOf(field), lengthOf(field));
}

function closeMessage(): void {
  addField(slots, fieldOf(places.ROLE));
  if (lengthOf(CONTENT_TEXT) != 0) addField(slots, CONTENT_TEXT);
  else segments.append(slots, content);
  // What is still to come of this body does not belong to this message.
  clearRecord(outer);
  segments.clear(content);
}

function closePart(): void {
  const what = startOf(WHAT);
  if (what == TEXT) addField(content, fieldOf(places.PART_TEXT));
  else if (what == IMAGE_URL) addImage(content, places.URL, true);
  else if (what == VIDEO_URL) addAsset(content, places.VIDEO_URL, video.tokens());
  else if (what == AUDIO) addAudio();
  record = outer;
}

function addAsset(list: segments.List, place: u8, tokens: u32): void {
  segments.addAsset(list, <u32>hash(startOf(fieldOf(place)), lengthOf(fieldOf(place))), tokens);
}

function addImage(list: segments.List, place: u8, isUrl: bool): void {
  const start = startOf(fieldOf(place));
  const length = lengthOf(fieldOf(place));
  addAsset(list, place, isUrl ? image.tokensOfUrl(start, length) : image.tokensOfBase64(start, length));
}

/** Known by its data and its format together. */
function addAudio(): void {
  const length = lengthOf(fieldOf(places.DATA));
  const more = lengthOf(fieldOf(places.FORMAT));
  memory.copy(text.spare, startOf(fieldOf(places.DATA)), length);
  memory.copy(text.spare + length, startOf(fieldOf(places.FORMAT)), more);
  segments.addAsset(content, <u32>hash(text.spare, length + more), max<u32>(1, (length + more + 3) >> 2));
}

/** Claude Code's system prompt begins with a line that changes with every request. */
const billingHeader = utf8("x-anthropic-billing-header");

function isBilling(): bool {
  const field = fieldOf(places.PART_TEXT);
  const length = <u32>billingHeader.byteLength;
  return blocks != content && lengthOf(field) >= length && equals(startOf(field), length, billingHeader);
}

function closeBlock(): void {
  const what = startOf(WHAT);
  if (what == TEXT) {
    if (!isBilling()) addField(blocks, fieldOf(places.PART_TEXT));
  } else if (blocks == content) {
    closeOtherBlock(<u32>what);
  }
  record = outer;
}

/** A block that only messages have. */
function closeOtherBlock(what: u32): void {
  if (what == IMAGE) {
    if (lengthOf(fieldOf(places.URL)) != 0) addImage(content, places.URL, true);
    else if (lengthOf(fieldOf(places.DATA)) != 0) addImage(content, places.DATA, false);
  } else if (what == THINKING) {
    addField(content, fieldOf(places.THINKING));
  } else if (what == TOOL_USE) {
    addField(content, fieldOf(places.ID));
    addField(content, fieldOf(places.NAME));
    addField(content, fieldOf(places.TOOL_INPUT));
  } else if (what == TOOL_RESULT) {
    if (lengthOf(CONTENT_TEXT) != 0) {
      addField(content, CONTENT_TEXT);
    } else if (startOf(CONTENT_TEXT) != 0) {
      segments.append(content, resultText);
      segments.append(content, resultImages);
    }
  }
}

/** Texts in the result of a tool: they are joined by new lines, empty ones too. */
let resultParts: u32 = 0;
const newLine = utf8("\n");

function closeItem(): void {
  const what = startOf(WHAT);
  if (what == TEXT) {
    if (resultParts++ != 0) segments.add(resultText, pointer(newLine), newLine.byteLength);
    addField(resultText, fieldOf(places.PART_TEXT));
  } else if (what == IMAGE) {
    addResultImage();
  }
  record = middle;
}

const dataPrefix = utf8("data:");
const base64 = utf8(";base64,");
const jpeg = utf8("image/jpeg");

/** An image in the result of a tool is known by its URL; data becomes one. */
function addResultImage(): void {
  if (startOf(SOURCE_WHAT) == FROM_URL || lengthOf(fieldOf(places.URL)) != 0) {
    if (lengthOf(fieldOf(places.URL)) != 0) addImage(resultImages, places.URL, true);
    return;
  }
  if (lengthOf(fieldOf(places.DATA)) == 0) return;
  let to = copy(text.spare, pointer(dataPrefix), dataPrefix.byteLength);
  const type = fieldOf(places.FORMAT);
  if (lengthOf(type) != 0) to = copy(to, startOf(type), lengthOf(type));
  else to = copy(to, pointer(jpeg), jpeg.byteLength);
  to = copy(to, pointer(base64), base64.byteLength);
  to = copy(to, startOf(fieldOf(places.DATA)), lengthOf(fieldOf(places.DATA)));
  const length = <u32>(to - text.spare);
  segments.addAsset(resultImages, <u32>hash(text.spare, length), image.tokensOfUrl(text.spare, length));
}

function copy(to: usize, from: usize, length: u32): usize {
  memory.copy(to, from, length);
  return to + length;
}

// ── Records written as JSON, their members in an order of their own ──

const nameIs = utf8('{"name":');
const descriptionIs = utf8(',"description":');
const schemaIs = utf8(',"input_schema":');
const strictIs = utf8(',"strict":');
const deferIs = utf8(',"defer_loading":');
const openBrace = utf8("{");
const typeIs = utf8('"type":');
const roleIs = utf8('"role":');
const contentIs = utf8('"content":');

/** Whether a field holds a value other than null and, of strings, the empty one. */
function isGiven(field: u32): bool {
  const length = lengthOf(field);
  return length != 0 && !isNull(startOf(field), length) && !equals(startOf(field), length, emptyText);
}

function isNull(start: usize, length: u32): bool {
  return equals(start, length, nullText);
}

/** Where the record that is open begins, and where what it is made into ends. */
let recordStart: usize = 0;
let recordEnd: usize = 0;

function putField(before: ArrayBuffer, field: u32): void {
  recordEnd = copy(recordEnd, pointer(before), before.byteLength);
  recordEnd = copy(recordEnd, startOf(field), lengthOf(field));
}

/** What was put together takes the place of the fields it was made of. */
function endRecord(): void {
  store<u8>(recordEnd++, 0x7d);
  const length = recordEnd - text.spare;
  memory.copy(recordStart, text.spare, length);
  text.setOut(recordStart + length);
}

function closeTool(): void {
  const name = fieldOf(places.TOOL_NAME);
  recordEnd = copy(text.spare, pointer(nameIs), nameIs.byteLength);
  if (isGiven(name)) recordEnd = copy(recordEnd, startOf(name), lengthOf(name));
  else recordEnd = copy(recordEnd, pointer(emptyText), emptyText.byteLength);
  if (isGiven(fieldOf(places.TOOL_DESCRIPTION))) putField(descriptionIs, fieldOf(places.TOOL_DESCRIPTION));
  if (lengthOf(fieldOf(places.TOOL_SCHEMA)) != 0) putField(schemaIs, fieldOf(places.TOOL_SCHEMA));
  if (isGiven(fieldOf(places.TOOL_STRICT))) putField(strictIs, fieldOf(places.TOOL_STRICT));
  if (isGiven(fieldOf(places.TOOL_DEFER))) putField(deferIs, fieldOf(places.TOOL_DEFER));
  endRecord();
}

function closeConversationItem(): void {
  recordEnd = copy(text.spare, pointer(openBrace), openBrace.byteLength);
  if (isGiven(fieldOf(places.ITEM_TYPE))) putMember(typeIs, fieldOf(places.ITEM_TYPE));
  if (isGiven(fieldOf(places.ITEM_ROLE))) putMember(roleIs, fieldOf(places.ITEM_ROLE));
  const content = fieldOf(places.ITEM_CONTENT);
  if (lengthOf(content) != 0 && !isNull(startOf(content), lengthOf(content))) putMember(contentIs, content);
  endRecord();
}

function putMember(before: ArrayBuffer, field: u32): void {
  if (recordEnd != text.spare + 1) store<u8>(recordEnd++, 0x2c);
  putField(before, field);
}

// ── Values written as JSON by themselves ──

const instructionsIs = utf8('{"instructions":');
const toolsAre = utf8('{"tools":');
const inputIs = utf8('{"input":');
const closeBrace = utf8("}");
const rawIs = utf8('{"Raw":');
const rawEnds = utf8(',"Strings":null,"TokenIDs":null}');
const stringsAre = utf8('{"Raw":"","Strings":');
const stringsEnd = utf8(',"TokenIDs":null}');

function slotOf(place: u8): u32 {
  if (place == places.RESPONSE_TOOLS) return prompt.MIDDLE;
  return place == places.RESPONSE_INPUT ? prompt.BACK : prompt.FRONT;
}

function beginWhole(place: u8, c: u8): void {
  if (place == places.EMBEDDED_ELEMENT) {
    if (c != 0x22) beginPrompt(place, c);
    else if (text.out != wholeStart + 1) text.put(0x2c);
    return;
  }
  slots = prompt.openSlot(slotOf(place));
  wholeStart = text.out;
  if (place != places.EMBEDDED) return;
  prompt.forget();
  if (c == 0x5b) text.put(0x5b);
}

function endWhole(place: u8, isString: bool): void {
  if (place == places.EMBEDDED_ELEMENT || place == places.CHAT_TOOLS) return;
  if (place != places.EMBEDDED) addResponse(place);
  else if (isString) addWhole(rawIs, rawEnds);
  prompt.closeSlot(slotOf(place));
}

function closeWhole(place: u8, isObject: bool): void {
  if (place == places.EMBEDDED_ELEMENT) {
    if (!isObject) prompt.close();
    return;
  }
  if (place == places.EMBEDDED) closeEmbedded(isObject);
  else if (place != places.CHAT_TOOLS) addResponse(place);
  else if (!isObject && text.out - wholeStart > 2) segments.add(slots, wholeStart, <u32>(text.out - wholeStart));
  prompt.closeSlot(slotOf(place));
}

/** Strings, unless tokens were found. */
function closeEmbedded(isObject: bool): void {
  prompt.close();
  if (isObject || prompt.count != 0 || text.out == wholeStart + 1) return;
  text.put(0x5d);
  addWhole(stringsAre, stringsEnd);
}

function addResponse(place: u8): void {
  if (isNull(wholeStart, <u32>(text.out - wholeStart))) return;
  const before = place == places.INSTRUCTIONS ? instructionsIs : place == places.RESPONSE_TOOLS ? toolsAre : inputIs;
  addWhole(before, closeBrace);
}

function addWhole(before: ArrayBuffer, after: ArrayBuffer): void {
  segments.add(slots, pointer(before), before.byteLength);
  segments.add(slots, wholeStart, <u32>(text.out - wholeStart));
  segments.add(slots, pointer(after), after.byteLength);
}
