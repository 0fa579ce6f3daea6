// Has the server tell the usage of a stream whose caller did not say whether it wants it: a member
// "stream_options":{"include_usage":true} first in the body, or "include_usage":true first in the options that are
// there. Only in a body that was read to its end, so that no member is there twice. The answer's event with the
// usage is then taken out again (response/usage_event).

import { pointer, utf8 } from "../abi/text";
import * as streams from "../state/streams";
import * as scanner from "./3_scan";
import * as edits from "./body_edits";
import { hasStreamOptions } from "./prompt/places";

const inTop = utf8('"stream_options":{"include_usage":true},');
const inOptions = utf8('"include_usage":true,');
const inEmptyOptions = utf8('"include_usage":true');

/** Adds the change to those of the body that was read last, the stream's. Answers whether it takes one. */
export function askUsage(stream: streams.Stream): bool {
  if (!hasStreamOptions(stream.body) || !scanner.stream || !scanner.isComplete()) return false;
  if (scanner.options == scanner.OPTIONS_TOLD) return false;
  if (scanner.options == scanner.OPTIONS_NONE) insert(scanner.topAt, inTop);
  else insert(scanner.optionsAt, scanner.options == scanner.OPTIONS_EMPTY ? inEmptyOptions : inOptions);
  return true;
}

function insert(from: u32, text: ArrayBuffer): void {
  edits.replace(from, from, pointer(text), text.byteLength);
}
