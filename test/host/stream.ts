// One request and its response, in the order and with the buffering that Envoy has.

import {
  ACTION_CONTINUE,
  ACTION_NO_BUFFER,
  ACTION_STOP,
  ACTION_WATERMARK,
  BUFFER_REQUEST_BODY,
  BUFFER_RESPONSE_BODY,
  MAP_REQUEST_HEADERS,
  MAP_REQUEST_TRAILERS,
  MAP_RESPONSE_HEADERS,
  MAP_RESPONSE_TRAILERS,
  STREAM_REQUEST,
  STREAM_RESPONSE,
} from "./abi.ts";
import { BodyBuffer } from "./body-buffer.ts";
import type { Context, LocalResponse } from "./context.ts";
import { type HeaderList, HeaderMap } from "./header-map.ts";
import type { Vm } from "./vm.ts";

/** The names of one direction's callbacks. */
interface Callbacks {
  readonly headers: string;
  readonly body: string;
  readonly trailers: string;
}

const REQUEST: Callbacks = {
  headers: "proxy_on_request_headers",
  body: "proxy_on_request_body",
  trailers: "proxy_on_request_trailers",
};
const RESPONSE: Callbacks = {
  headers: "proxy_on_response_headers",
  body: "proxy_on_response_body",
  trailers: "proxy_on_response_trailers",
};

/** One direction of a stream: what the filter holds back and what has gone on. */
class Direction {
  headers: HeaderMap | undefined;
  trailers: HeaderMap | undefined;
  readonly body = new BodyBuffer();
  /** What was held with ACTION_WATERMARK: it goes on before `body`, unseen unless the body is buffered later. */
  readonly unseen = new BodyBuffer();
  /** Envoy forgets the map for the filter once the headers callback answered Continue, or the stream is resumed. */
  readable = false;
  /** As `readable`, of trailers. */
  trailersReadable = false;
  /** A data callback is under way: the chunk can be read. */
  atHand = false;
  /**
   * The last data callback said "stop and buffer": the next chunk is appended, and what is held can be read and
   * changed from any callback (Context::getBuffer with buffering_request_body_).
   */
  buffering = false;
  /** What has come since it last went on is held; the filter has to answer Continue or to resume it. */
  stopped = false;
  /** What the other side has got, undefined before anything went on. */
  sentHeaders: HeaderList | undefined;
  readonly sentBody: Uint8Array[] = [];
  sentTrailers: HeaderList | undefined;
  ended = false;

  /** What becomes of the bytes that a data callback stopped. */
  hold(action: number): void {
    this.buffering = action === ACTION_STOP;
    if (action === ACTION_WATERMARK) this.unseen.append(this.body.drain());
    // Envoy has one buffer: who says "stop and buffer" after ACTION_WATERMARK sees all that is held.
    if (this.buffering && this.unseen.size > 0) this.body.set(0, 0, this.unseen.drain());
  }

  /** Lets go of everything held. */
  release(): void {
    this.stopped = false;
    this.buffering = false;
    this.sentHeaders ??= this.headers?.list();
    if (this.unseen.size > 0) this.sentBody.push(this.unseen.drain());
    if (this.body.size > 0) this.sentBody.push(this.body.drain());
    this.sentTrailers ??= this.trailers?.list();
  }
}

export class Stream implements Context {
  readonly id: number;
  readonly rootId: number;
  readonly request = new Direction();
  readonly response = new Direction();
  /** The reply that the filter sent in place of an upstream's. */
  localResponse: LocalResponse | undefined;
  /** The filter cut the stream: proxy_close_stream, or a local response after response headers. */
  resetByFilter = false;
  /** Headers written after they had gone on: Envoy drops such a write without a word. */
  lateWrites = 0;
  private readonly vm: Vm;
  private readonly properties = new Map<string, Uint8Array>();
  private created = false;
  private finished = false;
  private logging = false;
  private replyHeld = false;

  constructor(vm: Vm, id: number, rootId: number) {
    this.vm = vm;
    this.id = id;
    this.rootId = rootId;
  }

  /** True while events of this stream still reach the filter. */
  get live(): boolean {
    return !this.finished && this.localResponse === undefined && !this.resetByFilter && this.vm.trap === undefined;
  }

  requestHeaders(headers: HeaderList, endOfStream: boolean): number {
    this.create();
    return this.onHeaders(REQUEST, this.request, headers, endOfStream);
  }

  requestBody(chunk: Uint8Array | string, endOfStream: boolean): number {
    return this.live ? this.onBody(REQUEST, this.request, chunk, endOfStream) : ACTION_CONTINUE;
  }

  requestTrailers(trailers: HeaderList): number {
    return this.live ? this.onTrailers(REQUEST, this.request, trailers) : ACTION_CONTINUE;
  }

  responseHeaders(headers: HeaderList, endOfStream: boolean): number {
    return this.live ? this.onHeaders(RESPONSE, this.response, headers, endOfStream) : ACTION_CONTINUE;
  }

  responseBody(chunk: Uint8Array | string, endOfStream: boolean): number {
    return this.live ? this.onBody(RESPONSE, this.response, chunk, endOfStream) : ACTION_CONTINUE;
  }

  responseTrailers(trailers: HeaderList): number {
    return this.live ? this.onTrailers(RESPONSE, this.response, trailers) : ACTION_CONTINUE;
  }

  /** The stream is over, complete or not: access log, done, delete, each once. */
  end(): void {
    if (this.finished) return;
    this.create();
    this.finished = true;
    this.logging = true;
    this.vm.call("proxy_on_log", this, this.id);
    this.vm.call("proxy_on_done", this, this.id);
    this.vm.call("proxy_on_delete", this, this.id);
    this.vm.remove(this);
  }

  /** Client or upstream went away: Envoy calls the same three, at whatever point the stream was. */
  reset(): void {
    this.end();
  }

  private create(): void {
    if (this.created) return;
    this.created = true;
    this.vm.add(this);
    this.vm.call("proxy_on_context_create", this, this.id, this.rootId);
  }

  private onHeaders(callbacks: Callbacks, direction: Direction, headers: HeaderList, endOfStream: boolean): number {
    direction.headers = new HeaderMap(headers);
    direction.readable = true;
    direction.ended = endOfStream;
    const count = direction.headers.size;
    const action = this.vm.call(callbacks.headers, this, this.id, count, Number(endOfStream)) ?? ACTION_CONTINUE;
    direction.stopped = action !== ACTION_CONTINUE;
    if (action === ACTION_CONTINUE) {
      direction.readable = false;
      if (this.passes(direction)) direction.release();
    }
    return action;
  }

  private onBody(callbacks: Callbacks, direction: Direction, chunk: Uint8Array | string, endOfStream: boolean): number {
    direction.body.append(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    direction.ended = endOfStream;
    direction.atHand = true;
    const size = direction.body.size;
    const action = this.vm.call(callbacks.body, this, this.id, size, Number(endOfStream)) ?? ACTION_CONTINUE;
    direction.atHand = false;
    direction.stopped = action !== ACTION_CONTINUE;
    if (action === ACTION_CONTINUE && this.passes(direction)) direction.release();
    if (!this.passes(direction) || action === ACTION_NO_BUFFER) direction.body.drain();
    direction.hold(action);
    return action;
  }

  private onTrailers(callbacks: Callbacks, direction: Direction, trailers: HeaderList): number {
    direction.trailers = new HeaderMap(trailers);
    direction.trailersReadable = true;
    direction.ended = true;
    const action = this.vm.call(callbacks.trailers, this, this.id, trailers.length) ?? ACTION_CONTINUE;
    direction.stopped = action !== ACTION_CONTINUE;
    if (action === ACTION_CONTINUE && this.passes(direction)) direction.release();
    return action;
  }

  /** What a request would send on is dropped once the filter has answered it itself. */
  private passes(direction: Direction): boolean {
    if (this.vm.trap !== undefined) return false;
    return direction === this.response || (this.localResponse === undefined && !this.replyHeld);
  }

  map(type: number): HeaderMap | undefined {
    if (type === MAP_REQUEST_HEADERS) return this.headerMap(this.request);
    if (type === MAP_RESPONSE_HEADERS) return this.headerMap(this.response);
    if (type === MAP_REQUEST_TRAILERS) return this.request.trailersReadable ? this.request.trailers : undefined;
    if (type === MAP_RESPONSE_TRAILERS) return this.response.trailersReadable ? this.response.trailers : undefined;
    return undefined;
  }

  /** The access log sees every map, an empty one when there never were headers. */
  private headerMap(direction: Direction): HeaderMap | undefined {
    if (this.logging) return direction.headers ?? new HeaderMap([]);
    return direction.readable ? direction.headers : undefined;
  }

  noteWrite(type: number): void {
    const direction = type === MAP_REQUEST_HEADERS ? this.request : this.response;
    const trailers = type === MAP_REQUEST_TRAILERS || type === MAP_RESPONSE_TRAILERS;
    if (!trailers && direction.sentHeaders !== undefined) this.lateWrites++;
  }

  buffer(type: number): BodyBuffer | undefined {
    if (type === BUFFER_REQUEST_BODY) return readableBody(this.request);
    if (type === BUFFER_RESPONSE_BODY) return readableBody(this.response);
    return undefined;
  }

  property(path: string): Uint8Array | undefined {
    return this.properties.get(path);
  }

  /** A path is given with dots; one that holds a NUL is taken as it is (names with dots inside). */
  setProperty(path: string, value: Uint8Array | string): void {
    const key = path.includes("\0") ? path : path.replaceAll(".", "\0");
    this.properties.set(key, typeof value === "string" ? Buffer.from(value, "latin1") : value);
  }

  sendLocalResponse(response: LocalResponse): boolean {
    if (this.finished) return false;
    if (this.replyHeld) return true; // Envoy says Ok and keeps the first
    this.replyHeld = true;
    this.vm.defer(() => this.reply(response));
    return true;
  }

  /**
   * Envoy runs a local reply through the response side of the filters, the sender's own included,
   * unless it was sent from there.
   */
  private reply(response: LocalResponse): void {
    if (this.response.sentHeaders !== undefined) {
      this.resetByFilter = true;
      return;
    }
    const headers: [string, string][] = [[":status", String(response.status)], ...response.headers.map(copyPair)];
    if (response.body.length > 0) {
      headers.push(["content-length", String(response.body.length)]);
      if (!headers.some(([name]) => name.toLowerCase() === "content-type"))
        headers.push(["content-type", "text/plain"]);
    }
    if (this.response.headers === undefined) {
      this.onHeaders(RESPONSE, this.response, headers, response.body.length === 0);
      if (response.body.length > 0) this.onBody(RESPONSE, this.response, response.body, true);
    } else {
      this.response.headers = new HeaderMap(headers);
      this.response.sentHeaders = headers;
      this.response.body.drain();
      this.response.sentBody.push(response.body);
    }
    this.localResponse = response;
  }

  /**
   * As Context::continueStream: the request's maps are out of reach at once, whichever direction goes on; decoding
   * goes on once the callback under way has returned (addAfterVmCallAction). A body that is buffered can still be
   * read until then.
   */
  continueStream(type: number): boolean {
    if (type !== STREAM_REQUEST && type !== STREAM_RESPONSE) return false;
    this.request.readable = false;
    this.request.trailersReadable = false;
    this.vm.defer(() => this.resume(type === STREAM_REQUEST ? this.request : this.response));
    return true;
  }

  /** FilterManager's commonContinue: nothing for a stream that is answered or over, else all that was held goes on. */
  private resume(direction: Direction): void {
    if (this.finished || this.resetByFilter || (direction === this.request && this.replyHeld)) return;
    if (!direction.stopped) throw new Error(`stream ${this.id} is resumed, but nothing of it is held`);
    direction.release();
  }

  /** As Context::closeStream: the reset is deferred too. */
  closeStream(type: number): boolean {
    if (type !== STREAM_REQUEST && type !== STREAM_RESPONSE) return false;
    this.vm.defer(() => {
      this.resetByFilter = true;
      this.end();
    });
    return true;
  }
}

/** What no callback holds Envoy answers as an empty buffer, not as an error. */
function readableBody(direction: Direction): BodyBuffer {
  return direction.atHand || direction.buffering ? direction.body : new BodyBuffer();
}

function copyPair(pair: readonly [string, string]): [string, string] {
  return [pair[0], pair[1]];
}
