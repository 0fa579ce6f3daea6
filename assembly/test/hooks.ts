// Test entry: the same filter with a hook that traps on demand, which no shipped build has. The
// request header x-pointsman-test-trap names the callback that shall trap: headers, body or response.

import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { equals, utf8 } from "../abi/text";
import * as filter from "../index";

export {
  proxy_abi_version_0_2_1,
  proxy_on_configure,
  proxy_on_context_create,
  proxy_on_delete,
  proxy_on_memory_allocate,
  proxy_on_queue_ready,
  proxy_on_request_trailers,
  proxy_on_tick,
} from "../index";

const trapHeader = utf8("x-pointsman-test-trap");
const inHeaders = utf8("headers");
const inBody = utf8("body");
const inResponse = utf8("response");

function trapIfAsked(where: ArrayBuffer): void {
  if (host.getHeader(REQUEST_HEADERS, trapHeader) && equals(host.data, host.size, where)) unreachable();
}

export function proxy_on_request_headers(context: u32, count: u32, isEnd: u32): i32 {
  const action = filter.proxy_on_request_headers(context, count, isEnd);
  trapIfAsked(inHeaders);
  return action;
}

export function proxy_on_request_body(context: u32, size: u32, isEnd: u32): i32 {
  const action = filter.proxy_on_request_body(context, size, isEnd);
  trapIfAsked(inBody);
  return action;
}

export function proxy_on_response_headers(context: u32, count: u32, isEnd: u32): i32 {
  const action = filter.proxy_on_response_headers(context, count, isEnd);
  trapIfAsked(inResponse);
  return action;
}
