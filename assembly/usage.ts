// Entry of filter-usage.wasm, beside assembly/index.ts: the one callback more that it has.

import * as scratch from "./abi/scratch";
import { CONTINUE } from "./abi/status";
import * as body from "./response/body";
import * as streams from "./state/streams";

export function proxy_on_response_body(context: u32, size: u32, isEnd: u32): i32 {
  const stream = streams.find(context);
  if (streams.isNone(stream) || stream.phase != streams.SENT) return CONTINUE;
  scratch.reset();
  body.read(stream, size, isEnd != 0);
  return CONTINUE;
}
