// Second station: the body. Envoy buffers it; once it is complete, or the inspection limit is reached, it is
// read and scanned in one go, so that nothing of a scan is kept between callbacks. What comes after the
// limit streams through unread.
//
// A fetch from the host costs about 1 µs whatever its size, and what was fetched is read again at once:
// pieces of FETCH_BYTES hide the first and still fit the L2 cache.

import { FETCH_BYTES } from "../../src/wire/limits";
import { API_SGLANG_GENERATE } from "../../src/wire/program";
import * as host from "../abi/host";
import { mark, release } from "../abi/scratch";
import { REQUEST_BODY } from "../abi/status";
import { utf8 } from "../abi/text";
import { Config } from "../config";
import * as reply from "../reply";
import * as streams from "../state/streams";
import * as scanner from "./3_scan";
import * as prompt from "./prompt";

// What is known after a piece
export const UNDECIDED = 0;
/** Enough is known to pick. */
export const DECIDED = 1;
/** Answered 400. */
export const REFUSED = 2;

const invalidJson = utf8("invalid_json");
const missingModel = utf8("missing_model");
const tooDeep = utf8("json_too_deep");
const notJsonMessage = utf8("The request body is not valid JSON in UTF-8.");
const cutShortMessage = utf8("The request body ends before its JSON does.");
const notObjectMessage = utf8("The request body must be a JSON object.");
const tooDeepMessage = utf8("The request body nests objects and arrays more than 512 deep.");
const modelMessage = utf8("The request body must have a member 'model' that is a string.");

/** Whether prompts are extracted, or only the model and the limits. */
export let extract: bool = true;

export function setExtract(isWanted: bool): void {
  extract = isWanted;
}

export function begin(stream: streams.Stream): void {
  stream.received = 0;
}

/** `size` bytes of the body have come in all; `isEnd`: they are all there are. */
export function read(stream: streams.Stream, config: Config, size: u32, isEnd: bool): i32 {
  stream.received = size;
  const limit = config.inspectionBytes;
  if (!isEnd && size < limit) return UNDECIDED;
  scanner.begin(stream.body, extract);
  const isWhole = isEnd && size <= limit;
  const told = scanBody(min<u32>(size, limit));
  scanner.end();
  if (!isWhole || told == UNREAD) prompt.truncate();
  // What could not be read is not judged: the request goes on by what is known.
  if (told == UNREAD) return DECIDED;
  if (told != scanner.MORE) return refuseText(told);
  if (scanner.top == scanner.TOP_OTHER) return refuse(invalidJson, notObjectMessage);
  return isWhole ? whole(stream.body) : DECIDED;
}

/** Reads a held body again, as far as it was read before. */
export function readAgain(stream: streams.Stream, config: Config): bool {
  return read(stream, config, stream.received, stream.isPartial == 0) == DECIDED;
}

/** In the place of what the scan told: the host gave less than it had. */
const UNREAD: i32 = -1;

/** Scans the first `size` bytes. */
function scanBody(size: u32): i32 {
  for (let offset: u32 = 0; offset < size; ) {
    const from = mark();
    if (!host.getBuffer(REQUEST_BODY, offset, min<u32>(size - offset, FETCH_BYTES)) || host.size == 0) return UNREAD;
    const told = scanner.feed(host.data, host.size);
    offset += host.size;
    release(from);
    if (told != scanner.MORE) return told;
  }
  return scanner.MORE;
}

/** All of the body has been read. */
function whole(api: u8): i32 {
  if (!scanner.isComplete()) return refuse(invalidJson, cutShortMessage);
  const hasModel = scanner.model == scanner.MODEL_TEXT || scanner.model == scanner.MODEL_TOO_LONG;
  // SGLang's own API names no model.
  if (!hasModel && api != API_SGLANG_GENERATE) return refuse(missingModel, modelMessage);
  return DECIDED;
}

function refuseText(told: i32): i32 {
  return told == scanner.TOO_DEEP ? refuse(tooDeep, tooDeepMessage) : refuse(invalidJson, notJsonMessage);
}

function refuse(code: ArrayBuffer, message: ArrayBuffer): i32 {
  reply.error(400, reply.INVALID_REQUEST, code, message, null);
  return REFUSED;
}
