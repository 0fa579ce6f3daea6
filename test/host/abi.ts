// The numbers of proxy-wasm ABI 0.2.1 that cross the border between a host and a module.

export const STATUS_OK = 0;
export const STATUS_NOT_FOUND = 1;
export const STATUS_BAD_ARGUMENT = 2;
export const STATUS_INVALID_MEMORY_ACCESS = 6;
export const STATUS_EMPTY = 7;
export const STATUS_CAS_MISMATCH = 8;

/** What a callback of a stream answers. The numbers of headers and data callbacks agree up to 1. */
export const ACTION_CONTINUE = 0;
/** Headers: stop, and the body callbacks come (allow_on_headers_stop_iteration). Data: stop and buffer. */
export const ACTION_STOP = 1;
/** Data: stop, buffer, and read no more from the client while the buffer is full; the next chunk is seen alone. */
export const ACTION_WATERMARK = 2;
/** Data: stop; what came is dropped. */
export const ACTION_NO_BUFFER = 3;

export const BUFFER_REQUEST_BODY = 0;
export const BUFFER_RESPONSE_BODY = 1;
export const BUFFER_VM_CONFIGURATION = 6;
export const BUFFER_PLUGIN_CONFIGURATION = 7;

export const MAP_REQUEST_HEADERS = 0;
export const MAP_REQUEST_TRAILERS = 1;
export const MAP_RESPONSE_HEADERS = 2;
export const MAP_RESPONSE_TRAILERS = 3;

export const METRIC_COUNTER = 0;
export const METRIC_GAUGE = 1;
export const METRIC_HISTOGRAM = 2;

export const STREAM_REQUEST = 0;
export const STREAM_RESPONSE = 1;

export const MAP_NAMES = ["request", "request-trailers", "response", "response-trailers"] as const;
export const BUFFER_NAMES = [
  "request-body",
  "response-body",
  "downstream",
  "upstream",
  "call-body",
  "grpc-message",
  "vm-configuration",
  "plugin-configuration",
] as const;
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "critical"] as const;
