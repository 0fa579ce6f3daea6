// The numbers of the proxy-wasm ABI 0.2.1 that this filter uses.

// What a callback answers
export const CONTINUE = 0;
export const STOP_ITERATION = 1;
/** Body callbacks only: hold what came, call again with all of it. */
export const STOP_AND_BUFFER = 1;
/** Body callbacks only: drop what came; a local reply is under way. */
export const STOP_NO_BUFFER = 3;

// Results of host calls
export const OK = 0;

// Header maps
export const REQUEST_HEADERS = 0;
export const RESPONSE_HEADERS = 2;

// Buffers
export const REQUEST_BODY = 0;
export const RESPONSE_BODY = 1;
export const PLUGIN_CONFIGURATION = 7;

// Directions of a stream
export const REQUEST_STREAM = 0;
export const RESPONSE_STREAM = 1;

// Statistics
export const COUNTER = 0;
export const GAUGE = 1;
export const HISTOGRAM = 2;

/** proxy_send_local_response: this is no gRPC call. */
export const NO_GRPC_STATUS = 0xffffffff;
