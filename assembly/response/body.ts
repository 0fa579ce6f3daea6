// A piece of an answer's body: when it came, what it says of usage, and the name in it. Only the build with
// response bodies has this (assembly/usage.ts).

import { monotonicNs } from "../abi/clock";
import * as host from "../abi/host";
import { RESPONSE_BODY } from "../abi/status";
import * as responses from "../state/responses";
import * as series from "../state/series";
import * as streams from "../state/streams";
import * as names from "./rename";
import * as usage from "./usage";
import * as usageEvent from "./usage_event";

/** `size` bytes have come; none of them is kept, but what response/rename and response/usage_event hold back. */
export function read(stream: streams.Stream, size: u32, isEnd: bool): void {
  const row = responses.answerTo(stream);
  if (size != 0) note(stream, row, size);
  if ((row.flags & responses.IS_READ) == 0 || (size == 0 && !isEnd)) return;
  if (size != 0 && (!host.getBuffer(RESPONSE_BODY, 0, size) || host.size != size)) {
    letGo(stream, row);
    row.flags &= ~responses.IS_READ;
    return;
  }
  if (size != 0) usage.feed(row, host.data, size);
  if (usageEvent.isSought(stream, row)) {
    usageEvent.pass(stream, host.data, size, isEnd);
    rename(stream, row, usageEvent.text, usageEvent.length, isEnd);
  } else {
    rename(stream, row, host.data, size, isEnd);
  }
}

function rename(stream: streams.Stream, row: responses.Response, data: usize, size: u32, isEnd: bool): void {
  if ((row.flags & responses.IS_RENAMED) == 0) return;
  if (size != 0) names.pass(row, stream.rename, data, size, isEnd);
  else if (isEnd) letNameGo(stream, row);
}

/** What is held of a name stands before what is held of an event. */
function letGo(stream: streams.Stream, row: responses.Response): void {
  usageEvent.letGo(stream);
  if ((row.flags & responses.IS_RENAMED) != 0) letNameGo(stream, row);
}

function letNameGo(stream: streams.Stream, row: responses.Response): void {
  names.setNames(stream.rename);
  names.letGo(row);
}

function note(stream: streams.Stream, row: responses.Response, size: u32): void {
  const nowNs = monotonicNs();
  row.bytes += size;
  if (row.firstNs == 0) row.firstNs = nowNs;
  else if ((row.flags & responses.IS_EVENTS) != 0) series.noteGap(stream, nowNs - row.lastNs);
  row.lastNs = nowNs;
}
