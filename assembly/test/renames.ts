// Test entry: the build with response bodies, and a hook in the place of the objects that rename models. The
// request headers x-pointsman-test-caller and x-pointsman-test-server name the two names.

import { MODEL_BYTES_MAX } from "../../src/wire/limits";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { utf8 } from "../abi/text";
import * as filter from "../index";
import * as renames from "../state/renames";
import * as streams from "../state/streams";

export {
  proxy_abi_version_0_2_1,
  proxy_on_configure,
  proxy_on_context_create,
  proxy_on_delete,
  proxy_on_memory_allocate,
  proxy_on_queue_ready,
  proxy_on_request_body,
  proxy_on_request_trailers,
  proxy_on_response_headers,
  proxy_on_tick,
} from "../index";
export { proxy_on_response_body } from "../usage";

const callerHeader = utf8("x-pointsman-test-caller");
const serverHeader = utf8("x-pointsman-test-server");
const caller = memory.data(256);
if (MODEL_BYTES_MAX != 256) ERROR("the name has its bytes here");

export function proxy_on_request_headers(context: u32, count: u32, isEnd: u32): i32 {
  const action = filter.proxy_on_request_headers(context, count, isEnd);
  const stream = streams.find(context);
  if (streams.isNone(stream) || !host.getHeader(REQUEST_HEADERS, callerHeader)) return action;
  const callerLength = min<u32>(host.size, MODEL_BYTES_MAX);
  memory.copy(caller, host.data, callerLength);
  if (!host.getHeader(REQUEST_HEADERS, serverHeader)) return action;
  stream.rename = renames.hold(caller, callerLength, host.data, host.size);
  return action;
}
