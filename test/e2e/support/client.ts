// A client of the gateway: HTTP/1.1 over kept-alive connections, or HTTP/2 without TLS over one.

import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Readable } from "node:stream";
import { setImmediate as breathe } from "node:timers/promises";
import { type Address, formatAddress } from "../../../src/envoy/address.ts";

export type Protocol = "h1" | "h2";

export interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer | string;
  /** Whether the body's length is told beforehand; default "length". */
  readonly framing?: "length" | "chunked";
  /** Sends the body in pieces of this size, each by itself. */
  readonly pieceBytes?: number;
  readonly trailers?: Readonly<Record<string, string>>;
  /** How long `call` waits for the end of the answer. */
  readonly limitMs?: number;
  /** Never ends the body: more seems to come. */
  readonly isUnfinished?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
  /** The body as JSON; throws when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it as they need
  readonly json: () => any;
}

/** An exchange whose response has begun. */
export interface Live {
  readonly status: number;
  readonly headers: Answer["headers"];
  readonly body: Readable;
}

/** An exchange under way. */
export interface Opened {
  /** Resolves when the response begins, rejects when it never will. */
  readonly live: Promise<Live>;
  /** Leaves, as a client that is gone. */
  readonly cut: () => void;
}

const LIMIT_MS = 10_000;

export class Client {
  readonly #address: Address;
  readonly #protocol: Protocol;
  readonly #agent: Agent;
  #session: ClientHttp2Session | undefined;

  /** `connections` bounds what HTTP/1.1 opens. */
  constructor(address: Address, protocol: Protocol = "h1", connections = Number.POSITIVE_INFINITY) {
    this.#address = address;
    this.#protocol = protocol;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** Sends the request and reads the whole answer. Rejects when the connection breaks before its end, or time is up. */
  async call(options: Call = {}): Promise<Answer> {
    const { limitMs = LIMIT_MS } = options;
    const { live, cut } = this.open(options);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error(`no whole answer within ${limitMs} ms`));
      cut();
    }, limitMs);
    try {
      return await Promise.race([whole(live), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends the request and waits for the head of the answer. */
  begin(options: Call = {}): Promise<Live> {
    return this.open(options).live;
  }

  /** Sends the request; the caller may leave at any moment. */
  open(options: Call): Opened {
    return this.#protocol === "h2" ? this.#openH2(options) : this.#openH1(options);
  }

  close(): void {
    this.#agent.destroy();
    this.#session?.destroy();
    this.#session = undefined;
  }

  #openH1(options: Call): Opened {
    const { host, port } = this.#address;
    const { path = "/" } = options;
    const headers = headersOf(options, "h1") as Record<string, string | string[]>;
    const outgoing = request({ host, port, path, method: methodOf(options), headers, agent: this.#agent });
    const live = new Promise<Live>((resolve, reject) => {
      outgoing.on("response", (response: IncomingMessage) => {
        const { statusCode = 0, headers } = response;
        resolve({ status: statusCode, headers, body: response });
      });
      // After an answer that came early, what is left of the body may not be wanted any more.
      outgoing.on("error", reject);
      send(outgoing, options).catch(reject);
    });
    return { live, cut: () => outgoing.destroy() };
  }

  #openH2(options: Call): Opened {
    const { path = "/" } = options;
    const headers = { ...headersOf(options, "h2"), ":method": methodOf(options), ":path": path };
    const isEnd = options.body === undefined;
    const stream = this.#h2().request(headers, { endStream: isEnd, waitForTrailers: !!options.trailers });
    stream.on("wantTrailers", () => stream.sendTrailers(options.trailers ?? {}));
    const live = new Promise<Live>((resolve, reject) => {
      stream.on("response", (head) => resolve({ status: head[":status"] ?? 0, headers: head, body: stream }));
      stream.on("error", reject);
      stream.on("close", () => reject(new Error("the stream was closed before an answer")));
      if (!isEnd) send(stream, options).catch(reject);
    });
    return { live, cut: () => stream.close(constants.NGHTTP2_CANCEL) };
  }

  #h2(): ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = connect(`http://${formatAddress(this.#address)}`);
      this.#session.on("error", () => {});
    }
    return this.#session;
  }
}

async function whole(live: Promise<Live>): Promise<Answer> {
  const { status, headers, body } = await live;
  const pieces: Buffer[] = [];
  for await (const piece of body) pieces.push(piece as Buffer);
  const bytes = Buffer.concat(pieces);
  return { status, headers, body: bytes, json: () => JSON.parse(bytes.toString("utf8")) };
}

function methodOf(options: Call): string {
  return options.method ?? (options.body === undefined ? "GET" : "POST");
}

function headersOf(options: Call, protocol: Protocol): Record<string, string | readonly string[]> {
  const { body, framing = "length", headers = {} } = options;
  const json = body === undefined ? {} : { "content-type": "application/json" };
  if (body === undefined) return { ...headers };
  if (framing === "length") return { ...json, "content-length": String(Buffer.byteLength(body)), ...headers };
  return protocol === "h1" ? { ...json, "transfer-encoding": "chunked", ...headers } : { ...json, ...headers };
}

/** Writes the body, in pieces where asked for, and ends the request. */
async function send(to: ClientRequest | ClientHttp2Stream, options: Call): Promise<void> {
  const { body, pieceBytes = Number.POSITIVE_INFINITY, trailers, isUnfinished } = options;
  if (trailers && "addTrailers" in to) to.addTrailers(trailers);
  const bytes = Buffer.from(body ?? "");
  if (bytes.length <= pieceBytes && !isUnfinished) {
    to.end(bytes);
    return;
  }
  for (let at = 0; at < bytes.length && !to.destroyed; at += pieceBytes) {
    to.write(bytes.subarray(at, at + pieceBytes));
    await breathe();
  }
  if (!isUnfinished) to.end();
}
