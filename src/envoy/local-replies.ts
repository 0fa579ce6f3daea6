// Envoy's own error answers in the shape of OpenAI's. A reply is told by its response code details,
// for example "route_not_found"; the first entry whose condition holds gives it its words.

import { HEADER_DROPPED_REASON, REASON_NO_ENDPOINTS, REPLY_DETAILS } from "../wire/names.ts";

interface Reply {
  /** A CEL condition over `response.code_details` and `response.code`. */
  readonly when: string;
  readonly type: "invalid_request_error" | "not_found_error" | "service_unavailable_error" | "server_error";
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const NO_ENDPOINTS = { [HEADER_DROPPED_REASON]: REASON_NO_ENDPOINTS, "retry-after": "1" };

const REPLIES: readonly Reply[] = [
  {
    when: is("route_not_found"),
    type: "not_found_error",
    code: "not_found",
    message: "No route leads to a model server for this host and path.",
  },
  {
    when: `${is("no_healthy_upstream")} || ${is("cluster_not_found")}`,
    type: "service_unavailable_error",
    code: "no_endpoints",
    message: "No model server is ready.",
    headers: NO_ENDPOINTS,
  },
  {
    when: begins("upstream_reset_before_response_started{overflow"),
    type: "service_unavailable_error",
    code: "overloaded",
    message: "Too many requests are waiting for a connection to the model servers.",
    headers: { "retry-after": "1" },
  },
  {
    when: begins("upstream_reset_"),
    type: "service_unavailable_error",
    code: "upstream_failed",
    message: "The model server could not be reached or broke off before it answered.",
  },
  {
    when: `${is("response_timeout")} || ${begins("upstream_")} || response.code == 504`,
    type: "server_error",
    code: "upstream_timeout",
    message: "The model server did not answer in time.",
  },
  {
    when: "response.code == 408",
    type: "invalid_request_error",
    code: "request_timeout",
    message: "The request did not arrive in time.",
  },
  {
    when: "response.code == 413",
    type: "invalid_request_error",
    code: "request_too_large",
    message: "The request body is too large.",
  },
  {
    when: "response.code == 431",
    type: "invalid_request_error",
    code: "headers_too_large",
    message: "The request headers are too large.",
  },
  {
    when: "response.code < 500",
    type: "invalid_request_error",
    code: "bad_request",
    message: "The request is not one that this server can read (%RESPONSE_CODE_DETAILS%).",
  },
  {
    when: "true",
    type: "server_error",
    code: "gateway_error",
    message: "The gateway could not handle the request (%RESPONSE_CODE_DETAILS%).",
  },
];

/** The filter's own replies, which are in shape already, and those that a route asks for: they stay as they are. */
const NOT_ENVOYS = `response.code_details == "" || ${begins(REPLY_DETAILS)} || ${is("direct_response")}`;

/** The local_reply_config of the public listener. */
export function localReplies(): object {
  return {
    mappers: [{ filter: condition(NOT_ENVOYS) }, ...REPLIES.map(mapper)],
  };
}

function mapper({ when, type, code, message, headers = {} }: Reply): object {
  return {
    filter: condition(when),
    headers_to_add: Object.entries(headers).map(setHeader),
    body_format_override: { json_format: { error: { message, type, param: null, code } } },
  };
}

function setHeader([key, value]: readonly [string, string]): object {
  return { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
}

function condition(expression: string): object {
  const type = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
  const name = "envoy.access_loggers.extension_filters.cel";
  return { extension_filter: { name, typed_config: { "@type": type, expression } } };
}

function is(details: string): string {
  return `response.code_details == "${details}"`;
}

function begins(details: string): string {
  return `response.code_details.startsWith("${details}")`;
}
