// Whole requests in one call, for tests that care about the outcome and not about each event.

import type { LocalResponse } from "./context.ts";
import type { HeaderList } from "./header-map.ts";
import type { Root } from "./root.ts";
import type { Stream } from "./stream.ts";
import type { Vm } from "./vm.ts";

export interface Upstream {
  /** What upstream.address says; by default the first entry of the destination list. */
  readonly address?: string;
  readonly status?: number;
  readonly headers?: HeaderList;
  readonly body?: string | Uint8Array;
}

export interface Request {
  readonly method?: string;
  readonly path?: string;
  /** After the pseudo-headers; a body gets `content-type: application/json` unless one is named here. */
  readonly headers?: HeaderList;
  /** One chunk, or several as they would arrive. */
  readonly body?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** "none": the stream ends without an upstream answer. */
  readonly upstream?: Upstream | "none";
}

export interface Outcome {
  readonly stream: Stream;
  /** What the last request callback answered. */
  readonly action: number;
  readonly destination: string | undefined;
  readonly localResponse: LocalResponse | undefined;
  /** undefined when the headers never went on. */
  readonly forwardedHeaders: HeaderList | undefined;
  readonly forwardedBody: Uint8Array;
  readonly responseHeaders: HeaderList | undefined;
  /** Host calls of the whole stream, and of its request side until the decision. */
  readonly calls: number;
  readonly requestCalls: number;
}

export const DESTINATION = "x-gateway-destination-endpoint";

export function headerOf(list: HeaderList | undefined, name: string): string | undefined {
  return list?.find(([key]) => key === name)?.[1];
}

/** Headers as Envoy hands them over: pseudo-headers first. */
export function requestHeaders(request: Request): HeaderList {
  const headers: (readonly [string, string])[] = [
    [":authority", "models.test"],
    [":path", request.path ?? "/v1/chat/completions"],
    [":method", request.method ?? (request.body === undefined ? "GET" : "POST")],
    [":scheme", "http"],
  ];
  const named = request.headers ?? [];
  if (request.body !== undefined && !named.some(([name]) => name === "content-type")) {
    headers.push(["content-type", "application/json"]);
  }
  return [...headers, ...named];
}

/** Sends the request's events; the stream stays live. */
export function sendRequest(stream: Stream, request: Request): number {
  const body = request.body;
  const chunks = body === undefined ? [] : Array.isArray(body) ? (body as (string | Uint8Array)[]) : [body as string];
  let action = stream.requestHeaders(requestHeaders(request), chunks.length === 0);
  for (let index = 0; index < chunks.length && stream.live; index++) {
    action = stream.requestBody(chunks[index]!, index === chunks.length - 1);
  }
  return action;
}

/** The upstream's answer, if the request went on and there is to be one. */
export function sendResponse(stream: Stream, upstream: Upstream | "none"): void {
  if (upstream === "none" || stream.request.sentHeaders === undefined) return;
  const first = headerOf(stream.request.sentHeaders, DESTINATION)?.split(",")[0];
  const address = upstream.address ?? first;
  if (address !== undefined) stream.setProperty("upstream.address", address);
  const body = upstream.body ?? "{}";
  const headers: HeaderList = [[":status", String(upstream.status ?? 200)], ...(upstream.headers ?? [])];
  stream.responseHeaders(headers, body.length === 0);
  if (body.length === 0) return;
  // An HTTP/1.1 upstream's end arrives by itself, after the last bytes.
  stream.responseBody(body, false);
  stream.responseBody("", true);
}

/** A request from its headers to its access log. */
export function drive(vm: Vm, root: Root, request: Request): Outcome {
  const before = vm.log.total;
  const stream = vm.stream(root);
  const action = sendRequest(stream, request);
  const requestCalls = vm.log.total - before;
  sendResponse(stream, request.upstream ?? {});
  stream.end();
  return {
    stream,
    action,
    destination: headerOf(stream.request.sentHeaders, DESTINATION),
    localResponse: stream.localResponse,
    forwardedHeaders: stream.request.sentHeaders,
    forwardedBody: Buffer.concat(stream.request.sentBody),
    responseHeaders: stream.response.sentHeaders,
    calls: vm.log.total - before,
    requestCalls,
  };
}

/** Whether the request is still held by the filter. */
export function isHeld(stream: Stream): boolean {
  return stream.request.stopped && stream.request.sentHeaders === undefined;
}
