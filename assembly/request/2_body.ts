// Second station: the body, as it arrives. Each byte is fetched from the host once and scanned; after
// the inspection limit the request is decided by what was read, and the rest streams through.
//
// Envoy hands a body on in reads of 16 KiB, and a fetch costs about 1 µs whatever its size: so a piece
// waits in Envoy's buffer until FETCH_BYTES are there or nothing more will be read.

import { FETCH_BYTES } from "../../src/wire/limits";
import * as host from "../abi/host";
import { mark, release } from "../abi/scratch";
import { REQUEST_BODY } from "../abi/status";
import { utf8 } from "../abi/text";
import { Config } from "../config";
import * as reply from "../reply";
import * as streams from "../state/streams";
import * as scanner from "./3_scan";

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

export function begin(stream: streams.Stream): void {
  stream.received = 0;
  scanner.begin(scanner.ofSlot(streams.slotOf(stream)));
}

/** `size` bytes of the body have come in all; `isEnd`: they are all there are. */
export function read(stream: streams.Stream, config: Config, size: u32, isEnd: bool): i32 {
  const scan = scanner.ofSlot(streams.slotOf(stream));
  stream.received = size;
  const until = min<u32>(size, config.inspectionBytes);
  const isLast = isEnd || size >= config.inspectionBytes;
  while (scan.offset < until && (isLast || until - scan.offset >= FETCH_BYTES)) {
    const from = mark();
    const wanted = min<u32>(until - scan.offset, FETCH_BYTES);
    if (!host.getBuffer(REQUEST_BODY, scan.offset, wanted) || host.size == 0) return DECIDED;
    const told = scanner.feed(scan, host.data, host.size);
    release(from);
    if (told != scanner.MORE) return refuseText(told);
    if (scan.top == scanner.TOP_OTHER) return refuse(invalidJson, notObjectMessage);
  }
  if (isEnd && size <= config.inspectionBytes) return whole(scan);
  return size >= config.inspectionBytes ? DECIDED : UNDECIDED;
}

/** All of the body has been read. */
function whole(scan: scanner.Scan): i32 {
  if (!scanner.isComplete(scan)) return refuse(invalidJson, cutShortMessage);
  if (scan.model != scanner.MODEL_TEXT && scan.model != scanner.MODEL_TOO_LONG) {
    return refuse(missingModel, modelMessage);
  }
  return DECIDED;
}

function refuseText(told: i32): i32 {
  return told == scanner.TOO_DEEP ? refuse(tooDeep, tooDeepMessage) : refuse(invalidJson, notJsonMessage);
}

function refuse(code: ArrayBuffer, message: ArrayBuffer): i32 {
  reply.error(400, reply.INVALID_REQUEST, code, message, null);
  return REFUSED;
}
